"""Errors in this wire's shape: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from runtime.dialects.anthropic_messages.words import NO_THREADS
from runtime.wire import sse
from runtime.wire.api_error import ApiError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOO_LONG = "context_length_exceeded"
_TOO_LONG_WORDS = "prompt is too long"  # clients of this wire shorten the conversation on these words


def error_body(error: ApiError) -> bytes:
    """An upstream's own error is forwarded as it is, if it has this wire's shape."""
    if is_error(error.body):
        return error.body
    message = error.message
    if error.code == _TOO_LONG and _TOO_LONG_WORDS not in message.lower():
        message = f"{_TOO_LONG_WORDS}: {message}"
    detail: dict[str, Any] = {"type": error_type(error.status), "message": message}
    detail |= {name: value for name, value in (("code", error.code), ("param", error.param)) if value is not None}
    if NO_THREADS in error.message:  # by the details clients know that they must send the whole conversation
        detail["details"] = {"error_code": "thread_unsupported_request"}
    return msgspec.json.encode({"type": "error", "error": detail, "request_id": None})


def error_event(error: ApiError) -> bytes:
    """The last event of a stream that broke. No `message_stop` follows it."""
    # An event's data is one line. JSON strings hold no raw line breaks, so that those between tokens can go.
    return sse.encode(error_body(error).replace(b"\r", b"").replace(b"\n", b""), b"error")


def is_error(body: bytes) -> bool:
    """True if these bytes are an error in this wire's shape."""
    try:
        error = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    detail = error.get("error") if isinstance(error, dict) and error.get("type") == "error" else None
    return isinstance(detail, dict) and isinstance(detail.get("type"), str) and isinstance(detail.get("message"), str)


def error_type(status: int) -> str:
    return _TYPES.get(status, "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _TYPES[400])
