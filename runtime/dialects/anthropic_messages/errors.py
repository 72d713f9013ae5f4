"""Errors in this wire's shape: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

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
_TOO_LONG_WORDS = "prompt is too long"  # the words by which clients of this wire know that they must shorten


def error_body(error: ApiError) -> bytes:
    """An upstream's own error passes on as it is, where it is this wire's."""
    return error.body if is_error(error.body) else _written(error)


def error_event(error: ApiError) -> bytes:
    """The last event of a stream that cannot go on. No `message_stop` follows it."""
    return sse.encode(_one_line(error_body(error)), b"error")


def is_error(body: bytes) -> bool:
    """Whether these bytes are an error in this wire's shape."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(told, dict) or told.get("type") != "error":
        return False
    detail = told.get("error")
    return isinstance(detail, dict) and isinstance(detail.get("type"), str) and isinstance(detail.get("message"), str)


def error_type(status: int) -> str:
    return _TYPES.get(status, "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _TYPES[400])


def _written(error: ApiError) -> bytes:
    detail: dict[str, Any] = {"type": error_type(error.status), "message": _message(error)}
    detail |= {name: value for name, value in (("code", error.code), ("param", error.param)) if value is not None}
    return msgspec.json.encode({"type": "error", "error": detail, "request_id": None})


def _message(error: ApiError) -> str:
    if error.code != _TOO_LONG or _TOO_LONG_WORDS in error.message.lower():
        return error.message
    return f"{_TOO_LONG_WORDS}: {error.message}"


def _one_line(body: bytes) -> bytes:
    """An event's data is one line; JSON's strings hold no raw line breaks, so that those between tokens can go."""
    return body.replace(b"\r", b"").replace(b"\n", b"") if b"\n" in body or b"\r" in body else body
