"""One model on one golden set, night by night: watched, demoted, let back. Pure.

    learning    the reference is not complete; nothing is judged
    watched     each run is evidence for or against a drop
    demoted     each run is evidence for or against a return

A demotion needs evidence of at least `bar`, two nights that were low, and a rate since the evidence began that is below what is
tolerated. A missing verdict counts as a pass for a demotion and as a failure for a return: nothing moves on what is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runtime.quality.drift.baseline import RUNS, Baseline, CaseReference, Floor, Scored, baseline, learned
from runtime.quality.drift.evidence import STEPS, Observations, fallen, observations, risen
from runtime.quality.values import OwnReference

FEWEST_CASES = 40  # with fewer in the reference a demotion is advice
SUSPICIOUS = 20.0  # evidence from which a night gets further runs
MOST_RUNS_A_NIGHT = 3
RETURN_BAR = 300.0
_BAR_TIMES = 10.0  # by each earlier demotion within
_AGAIN_S = 30 * 86_400.0
_NIGHTS = 2
_LONGEST_HISTORY = 400
DEMOTE, HOLD = "demote", "hold"  # a person's words
VERSUS = Floor(0.5, 0.45)  # of answers against the model's own earlier ones: no change is one half, whatever the judge
_NONE = (0.0,) * len(STEPS)


class DriftRule(NamedTuple):
    """tolerance: loss of quality that is accepted. bar: evidence at which a stream is demoted (A)."""

    tolerance: float = 0.03
    bar: float = 10_000.0


class Night(NamedTuple):
    """One run of one stream. night: a date. at: unix seconds. versus: scores of open-ended cases against earlier answers.

    floor: the set's own, a rate below which a model is demoted even if it never was better.
    """

    night: str
    at: float
    cases: Sequence[Scored]
    versus: Sequence[float] = ()
    floor: float | None = None


class Episode(msgspec.Struct, frozen=True, array_like=True):
    """The time since the evidence was last below 1. passes, wanted: sums over its cases; low: nights below what is tolerated.

    since: its first night; suspicious: the first night with evidence of SUSPICIOUS or more. kinds: results by class.
    """

    since: str = ""
    suspicious: str = ""
    cases: int = 0
    passes: float = 0.0
    wanted: float = 0.0
    runs: int = 0
    low: tuple[str, ...] = ()
    kinds: Mapping[str, int] = {}


class Demotion(msgspec.Struct, frozen=True):
    """night, at: when. passes, cases: of its last run, `usual` in the reference. kinds: classes that grew, per run, before and
    after. whole, steady: evidence for a return. nights: with a run since.
    """

    night: str
    at: float
    evidence: float
    passes: float
    cases: int
    usual: float
    kinds: Mapping[str, tuple[float, float]] = {}
    bar: float = RETURN_BAR
    whole: float = 0.0
    steady: float = 0.0
    versus: float = 0.0
    of_versus: bool = False
    nights: tuple[str, ...] = ()


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One run on the chart. rate: of all its cases that have a reference. versus: mean of its open-ended ones."""

    night: str
    at: float
    rate: float | None
    evidence: float
    versus: float | None = None


class StreamState(msgspec.Struct, frozen=True, omit_defaults=True):
    """references: by case. kinds, of: classes of results in the reference, and in how many runs. whole, steady, versus:
    evidence by STEPS. held: the night from which common trouble keeps the stream from being demoted, until its evidence is
    gone. told: events of this episode. demotions: times of the last ones. night, runs: the latest night, and how many it had.
    """

    references: Mapping[str, CaseReference] = {}
    kinds: Mapping[str, int] = {}
    of: int = 0
    whole: tuple[float, ...] = _NONE
    steady: tuple[float, ...] = _NONE
    versus: tuple[float, ...] = _NONE
    episode: Episode = Episode()
    held: str = ""
    told: tuple[str, ...] = ()
    demotion: Demotion | None = None
    demotions: tuple[float, ...] = ()
    night: str = ""
    runs: int = 0
    history: tuple[Point, ...] = ()
    task: str = ""
    served: str = ""
    person: str = ""  # DEMOTE or HOLD, which no run changes
    by: str = ""
    reference_runs: tuple[str, ...] = ()  # ids
    own: Mapping[str, OwnReference] = {}  # by open-ended case

    @property
    def evidence(self) -> float:
        return max(sum((*self.whole, *self.steady)) / (2 * len(STEPS)), sum(self.versus) / len(STEPS))

    @property
    def cases(self) -> int:
        """Cases with a complete reference."""
        return sum([each.complete for each in self.references.values()])

    @property
    def compared(self) -> int:
        """Open-ended cases whose answers are compared with earlier ones."""
        return sum([len(each.answers) >= RUNS for each in self.own.values()])

    @property
    def watched(self) -> bool:
        return self.cases > 0 or self.compared > 0

    def more_tonight(self, night: str) -> bool:
        """True if a further run of that night is wanted: the last one was suspicious, or it may bring a return."""
        ran = self.night == night and 0 < self.runs < MOST_RUNS_A_NIGHT
        return ran and (self.demotion is not None or self.evidence >= SUSPICIOUS)


class Seen(NamedTuple):
    """The cases of one run, against the reference of the very ones that it had. usual: the reference's pass rate.

    whole, steady: cluster and verdict of all, and of those that never failed in the reference.
    """

    base: Baseline
    usual: float
    whole: Sequence[tuple[str, bool | None]]
    steady: Sequence[tuple[str, bool | None]]

    @property
    def passes(self) -> int:
        """A missing verdict counts as one."""
        return sum([passed is not False for _, passed in self.whole])

    def with_unknown(self, score: float) -> tuple[Observations, Observations]:
        """Whole and steady. score: of a case without a verdict."""
        scores = {True: 1.0, False: 0.0, None: score}
        base, whole, steady = self.base, self.whole, self.steady
        return (
            observations([(cluster, scores[passed]) for cluster, passed in whole], base.whole.floor),
            observations([(cluster, scores[passed]) for cluster, passed in steady], base.steady.floor)
            if base.steady
            else Observations({}),
        )


def observed(state: StreamState, run: Night, rule: DriftRule) -> StreamState:
    """The state after one more run. Nobody is demoted or let back by it: see `due` and `back`."""
    seen = seen_of(state, run, rule)
    state = replace(
        state,
        night=run.night,
        runs=state.runs + 1 if state.night == run.night else 1,
        references=learned(state.references, run.cases),
    )
    if not seen.base.cases and not run.versus:
        state = replace(state, kinds=_sum(state.kinds, run), of=state.of + 1)
    else:
        state = _returning(state, run, seen) if state.demotion is not None else _suspecting(state, run, seen, rule)
    rate = seen.passes / seen.base.cases if seen.base.cases else None
    versus = round(sum(run.versus) / len(run.versus), 4) if run.versus else None
    point = Point(run.night, run.at, rate, state.evidence, versus)
    return replace(state, history=(*state.history[-_LONGEST_HISTORY:], point))


def seen_of(state: StreamState, run: Night, rule: DriftRule) -> Seen:
    """The cases of a run that have a complete reference."""
    whole, steady, found = [], [], []
    for case, hash, passed, _, cluster in run.cases:
        known = state.references.get(case)
        if known is None or known.hash != hash or not known.complete:
            continue
        found.append(known)
        whole.append((cluster, passed))
        if not known.fails:
            steady.append((cluster, passed))
    base = baseline(found, rule.tolerance)
    usual = base.whole.rate
    if run.floor is not None and run.floor > base.whole.floor and found:
        base = base._replace(whole=Floor(max(usual, (1 + run.floor) / 2), run.floor))
    return Seen(base, usual, whole, steady)


def tolerated(seen: Seen, run: Night, rule: DriftRule) -> float:
    """The pass rate below which a run is low."""
    least = seen.usual - rule.tolerance
    return least if run.floor is None else max(least, run.floor)


def due(state: StreamState, rule: DriftRule) -> bool:
    """True if the evidence suffices for a demotion, over two low nights at least."""
    return state.demotion is None and state.evidence >= rule.bar and len(state.episode.low) >= _NIGHTS


def low(state: StreamState) -> bool:
    """True if the rate since the evidence began is below what is tolerated: else cases changed, and the rate did not."""
    return state.episode.passes < state.episode.wanted


def back(state: StreamState) -> bool:
    """True if a demoted stream has recovered."""
    gone = state.demotion
    if gone is None or len(gone.nights) < _NIGHTS:
        return False
    return gone.versus >= gone.bar if gone.of_versus else min(gone.whole, gone.steady) >= gone.bar


def demoted(state: StreamState, run: Night, seen: Seen) -> StreamState:
    """The state of a stream that is demoted after a run. seen: of that run."""
    episode, recent = state.episode, [at for at in state.demotions if run.at - at <= _AGAIN_S]
    before = {kind: count / max(state.of, 1) for kind, count in state.kinds.items()}
    after = {kind: count / max(episode.runs, 1) for kind, count in episode.kinds.items()}
    of_versus = sum(state.versus) / len(STEPS) >= state.evidence
    grew = {kind: (before.get(kind, 0.0), now) for kind, now in after.items() if now > before.get(kind, 0.0) + 0.5}
    found = Demotion(
        night=run.night,
        at=run.at,
        evidence=state.evidence,
        passes=sum(run.versus) if of_versus else seen.passes,
        cases=len(run.versus) if of_versus else seen.base.cases,
        usual=seen.usual * seen.base.cases,
        kinds=grew,
        bar=RETURN_BAR * _BAR_TIMES ** len(recent),
        of_versus=of_versus,
    )
    return replace(_anew(state), demotion=found, demotions=(*recent, run.at))


def promoted(state: StreamState) -> StreamState:
    """The state of a stream that is let back: its detector starts anew."""
    return replace(_anew(state), demotion=None)


def _anew(state: StreamState) -> StreamState:
    return replace(state, whole=_NONE, steady=_NONE, versus=_NONE, episode=Episode(), held="", told=())


def _sum(kinds: Mapping[str, int], run: Night) -> Mapping[str, int]:
    return Counter(kinds) + Counter([each.kind for each in run.cases if each.passed is False])


def _suspecting(state: StreamState, run: Night, seen: Seen, rule: DriftRule) -> StreamState:
    """One more run of a stream that is watched."""
    cap, base = log(rule.bar / 10), seen.base
    whole, steady = seen.with_unknown(1.0)
    state = replace(
        state,
        whole=fallen(state.whole, whole.scores, base.whole.floor, cap, whole.heaviest),
        steady=fallen(state.steady, steady.scores, base.steady.floor, cap, steady.heaviest)
        if base.steady
        else state.steady,
        versus=fallen(state.versus, Counter(run.versus), VERSUS.floor, cap) if run.versus else state.versus,
    )
    if state.evidence < 1:
        return replace(state, episode=Episode(), held="", told=())
    old = state.episode
    count, wanted = base.cases + len(run.versus), tolerated(seen, run, rule) * base.cases
    passes, wanted = seen.passes + sum(run.versus), wanted + VERSUS.floor * len(run.versus)
    nights = (*old.low, run.night) if passes < wanted and run.night not in old.low else old.low
    episode = Episode(
        old.since or run.night,
        old.suspicious or (run.night if state.evidence >= SUSPICIOUS else ""),
        old.cases + count,
        old.passes + passes,
        old.wanted + wanted,
        old.runs + 1,
        nights,
        _sum(old.kinds, run),
    )
    return replace(state, episode=episode)


def _returning(state: StreamState, run: Night, seen: Seen) -> StreamState:
    """One more run of a stream that is demoted."""
    gone = state.demotion
    assert gone is not None
    whole, steady = seen.with_unknown(0.0)
    base, cap = seen.base, log(gone.bar / 10)
    after = replace(
        gone,
        whole=risen(gone.whole, whole, base.whole.floor, base.whole.rate, cap),
        steady=risen(gone.steady, steady, base.steady.floor, base.steady.rate, cap) if base.steady else gone.bar,
        versus=risen(gone.versus, Observations(Counter(run.versus)), VERSUS.floor, VERSUS.rate, cap),
        nights=gone.nights if run.night in gone.nights else (*gone.nights[-1:], run.night),
    )
    return replace(state, demotion=after)
