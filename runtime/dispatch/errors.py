"""The error a caller is told when nobody answered: from refusals and failed attempts, by DESIGN's table. Pure."""

from __future__ import annotations

from http import HTTPStatus

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.targets import Target
from runtime.dispatch.job import Outcome, names
from runtime.routing.plan.plan import PlanRefusal
from runtime.routing.plan.refusals import BUDGET_EXCEEDED, NO_COMPLIANT_TARGET
from runtime.wire.api_error import ApiError

_TOO_LONG = "context_length_exceeded"
_BUSY_AGAIN_S = 1.0
_KNOWN_S = 5.0  # after which an engine that has just failed is known to be down, and the next refusal says until when


def of_refusal(refusal: PlanRefusal) -> ApiError:
    return ApiError(refusal.status, refusal.message, refusal.code, retry_after=refusal.retry_after)


def of_outcome(outcome: Outcome, dialect: str, busy_for_s: float | None, *, pinned: bool, spent: str = "") -> ApiError:
    """The error of an outcome that failed, for a client of `dialect`.

    busy_for_s: an estimate of when the engine has room again. pinned: no other target could have been asked.
    spent: why the budget kept the request from those that would have been asked, "" if it did not.
    """
    failed = outcome.failed or ([(outcome.target, outcome.failure)] if outcome.target and outcome.failure else [])
    if all(failure.kind is Kind.FORBIDDEN for _, failure in failed):
        return ApiError(403, f"no target may take the request: {names(failed)}", NO_COMPLIANT_TARGET)
    # What may not be asked says nothing about why those that may did not answer.
    failed = [pair for pair in failed if pair[1].kind is not Kind.FORBIDDEN]
    failure = failed[-1][1]
    if outcome.timed_out:
        return ApiError(504, f"no answer within the deadline: {names(failed)}", "deadline_exceeded")
    unpaid = [failure for _, failure in failed if failure.kind is Kind.SPENT]
    if unpaid and all(target.local or failure.kind is Kind.SPENT for target, failure in failed):
        return ApiError(402, names(failed), BUDGET_EXCEEDED, retry_after=unpaid[-1].retry_after)
    if told := _callers_own(failed, dialect) or (_pinned(failed, dialect) if pinned else None):
        return told
    kinds = {failure.kind for _, failure in failed}
    if kinds == {Kind.BUSY}:
        waits = [failure.retry_after for _, failure in failed if failure.retry_after is not None]
        wait = min(waits) if waits else busy_for_s or _BUSY_AGAIN_S
        return ApiError(429, f"busy, and nowhere else to go: {names(failed)}", "queue_full", retry_after=wait)
    if spent:
        return ApiError(402, f"{spent}; {names(failed)}", BUDGET_EXCEEDED, retry_after=_wait(failed))
    if all(tried.local for tried, _ in failed) and kinds <= {Kind.DOWN}:
        wait = _wait(failed) or _KNOWN_S
        return ApiError(503, f"the engine is not up: {failure.message}", "engine_not_ready", retry_after=wait)
    return ApiError(502, f"every candidate failed: {names(failed)}", "all_candidates_failed")


def cut(failure: Failure, target: Target) -> ApiError:
    """A stream that broke after its commit point: told as its last event."""
    return ApiError(502, f"the answer of {target.label} broke off and is not whole: {failure.message}", "broken_stream")


def _callers_own(failed: list[tuple[Target, Failure]], dialect: str) -> ApiError | None:
    """A fault of the request itself, in the provider's own words: the first failure's, or a filter's wherever it struck.

    What a fallback alone refuses is no fault of the caller: it would hide why the first choice failed.
    """
    filtered = [pair for pair in failed if pair[1].kind is Kind.FILTERED]
    target, failure = (filtered or failed)[0]
    body = failure.body if dialect in target.dialects else b""
    if failure.kind is Kind.TOO_LONG:
        return ApiError(400, failure.message, _TOO_LONG)
    if failure.disposition is Disposition.TELL_CALLER or failure.kind in (Kind.REJECTED, Kind.FILTERED):
        # An error that came inside an answer came under a status that is none of an error.
        status = max(failure.status or 0, HTTPStatus.BAD_REQUEST)
        return ApiError(status, failure.message, failure.code, body=body)
    return None


def _pinned(failed: list[tuple[Target, Failure]], dialect: str) -> ApiError | None:
    """One target alone was asked for, and it is not ours: its own status and words."""
    target, failure = failed[-1]
    if target.local or failure.status is None or failure.status < HTTPStatus.BAD_REQUEST:
        return None
    body = failure.body if dialect in target.dialects else b""
    return ApiError(failure.status, failure.message, failure.code, None, failure.retry_after, body)


def _wait(failed: list[tuple[Target, Failure]]) -> float | None:
    return next((failure.retry_after for _, failure in failed if failure.retry_after is not None), None)
