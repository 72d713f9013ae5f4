"""The values dispatch works on: the request, its candidates' turns, the client's side, and the outcome.

Job       one request, read and decided
Sink      the client's side of an answer
Outcome   what happened, filled in as it happens, so that a cancelled request can be accounted for too
Run       all of these together, and what every attempt needs besides
Turn      one candidate's turn within a run
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from runtime.contract.backend import Backend
from runtime.contract.failures import Failure
from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.dialects.meter import Meter
from runtime.dialects.seam import Dialect
from runtime.fleet.fleet import LiveFleet
from runtime.media.fetching import Fetching
from runtime.money.budget import Reservation
from runtime.record.decisions import Exchange
from runtime.record.traces.context import TraceIds
from runtime.routing.confidence import EarlyLook
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.plan import Plan
from runtime.routing.plan.waiting import LateMove
from runtime.settings import Retries
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody


class Job(msgspec.Struct, frozen=True):
    """One request. `arrived` and `deadline` are seconds on the monotonic clock.

    headers: the client's, lower-case names. whole: the answer is held back until it is complete. caller: the key's id.
    """

    id: str
    dialect: Dialect
    body: RawBody
    headers: Mapping[str, str]
    facts: Facts
    arrived: float
    deadline: float
    whole: bool = False
    caller: str = ""


class Head(msgspec.Struct, frozen=True):
    """What is known of an answer at its commit point. length: bytes of a whole answer; None for a stream.

    attempts: exchanges so far, this one included. degraded: what `x-hearth-degraded` lists. words: why this target, where
    the request wants to know.
    """

    target: Target
    reason: Reason
    attempts: int
    length: int | None
    degraded: tuple[str, ...] = ()
    words: str = ""


class Sink(Protocol):
    """The client's side. `start` is the commit point: it is called once, before the first `write`."""

    @property
    def gone(self) -> bool:
        """True if the reader hung up before the answer was complete."""
        ...

    async def start(self, head: Head) -> None: ...

    async def write(self, data: bytes) -> None: ...

    def write_now(self, data: bytes) -> bool:
        """Writes a part of a stream without waiting. False, with nothing written, if it would have to wait."""
        ...


class Outcome(msgspec.Struct):
    """How a request went. `target` is set at the commit point; `failure` is None when the answer is whole.

    reason, words: why this target, where that is more than the plan said.
    exchanges: one row per exchange with an upstream, in the order of their ends. failed: each failed attempt's target and
    failure. meter: the reader of the committed answer. first_token: when its first content came. dropped: parameters the
    target could not be given. answered: the last byte of a whole answer went to the sink; no fault and no hang-up after
    that makes another end of it. judged: the exchange by which the local model was asked what the prompt needs.
    cancelled: the error of a request that an operator ended.
    """

    exchanges: list[Exchange] = []
    failed: list[tuple[Target, Failure]] = []
    failure: Failure | None = None
    target: Target | None = None
    reason: Reason | None = None
    words: str = ""
    meter: Meter | None = None
    first_token: float | None = None
    timed_out: bool = False
    resumed: bool = False
    dropped: tuple[str, ...] = ()
    answered: bool = False
    judged: Exchange | None = None
    cancelled: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """The window on the world. clock: monotonic seconds. random: [0, 1). fetching: media by address. wall: unix seconds.

    trace: the context of a request that goes on to its targets; None where none does.
    """

    clock: Callable[[], float]
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    fetching: Fetching | None = None
    wall: Callable[[], float] = time.time
    trace: TraceIds | None = None


class Run(msgspec.Struct):
    """One request on its way through its plan: what every attempt needs of it. `outcome` belongs to the caller."""

    job: Job
    plan: Plan
    sink: Sink
    outcome: Outcome
    fleet: LiveFleet
    retries: Retries
    effects: Effects


class Turn(msgspec.Struct, eq=False):
    """One candidate's turn: its backend, taken when the plan stood, and what the turn has cost so far.

    meter: the reader of its latest answer with content. look: the condition on its early confidence; None: there is none.
    move: the second look at it while it waits. last: nobody stands behind it. booked: its exchanges. room: what the budget
    keeps free for its attempt.
    """

    backend: Backend
    target: Target
    reason: Reason
    tries: int = 0
    last_lane: str = ""
    meter: Meter | None = None
    look: EarlyLook | None = None
    move: LateMove | None = None
    last: bool = False
    booked: list[Exchange] = []
    room: Reservation | None = None


def names(failed: Sequence[tuple[Target, Failure]]) -> str:
    """Every failed attempt in words, each once, for an error that hides none."""
    return "; ".join(dict.fromkeys(f"{target.label}: {failure.message}" for target, failure in failed))
