"""The verdict on the runtime's reply to one question. Pure: statuses, headers and error bodies in, a verdict out.

status                          verdict
200                             Good
400 too long, 413               Bad row
other 400, 422                  Bad row
401, 402, 403, 404              StopRun: no row will fare better
429, 503                        Wait as asked, as long as it takes
500, 502, 504, any other        Wait, but not for ever: it may be this row that does it
no reply                        Wait, as long as it takes
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 10.0
_LONGEST_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class LabelReply:
    """status: None without a reply; then `body` holds the reason. retry_after: seconds. target: the target that answered."""

    status: int | None
    body: bytes
    retry_after: float | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Good:
    pass


@dataclass(frozen=True, slots=True)
class Wait:
    """seconds: until the same question is sent again. maybe_row: the row itself may be the cause."""

    seconds: float
    why: str
    maybe_row: bool = False


@dataclass(frozen=True, slots=True)
class Bad:
    """This row cannot be answered."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StopRun:
    """Nothing can be answered until somebody does what `message` says."""

    message: str


Verdict = Good | Wait | Bad | StopRun

_STOPS = {
    401: "the runtime wants a key: put one of [server] keys into HEARTH_API_KEY",
    402: "the runtime's budget is spent",
    403: "the runtime refuses this key: put one that may use models into HEARTH_API_KEY",
    404: "the runtime has no such model or endpoint: is --url the address of a Hearth runtime?",
}


def verdict(reply: LabelReply, attempt: int) -> Verdict:
    """The verdict. attempt: questions sent for this row without an answer, this one included."""
    if reply.status == 200:
        return Good()
    if reply.status is None:
        return Wait(backoff(attempt), reply.body.decode("utf-8", "replace"))
    try:
        error = msgspec.json.decode(reply.body, type=_ErrorBody).error
        code, message = f"{error.code or ''} {error.param or ''}", error.message
    except msgspec.DecodeError:
        code, message = "", reply.body[:200].decode("utf-8", "replace")
    said = f"{reply.status} {message}".strip()
    if reply.status in _STOPS:
        return StopRun(f"{_STOPS[reply.status]} ({said})")
    # The runtime's own error has a code; the engine's is known by its parameter and words.
    too_long = "context_length" in code or "input_tokens" in code or "maximum context length" in message
    if reply.status == 413 or (reply.status == 400 and too_long):
        return Bad("too_long", f"too long for the model's window: {message}")
    if reply.status in (400, 422):
        return Bad("refused", message)
    asked = reply.retry_after if reply.retry_after is not None else backoff(attempt)
    seconds = min(max(asked, 0.05), _LONGEST_WAIT_S)
    return Wait(seconds, said, maybe_row=reply.status not in (429, 503))


def backoff(attempt: int) -> float:
    """Seconds before attempt + 1."""
    return min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 10))


def retry_after(value: str | None) -> float | None:
    """Seconds in a Retry-After header; None where there is none, or a date (the runtime sends seconds)."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < float("inf") else None


class _Error(msgspec.Struct):
    message: str = ""
    code: str | int | None = None
    param: str | None = None
    type: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)
