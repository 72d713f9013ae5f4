"""Golden sets, the results of their cases, and the runs that made them. Knows no SQL, no clock and no target.

GoldenSet    a file of cases that guard one task; a GoldenCase is one request with its checks
EvalRun      one pass over some sets and targets; a CaseResult is one answer in it, graded
Stream       one target and one set: the unit of a reference, of a detector's state, of a demotion
Folded       the states and events that follow from a closed run or from a person's act
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec


class Grade(StrEnum):
    """The class of a result. Only NO_VERDICT says nothing about the model."""

    PASS = "pass"
    WRONG = "wrong"
    MALFORMED = "malformed"  # a structure was wanted, and the answer has none or another
    REFUSED = "refused"
    CUT = "cut"  # it ran into its limit of tokens
    REJECTED = "rejected"  # the upstream took the request for a bad one
    NO_VERDICT = "no_verdict"


class Cause(StrEnum):
    """The reason for which there is no verdict."""

    BUSY = "busy"
    DOWN = "down"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    JUDGE = "judge"  # a check could not be made: by the judge, or by the user's own program
    CANCELLED = "cancelled"  # the run was ended, or the case was changed meanwhile
    FORBIDDEN = "forbidden"  # nothing was sent: the target lacks a certificate, or cannot take such a request


RUBRIC, VERSUS = "rubric", "versus"
JUDGED = frozenset({RUBRIC, VERSUS})  # kinds of checks that need a judge: see `runtime.quality.judge`


class GoldenCheck(msgspec.Struct, frozen=True):
    """One condition on an answer. kind: its name in the file. want: the value beside that name. options: its other members."""

    kind: str
    want: Any
    options: Mapping[str, Any] = {}
    negated: bool = False
    weight: float = 1.0


class GoldenCase(msgspec.Struct, frozen=True):
    """One request and its checks. body: a chat body without a model. threshold: the weighted share of checks that must hold.

    hash: of body, checks and threshold, with the contents of the files they name; another one is another case.
    place: file and case, for people.
    """

    id: str
    body: Mapping[str, Any]
    checks: tuple[GoldenCheck, ...]
    hash: str
    threshold: float = 1.0
    cluster: str = ""
    place: str = ""

    @property
    def open_ended(self) -> bool:
        """True if its answers are held against the model's own earlier ones."""
        return any(each.kind == VERSUS for each in self.checks)

    @property
    def judged(self) -> bool:
        """True if a check of it needs a judge."""
        return any(each.kind in JUDGED for each in self.checks)


class GoldenSet(msgspec.Struct, frozen=True):
    """targets: names, labels or "*". requires: certificates that bind each place the cases or their answers go to.

    task: "": all of a target's traffic. floor: the pass rate below which a target is demoted in any case. hash: of all cases.
    folder: where the files that checks name are. warnings: sentences.
    """

    name: str
    cases: tuple[GoldenCase, ...]
    hash: str
    task: str = ""
    targets: tuple[str, ...] = ("*",)
    requires: frozenset[str] = frozenset()
    floor: float | None = None
    path: str = ""
    folder: str = ""
    warnings: tuple[str, ...] = ()


class Stream(NamedTuple):
    """target: a label (`local/…`, `PROVIDER/…`): two accounts of one model are one stream. set: its name."""

    target: str
    set: str


class Measures(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times are milliseconds since the request was sent; None where nothing was measured. Never part of a pass rate."""

    latency_ms: float | None = None
    ttft_ms: float | None = None
    cost_usd: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Judging(msgspec.Struct, frozen=True, omit_defaults=True):
    """The questions that a judge was asked about one answer, repeated ones included. judge: its label. cost_usd: None where no
    price is known.
    """

    judge: str = ""
    questions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: Judging) -> Judging:
        unknown = self.cost_usd is None or other.cost_usd is None
        return Judging(
            self.judge or other.judge,
            self.questions + other.questions,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            None if unknown else (self.cost_usd or 0.0) + (other.cost_usd or 0.0),
        )


class CaseKey(NamedTuple):
    """One answer to be had: unique within a run."""

    target: str
    set: str
    case: str
    repeat: int = 0

    @property
    def stream(self) -> Stream:
        return Stream(self.target, self.set)


class CaseResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer, graded. score: 0 to 1, None without a verdict. words: which check failed and why, or the upstream's error.

    case_hash: the case as it was asked. served, fingerprint: the model and the system fingerprint that the answer names.
    at: unix seconds. decision: the id of its decision record. open_ended: the case is held against the model's own earlier
    answers and is in no pass rate. versus: 1 better than one of them, 0.5 as good, 0 worse; None while they are collected.
    advisory: by a judge that is not known to agree with people: shown, and no state moves for it. judging: of its questions.
    """

    key: CaseKey
    grade: Grade
    score: float | None = None
    cause: Cause | None = None
    words: str = ""
    answer: str = ""
    case_hash: str = ""
    cluster: str = ""
    measures: Measures = Measures()
    served: str = ""
    fingerprint: str = ""
    decision: str = ""
    at: float = 0.0
    versus: float | None = None
    open_ended: bool = False
    advisory: bool = False
    judging: Judging = Judging()


class OwnReference(msgspec.Struct, frozen=True, array_like=True):
    """The first answers to an open-ended case, with which later ones are compared. hash: of the case as it was asked.
    answers: run and repeat of each.
    """

    hash: str
    answers: tuple[tuple[str, int], ...] = ()


RunKind = Literal["nightly", "extra", "reference", "demand", "arrival"]
"""extra: a further run of a night, because the last one was suspicious. arrival: a new model, or a changed fingerprint."""


class SetBrief(msgspec.Struct, frozen=True):
    """A set as a run had it."""

    name: str
    hash: str
    cases: int
    task: str = ""
    floor: float | None = None
    requires: tuple[str, ...] = ()


class EvalRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pass. night: the date, in the settings' zone, of the night it belongs to. Times are unix seconds.

    targets: labels. counts: its results move the detector; not so for files named at a terminal. closed_at: None while it
    runs. cancelled: it was ended before all was asked.
    """

    id: str
    kind: RunKind
    night: str
    seed: int
    created_at: float
    targets: tuple[str, ...]
    sets: tuple[SetBrief, ...]
    repeats: int = 1
    counts: bool = True
    closed_at: float | None = None
    cancelled: bool = False


class PersonAct(msgspec.Struct, frozen=True):
    """A decision of a person that changes a state: accept, demote, promote, hold. set: "": every set of the target."""

    kind: str
    target: str
    set: str = ""
    body: Any = None
    at: float = 0.0


class QualityEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something a person is to see: a demotion, a promotion, an alarm. kind: the detector's word. words: one sentence."""

    kind: str
    target: str
    set: str = ""
    words: str = ""
    body: Any = None
    at: float = 0.0
    run: str = ""


class Folded(NamedTuple):
    """The states that changed, as bytes that only their maker reads, and the events."""

    states: Mapping[Stream, bytes] = {}
    events: Sequence[QualityEvent] = ()


RunFold = Callable[[EvalRun, Sequence[CaseResult], Mapping[Stream, bytes]], Folded]
"""Pure: a closed run, its results and the states before it. Called within the transaction that closes the run."""

ActFold = Callable[[PersonAct, Mapping[Stream, bytes]], Folded]
"""Pure: a person's act and the states before it. Called within the transaction that records the act."""

VERDICTS_NEEDED = 0.8  # of a stream's results in a run; with fewer the run says nothing of that stream


def judged_streams(results: Sequence[CaseResult]) -> dict[Stream, list[CaseResult]]:
    """The results by stream, without the streams that have too few verdicts for any conclusion."""
    streams: dict[Stream, list[CaseResult]] = {}
    for each in results:
        streams.setdefault(each.key.stream, []).append(each)
    return {
        stream: own
        for stream, own in streams.items()
        if sum(each.grade is not Grade.NO_VERDICT for each in own) >= VERDICTS_NEEDED * len(own)
    }


def digest(value: Any) -> str:
    """A short name for a value, the same for equal ones, in whatever order their members are."""
    return hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=8).hexdigest()
