"""What dispatch works on and what it hands back: the request on its way, the one who gets its answer, the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from runtime.contract.failures import Failure
from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.dialects.meter import Meter
from runtime.dialects.seam import Dialect
from runtime.record.decisions import Attempt
from runtime.wire.raw_body import RawBody


class Job(msgspec.Struct, frozen=True):
    """One request. Times are seconds on the monotonic clock.

    headers: the client's, lower-case names. structured: the answer must keep to a format.

    prompt_tokens: estimated. expected_output: the client's own limit on the answer, where it set one.
    whole: the answer is held back until it is complete.
    """

    id: str
    dialect: Dialect
    body: RawBody
    prompt_tokens: int
    expected_output: int | None
    whole: bool
    arrived: float
    deadline: float
    headers: Mapping[str, str]
    structured: bool = False


class Head(msgspec.Struct, frozen=True):
    """What is known when an answer is committed. length: bytes of a whole answer; None for a stream."""

    target: Target
    reason: Reason
    attempts: int
    length: int | None
    dropped: tuple[str, ...] = ()


class Sink(Protocol):
    """The client's side. `start` is the commit point: it is called once, before the first `write`."""

    async def start(self, head: Head) -> None: ...

    async def write(self, data: bytes) -> None: ...


class Outcome(msgspec.Struct):
    """How it went. `failure` is None when the answer is whole. `failed` keeps each failed attempt's target and failure."""

    attempts: list[Attempt] = []
    failed: list[tuple[Target, Failure]] = []
    committed: bool = False
    failure: Failure | None = None
    target: Target | None = None
    reason: Reason | None = None
    meter: Meter | None = None
    first_token: float | None = None
    timed_out: bool = False
    resumed: bool = False
    dropped: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        return self.target is not None and self.failure is None


def names(failed: Sequence[tuple[Target, Failure]]) -> str:
    """Every failed attempt in words, each said once, for an error that hides none."""
    said = dict.fromkeys(f"{target.label}: {failure.message}" for target, failure in failed)
    return "; ".join(said)
