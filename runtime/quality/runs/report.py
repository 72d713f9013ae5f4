"""A run beside the one before it: pass rates, classes that grew, cases that flipped with both answers, and measures. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from runtime.quality.drift.baseline import independent
from runtime.quality.drift.bounds import Z_TWO_SIDED, wilson_upper
from runtime.quality.golden.checks import MEASURES
from runtime.quality.values import VERDICTS_NEEDED, CaseKey, CaseResult, EvalRun, GoldenCase, GoldenSet, Grade, Stream

ADVICE = "advice"  # in the place of a class or a cause: the judge is not known to agree with people
_MOST_SHOWN = 4000  # characters of an answer


class Flip(msgspec.Struct, frozen=True):
    """A case whose grade is another than before. answers: cut to some thousand characters. edited: it was another case, by its
    request or its checks.
    """

    target: str
    set: str
    case: str
    before: Grade
    now: Grade
    words: str
    answer_before: str
    answer: str
    place: str = ""
    repeat: int = 0
    edited: bool = False


def flipped(old: CaseResult, new: CaseResult, words: str, place: str = "") -> Flip:
    """One case answered twice. words: the reason for one of the grades."""
    answers = old.answer[:_MOST_SHOWN], new.answer[:_MOST_SHOWN]
    return Flip(
        *new.key[:3], old.grade, new.grade, words, *answers, place, new.key.repeat, old.case_hash != new.case_hash
    )


class Failing(msgspec.Struct, frozen=True):
    """A case without a pass. cause: of no verdict, or ADVICE."""

    target: str
    set: str
    case: str
    grade: Grade
    cause: str
    words: str
    answer: str
    place: str = ""
    repeat: int = 0


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """One target on one set. passed of verdicts; total with those without one. grades: counts by class, with the causes of no
    verdict ("busy: 3"). before: the same of the run it is held against, None without one. bars: the rates for which so many
    passes are no surprise (95 %), by cluster. Medians in ms. usd: of all answers, None if one's is not known. judge_usd: of the
    judge's questions about them. over: cases beyond a limit on a measure, by measure.

    advised: of the total, those by a judge that is not known to agree with people, which are no verdicts. open_ended: cases in
    no pass rate, and so in none of these counts; compared, versus: those held against the model's own earlier answers, and the
    mean of their scores, one half without a change.
    """

    target: str
    set: str
    task: str
    passed: int
    verdicts: int
    total: int
    grades: Mapping[str, int]
    passed_before: int | None = None
    verdicts_before: int | None = None
    grades_before: Mapping[str, int] | None = None
    bars: tuple[float, float] = (0.0, 1.0)
    latency_ms: float | None = None
    ttft_ms: float | None = None
    usd: float | None = None
    judge_usd: float | None = 0.0
    completion_tokens: int = 0
    over: Mapping[str, int] = {}
    served: tuple[str, ...] = ()
    advised: int = 0
    open_ended: int = 0
    compared: int = 0
    versus: float | None = None

    @property
    def rate(self) -> float | None:
        return self.passed / self.verdicts if self.verdicts else None

    @property
    def enough(self) -> bool:
        """True if so many answers have a verdict that the rate says something."""
        return self.verdicts >= VERDICTS_NEEDED * self.total > 0

    @property
    def grew(self) -> list[tuple[str, int, int]]:
        """Classes other than pass with more cases than before: name, before, now."""
        earlier = self.grades_before
        if earlier is None:
            return []
        return [
            (name, earlier.get(name, 0), count)
            for name, count in self.grades.items()
            if name not in (Grade.PASS, ADVICE) and count > earlier.get(name, 0)
        ]


class EvalReport(msgspec.Struct, frozen=True):
    """run: without its results. flips: passes that became others first."""

    run: EvalRun
    streams: tuple[StreamReport, ...]
    flips: tuple[Flip, ...]
    failing: tuple[Failing, ...]

    @property
    def rate(self) -> float | None:
        """Passes of all verdicts; None without any."""
        verdicts = sum(each.verdicts for each in self.streams)
        return sum(each.passed for each in self.streams) / verdicts if verdicts else None


def report(
    run: EvalRun, results: Sequence[CaseResult], earlier: Sequence[CaseResult], goldens: Sequence[GoldenSet]
) -> EvalReport:
    """earlier: of each stream, the results of the run it is held against. goldens: of the run."""
    cases = {(golden.name, case.id): case for golden in goldens for case in golden.cases}
    tasks = {each.name: each.task for each in run.sets}
    before = {each.key: each for each in earlier}
    streams = {each.key.stream: None for each in results}
    flips, failing = [], []
    for each in results:
        key, case = each.key, cases.get((each.key.set, each.key.case))
        place = case.place if case else ""
        if each.grade is not Grade.PASS:
            shown, cause = each.answer[:_MOST_SHOWN], ADVICE if each.advisory else each.cause or ""
            failing.append(
                Failing(key.target, key.set, key.case, each.grade, cause, each.words, shown, place, key.repeat)
            )
        old = before.get(key) or before.get(CaseKey(*key[:3]))
        if old is None or old.grade is each.grade or Grade.NO_VERDICT in (old.grade, each.grade):
            continue
        flips.append(flipped(old, each, each.words, place))
    flips.sort(key=lambda each: (each.before is not Grade.PASS, each.target, each.set, each.case))
    rows = [
        _stream(
            stream,
            tasks.get(stream.set, ""),
            [each for each in results if each.key.stream == stream],
            [each for each in earlier if each.key.stream == stream],
            cases,
        )
        for stream in streams
    ]
    rows.sort(key=lambda each: (each.set, each.target))
    return EvalReport(run, tuple(rows), tuple(flips), tuple(failing))


def _stream(
    stream: Stream,
    task: str,
    own: Sequence[CaseResult],
    old: Sequence[CaseResult],
    cases: Mapping[tuple[str, str], GoldenCase],
) -> StreamReport:
    latencies = [each.measures.latency_ms for each in own if each.measures.latency_ms is not None]
    firsts = [each.measures.ttft_ms for each in own if each.measures.ttft_ms is not None]
    costs = [each.measures.cost_usd for each in own if each.measures.latency_ms is not None]
    judged = [each.judging.cost_usd for each in own]
    now, before = [each for each in own if not each.open_ended], [each for each in old if not each.open_ended]
    grades, earlier = _counted(now), _counted(before)
    versus = [each.versus for each in own if each.versus is not None]
    over = Counter(
        name for each in own if (case := cases.get((stream.set, each.key.case))) for name in exceeded(each, case)
    )
    return StreamReport(
        target=stream.target,
        set=stream.set,
        task=task,
        passed=grades.get(Grade.PASS, 0),
        verdicts=sum(map(has_verdict, now)),
        total=len(now),
        grades=grades,
        passed_before=earlier.get(Grade.PASS, 0) if before else None,
        verdicts_before=sum(map(has_verdict, before)) if before else None,
        grades_before=earlier if before else None,
        bars=error_bars(now),
        latency_ms=round(statistics.median(latencies), 1) if latencies else None,
        ttft_ms=round(statistics.median(firsts), 1) if firsts else None,
        usd=round(sum(each or 0.0 for each in costs), 6) if costs and None not in costs else None,
        judge_usd=None if None in judged else round(sum(each or 0.0 for each in judged), 6),
        completion_tokens=sum(each.measures.completion_tokens for each in own),
        over=dict(over),
        served=tuple(sorted({f"{each.served} {each.fingerprint}".strip() for each in own if each.served})),
        advised=grades.get(ADVICE, 0),
        open_ended=len(own) - len(now),
        compared=len(versus),
        versus=round(sum(versus) / len(versus), 4) if versus else None,
    )


def has_verdict(result: CaseResult) -> bool:
    """True if it counts in a pass rate: not if it is open-ended, or by a judge that is not known to agree with people."""
    return result.grade is not Grade.NO_VERDICT and not result.open_ended and not result.advisory


def error_bars(results: Sequence[CaseResult]) -> tuple[float, float]:
    """The pass rates for which such results are no surprise (Wilson, 95 %). Cases of one cluster say less than others."""
    judged = [each for each in results if has_verdict(each)]
    if not judged:
        return 0.0, 1.0
    share = independent(Counter(each.cluster for each in judged))
    passed = sum(each.grade is Grade.PASS for each in judged) * share
    trials = len(judged) * share
    low, high = 1 - wilson_upper(trials - passed, trials, Z_TWO_SIDED), wilson_upper(passed, trials, Z_TWO_SIDED)
    return round(max(0.0, low), 4), round(high, 4)


def _counted(results: Sequence[CaseResult]) -> dict[str, int]:
    """Results by class; those without a verdict by its cause."""
    counts = Counter(
        str(each.cause) if each.grade is Grade.NO_VERDICT else ADVICE if each.advisory else str(each.grade)
        for each in results
    )
    return dict(sorted(counts.items()))


def exceeded(result: CaseResult, case: GoldenCase) -> list[str]:
    """The measures of a result that are beyond the limits of its case."""
    measures = result.measures
    values = (measures.latency_ms, measures.ttft_ms, measures.cost_usd, float(measures.completion_tokens))
    seen = dict(zip(MEASURES, values, strict=True))
    return [
        each.kind
        for each in case.checks
        if each.kind in MEASURES and (value := seen[each.kind]) is not None and value > each.want
    ]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Two targets on the same cases: only those where both have a verdict. usd_per_1000: dollars a thousand cases cost.

    only_old, only_new: cases that one passes and the other does not. unknown_old, unknown_new: answers without a verdict, by
    cause.
    """

    old: str
    new: str
    cases: int
    passed_old: int
    passed_new: int
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    usd_per_1000_old: float | None
    usd_per_1000_new: float | None
    latency_ms_old: float | None
    latency_ms_new: float | None
    ttft_ms_old: float | None
    ttft_ms_new: float | None
    answers: tuple[Flip, ...] = ()
    unknown_old: Mapping[str, int] = {}
    unknown_new: Mapping[str, int] = {}


def compared(results: Sequence[CaseResult], old: str, new: str) -> Compared:
    """Two targets of one run. old, new: labels."""
    sides = [
        {each.key[1:]: each for each in results if each.key.target == label and has_verdict(each)}
        for label in (old, new)
    ]
    unknown = [each for each in results if each.grade is Grade.NO_VERDICT]
    common = sorted(key for key in sides[0] if key in sides[1])
    pairs = [(sides[0][key], sides[1][key]) for key in common]

    def median(name: str, side: int) -> float | None:
        values = [value for pair in pairs if (value := getattr(pair[side].measures, name)) is not None]
        return round(statistics.median(values), 1) if values else None

    def usd(side: int) -> float | None:
        costs = [pair[side].measures.cost_usd for pair in pairs]
        return None if None in costs or not costs else round(1000 * sum(filter(None, costs)) / len(costs), 4)

    passes = [(a.grade is Grade.PASS, b.grade is Grade.PASS) for a, b in pairs]
    names = [f"{key[0]}/{key[1]}" for key in common]
    flips = [
        flipped(a, b, b.words or a.words) for (a, b), (was, now) in zip(pairs, passes, strict=True) if was is not now
    ]
    return Compared(
        old=old,
        new=new,
        cases=len(pairs),
        passed_old=sum(a for a, _ in passes),
        passed_new=sum(b for _, b in passes),
        only_old=tuple(name for name, (a, b) in zip(names, passes, strict=True) if a and not b),
        only_new=tuple(name for name, (a, b) in zip(names, passes, strict=True) if b and not a),
        usd_per_1000_old=usd(0),
        usd_per_1000_new=usd(1),
        latency_ms_old=median("latency_ms", 0),
        latency_ms_new=median("latency_ms", 1),
        ttft_ms_old=median("ttft_ms", 0),
        ttft_ms_new=median("ttft_ms", 1),
        answers=tuple(flips),
        unknown_old=_counted([each for each in unknown if each.key.target == old]),
        unknown_new=_counted([each for each in unknown if each.key.target == new]),
    )
