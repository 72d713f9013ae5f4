"""Errors as clients of OpenAI's wires read them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from runtime.wire import sse
from runtime.wire.api_error import ApiError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "budget_exceeded",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class _Detail(msgspec.Struct):
    message: str


class _ErrorBody(msgspec.Struct):
    error: _Detail
    type: Any = None


_error_body = msgspec.json.Decoder(_ErrorBody)


def encode_error(error: ApiError) -> bytes:
    """The error as a JSON body."""
    kind = _TYPES.get(error.status, "server_error" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else _TYPES[400])
    detail: dict[str, Any] = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": detail})


def error_body(error: ApiError) -> bytes:
    """The upstream's own body if it has this shape; Anthropic's, with its outer type, has not."""
    try:
        kept = _error_body.decode(error.body).type != "error"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kept = False
    return error.body if kept else encode_error(error)


def error_event(error: ApiError) -> bytes:
    """The last event of a stream that broke off. No closing mark follows it."""
    return sse.encode(encode_error(error))
