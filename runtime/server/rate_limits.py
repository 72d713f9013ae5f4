"""The limits of a key at the door: the headers that clients' SDKs read, and the refusal.

A request is admitted before its body is read, and its tokens are reserved once their number can be estimated.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

from runtime.dialects.anthropic_messages.rate_headers import rate_headers
from runtime.server.asgi import ClientRequest
from runtime.trust.rates import LimitedError, RateLimiter
from runtime.wire.api_error import ApiError

_MESSAGES = "/v1/messages"
_OF_LIMITS = (b"anthropic-ratelimit-", b"x-ratelimit-")


@contextlib.contextmanager
def limited(
    limiter: RateLimiter, request: ClientRequest, extra: list[tuple[bytes, bytes]], wall: Callable[[], float]
) -> Iterator[None]:
    """A request within its key's limits; `extra` gets their headers. Raises ApiError 429. wall: unix seconds."""
    with contextlib.ExitStack() as held:
        refused: LimitedError | None = None
        try:
            held.enter_context(limiter.held(request.caller))
        except LimitedError as error:
            refused = error
        extra += _headers(limiter, request, wall())
        if refused is not None:
            raise limit_error(refused) from refused
        yield


def reserve_tokens(
    limiter: RateLimiter, request: ClientRequest, extra: list[tuple[bytes, bytes]], wall: float, tokens: int
) -> None:
    """Reserves the tokens of a request; the headers in `extra` are brought up to date. Raises ApiError 429."""
    refused: LimitedError | None = None
    try:
        limiter.reserve(request.id, request.caller, tokens)
    except LimitedError as error:
        refused = error
    extra[:] = [pair for pair in extra if not pair[0].startswith(_OF_LIMITS)]
    extra += _headers(limiter, request, wall)
    if refused is not None:
        raise limit_error(refused) from refused


def limit_error(refused: LimitedError) -> ApiError:
    return ApiError(429, str(refused), "rate_limit_exceeded", None, math.ceil(refused.retry_s))


def go_duration(seconds: float) -> str:
    """A time as clients of the OpenAI wire know it: 120ms, 1s, 6m0s, 1h0m0s. Rounded up."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if whole >= 60 else "") + f"{whole % 60}s"


def _headers(limiter: RateLimiter, request: ClientRequest, wall: float) -> Iterator[tuple[bytes, bytes]]:
    for name, (limit, remaining, reset_s) in limiter.standings(request.caller.id).items():
        if request.path.startswith(_MESSAGES):
            headers = rate_headers(name, limit, remaining, wall + reset_s)
        else:
            values = {"limit": limit, "remaining": remaining, "reset": go_duration(reset_s)}
            headers = {f"x-ratelimit-{part}-{name}": str(value) for part, value in values.items()}
        yield from ((header.encode(), value.encode()) for header, value in headers.items())
