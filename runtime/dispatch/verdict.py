"""What to do after a failed attempt: wait and try here again, take the next candidate, or tell the caller. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.targets import Target
from runtime.dialects.format import FORMAT_NOT_KEPT
from runtime.settings import Retries

_FIRST_BACKOFF_S = 0.25
_LAST_BACKOFF_S = 4.0
# Failures after which the same target may do better, if nobody else is left to ask.
_PASSING = frozenset({Kind.BUSY, Kind.DOWN, Kind.BROKEN_STREAM, Kind.GARBLED})


class Step(StrEnum):
    HERE = "here"
    NEXT = "next"
    TELL = "tell"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The next step. wait_s: seconds to wait before it (HERE alone)."""

    step: Step
    words: str
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request stands. tries: on this target, the failed one included. left_s: until its deadline.

    others: another candidate is left. spread: a random number in [0, 1).
    """

    tries: int
    others: bool
    left_s: float
    spread: float


def judge(failure: Failure, standing: Standing, retries: Retries) -> Verdict:
    """The verdict after a failure before the commit point."""
    if failure.disposition is Disposition.TELL_CALLER:
        return Verdict(Step.TELL, "the failure is the caller's to know")
    may_repeat = standing.tries < retries.attempts and failure.code != FORMAT_NOT_KEPT
    if failure.retry_after is not None:
        return _honour(failure.retry_after, may_repeat, standing, retries)
    passing = failure.disposition is Disposition.RETRY_HERE or (not standing.others and failure.kind in _PASSING)
    wait = backoff(standing.tries, standing.spread)
    if passing and may_repeat and wait < standing.left_s and not (failure.kind is Kind.BUSY and standing.others):
        return Verdict(Step.HERE, f"trying the same target again in {wait:.2f} s", wait)
    return _next(standing)


def outgrown(target: Target, failure: Failure) -> int | None:
    """Tokens of the target's window, if that is what the prompt was too long for; None if not, or not known.

    A 413 speaks of bytes, and no window says how many of them another target takes.
    """
    too_long = failure.kind is Kind.TOO_LONG and failure.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return target.capabilities.context_tokens if too_long else None


def backoff(tries: int, spread: float) -> float:
    """Seconds: doubling from a quarter, with full jitter over its upper half."""
    return float(min(_LAST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** (tries - 1)) * (0.5 + spread / 2))


def _honour(asked_s: float, may_repeat: bool, standing: Standing, retries: Retries) -> Verdict:
    limit = retries.wait_here_up_to if standing.others else retries.honour_retry_after_up_to
    # A little late rather than a little early: a provider that says 2 means 2.
    wait = asked_s + 0.05 + standing.spread * min(0.25, asked_s / 4)
    if may_repeat and asked_s <= limit and wait < standing.left_s:
        return Verdict(Step.HERE, f"waiting the {asked_s:g} s the provider asks for", wait)
    return _next(standing)


def _next(standing: Standing) -> Verdict:
    if standing.others:
        return Verdict(Step.NEXT, "taking the next candidate")
    return Verdict(Step.TELL, "no candidate is left")
