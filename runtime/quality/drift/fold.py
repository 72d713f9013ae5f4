"""The states of all streams as they follow from closed runs and people's acts, with the events to be shown. Pure.

demoted, advice    a stream failed its golden set; with fewer than 40 cases that is advice
promoted           it is back
common_cause       more than half of the watched targets turned suspicious together: the set, the network or the judge is
                   suspected, and nobody is demoted for it
changed            cases that never failed fail, others pass more often: the rate is what it was
served             the answers name another model or fingerprint than before
reference          the reference is complete
accept, demote, promote, hold, release: a person's acts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runtime.quality.drift import stream as drift
from runtime.quality.drift.baseline import RUNS, Scored, baseline, collected
from runtime.quality.drift.stream import Demotion, DriftRule, Night, Seen, StreamState
from runtime.quality.values import (
    CaseResult,
    EvalRun,
    Folded,
    Grade,
    PersonAct,
    QualityEvent,
    Stream,
    judged_streams,
)

ACTS = ("accept", "demote", "promote", "hold", "release")
_FEWEST_BAR = 100.0
_read = msgspec.json.Decoder(StreamState).decode
_write = msgspec.json.Encoder().encode


class Tolerated(NamedTuple):
    """loss: of quality, as a share. per_year: accepted false demotions per year, over all streams."""

    loss: float = 0.03
    per_year: float = 0.1

    def rule(self, streams: int) -> DriftRule:
        bar = 365 * max(1, streams) / self.per_year if self.per_year else float("inf")
        return DriftRule(self.loss, max(_FEWEST_BAR, bar))


def read_states(states: Mapping[Stream, bytes]) -> dict[Stream, StreamState]:
    return {stream: _read(state) for stream, state in states.items()}


def fold_run(
    run: EvalRun, results: Sequence[CaseResult], states: Mapping[Stream, bytes], tolerated: Tolerated
) -> Folded:
    """The states that change by a closed run."""
    known = read_states(states)
    judged = judged_streams(results)
    rule = tolerated.rule(len(known.keys() | judged.keys()))
    sets = {each.name: each for each in run.sets}
    after, seen, events = dict(known), dict[Stream, tuple[Night, Seen]](), list[QualityEvent]()
    for stream, rows in judged.items():
        brief = sets.get(stream.set)
        before = known.get(stream, StreamState())
        state = replace(before, task=brief.task if brief else before.task)
        state = _served(stream, state, rows, events)
        # Each repeat is a run of its own: what a night has in common is bounded by the rule of two nights.
        for repeat in sorted({row.key.repeat for row in rows}):
            own = [row for row in rows if row.key.repeat == repeat]
            night = _night(run, own, brief.floor if brief else None)
            state = replace(state, own=collected(state.own, run.id, own))
            seen[stream] = night, drift.seen_of(state, night, rule)
            state = drift.observed(state, night, rule)
        if len(before.reference_runs) < RUNS and state.references is not before.references:
            state = replace(state, reference_runs=(*before.reference_runs, run.id))
        if state.watched and not before.watched:
            base = baseline([each for each in state.references.values() if each.complete], rule.tolerance)
            words = f"reference of {base.cases} cases: {base.whole.rate:.1%}, the floor is {base.whole.floor:.1%}"
            if not base.cases:
                words = f"reference of {state.compared} open-ended cases: from now on answers are compared with the first ones"
            events.append(QualityEvent("reference", *stream, words))
        after[stream] = state
    events += _common_cause(after, judged.keys(), run.night)
    for stream in judged:
        after[stream] = _judged(stream, after[stream], *seen[stream], rule, events)
    changed = {stream: _write(state) for stream, state in after.items() if state is not known.get(stream)}
    return Folded(changed, [replace(each, run=run.id) for each in events])


def fold_act(act: PersonAct, states: Mapping[Stream, bytes]) -> Folded:
    """The states that change by a person's word: of one set, or of every set of a target. `body` has `by` and `note`."""
    known = read_states(states)
    streams = [each for each in known if each.target == act.target and act.set in ("", each.set)]
    body = act.body if isinstance(act.body, Mapping) else {}
    by = str(body.get("by") or "a person") + (f": {body['note']}" if body.get("note") else "")
    changed: dict[Stream, bytes] = {}
    for stream in streams or [Stream(act.target, act.set)]:
        changed[stream] = _write(_acted(known.get(stream, StreamState()), act.kind, by))
    return Folded(changed, [QualityEvent(act.kind, act.target, act.set, f"{act.kind} by {by}", act.body, act.at)])


class Demoted(NamedTuple):
    """A target that stands behind the others for a task ("": every task). rate: last measured, None if never."""

    target: str
    set: str
    task: str
    words: str
    rate: float | None
    by_person: bool = False


def demotions(states: Mapping[Stream, StreamState]) -> list[Demoted]:
    """Every demotion in force: by enough cases, or by a person."""
    found = []
    for stream, state in states.items():
        gone = state.demotion
        if state.person == drift.DEMOTE or (gone is not None and gone.cases >= drift.FEWEST_CASES):
            rates = [each.rate for each in state.history if each.rate is not None]
            rate, by_person = rates[-1] if rates else None, state.person == drift.DEMOTE
            found.append(Demoted(*stream, state.task, words_of(state), rate, by_person))
    return found


def words_of(state: StreamState) -> str:
    """A demotion: "demoted for extraction since 27 Nov: 64 of 80 against 74, evidence 11,400"."""
    task = f" for {state.task}" if state.task else ""
    if state.person == drift.DEMOTE:
        return f"demoted{task} by {state.by or 'a person'}"
    gone = state.demotion
    if gone is None:
        return ""
    return f"demoted{task} since {day_of(gone.night)}: {measured(gone)}"


def measured(gone: Demotion) -> str:
    """A demotion's numbers: "64 of 80 against 74, evidence 11,400"."""
    if gone.of_versus:
        return f"{gone.passes:g} of {gone.cases} against its own earlier answers, evidence {gone.evidence:,.0f}"
    return f"{gone.passes:g} of {gone.cases} against {gone.usual:.0f}, evidence {gone.evidence:,.0f}"


def day_of(night: str) -> str:
    """ "27 Nov"."""
    try:
        day = date.fromisoformat(night)
    except ValueError:
        return night
    return f"{day.day} {day:%b}"


def replayed(
    journal: Iterable[tuple[EvalRun, Sequence[CaseResult]] | PersonAct], tolerated: Tolerated
) -> tuple[dict[Stream, bytes], list[QualityEvent]]:
    """The states and events that follow from everything that is stored, under these or other tolerances."""
    states, events = dict[Stream, bytes](), list[QualityEvent]()
    for entry in journal:
        if isinstance(entry, PersonAct):
            folded, at = fold_act(entry, states), entry.at
        else:
            folded, at = fold_run(*entry, states, tolerated), entry[0].closed_at or entry[0].created_at
        states.update(folded.states)
        events += [replace(each, at=each.at or at) for each in folded.events]
    return states, events


def _night(run: EvalRun, rows: Sequence[CaseResult], floor: float | None) -> Night:
    closed = [row for row in rows if row.versus is None and not row.open_ended]
    cases = [
        Scored(
            row.key.case,
            row.case_hash,
            None if row.grade is Grade.NO_VERDICT or row.advisory else row.grade is Grade.PASS,
            str(row.grade),
            row.cluster,
        )
        for row in closed
    ]
    versus = [row.versus for row in rows if row.versus is not None]
    return Night(run.night, run.closed_at or run.created_at, cases, versus, floor)


def _served(stream: Stream, state: StreamState, rows: Sequence[CaseResult], events: list[QualityEvent]) -> StreamState:
    """Notes the model that most of the answers name."""
    named = Counter(f"{row.served} {row.fingerprint}".strip() for row in rows if row.served)
    if not named:
        return state
    now = named.most_common(1)[0][0]
    if state.served and now != state.served:
        events.append(QualityEvent("served", *stream, f"its answers name {now}, until now {state.served}"))
    return replace(state, served=now)


def _common_cause(after: dict[Stream, StreamState], ran: Iterable[Stream], night: str) -> list[QualityEvent]:
    """Holds every stream that turned suspicious together with more than half of the watched targets."""
    watched = {s.target for s, state in after.items() if state.watched and not state.demotion and not state.person}
    turning = {
        stream: state
        for stream, state in after.items()
        if stream.target in watched and state.demotion is None and _turned(state, night)
    }
    targets = {stream.target for stream in turning}
    if 2 * len(targets) <= len(watched) or len({each.partition("/")[0] for each in watched}) < 2:
        return []
    news = not any(state.held for state in turning.values())
    for stream, state in turning.items():
        if not state.held:
            after[stream] = replace(state, held=night)
    if not news:
        return []
    words = (
        f"{len(targets)} of {len(watched)} watched targets turned suspicious together ({', '.join(sorted(targets))}): "
        "the set, the network or the judge is suspected, and no target is demoted for it"
    )
    return [QualityEvent("common_cause", "", "", words, sorted(targets))]


def _turned(state: StreamState, night: str) -> bool:
    """True if it turned suspicious in this night or in the one before."""
    since = state.episode.suspicious
    if not since or state.evidence < drift.SUSPICIOUS:
        return False
    try:
        return abs((date.fromisoformat(night) - date.fromisoformat(since)).days) <= 1
    except ValueError:
        return since == night


def _judged(
    stream: Stream, state: StreamState, run: Night, seen: Seen, rule: DriftRule, events: list[QualityEvent]
) -> StreamState:
    """The state of a stream after what follows from its latest run."""
    if state.person:
        return state
    if drift.back(state):
        words = f"back among the others{_for(state)}: {seen.passes:g} of {seen.base.cases} in its latest run"
        events.append(QualityEvent("promoted", *stream, words))
        return drift.promoted(state)
    if drift.due(state, rule) and drift.low(state) and not state.held:
        state = drift.demoted(state, run, seen)
        gone = state.demotion
        assert gone is not None
        kinds = "".join(f"; {kind} {was:.0f} -> {now:.0f}" for kind, (was, now) in sorted(gone.kinds.items()))
        binds = gone.cases >= drift.FEWEST_CASES
        start = f"demoted{_for(state)}" if binds else f"would be demoted{_for(state)} (fewer than 40 cases: advice)"
        words = f"{start}: {measured(gone)}{kinds}"
        events.append(QualityEvent("demoted" if binds else "advice", *stream, words, msgspec.to_builtins(gone)))
        return state
    if state.demotion is None and state.evidence >= rule.bar and not drift.low(state) and "changed" not in state.told:
        words = "cases that never failed fail now and others pass more often: its rate is what it was"
        events.append(QualityEvent("changed", *stream, words))
        return replace(state, told=(*state.told, "changed"))
    return state


def _acted(state: StreamState, kind: str, by: str) -> StreamState:
    if kind == "accept":
        return StreamState(history=state.history, task=state.task, served=state.served)
    if kind in (drift.DEMOTE, drift.HOLD):
        return replace(state, person=kind, by=by)
    if kind == "release":
        return replace(state, person="", by="")
    if kind != "promote":
        raise ValueError(f"no act is called {kind!r}: {', '.join(ACTS)}")
    return replace(drift.promoted(state), person="", by="")


def _for(state: StreamState) -> str:
    return f" for {state.task}" if state.task else ""
