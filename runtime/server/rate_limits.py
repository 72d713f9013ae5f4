"""The limits of a key at the door: the headers that clients' SDKs read, and the refusal."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

from runtime.dialects.anthropic_messages.rate_headers import rate_headers
from runtime.server.asgi import ClientRequest
from runtime.trust.rates import LimitedError, RateLimiter
from runtime.wire.api_error import ApiError

_MESSAGES = "/v1/messages"


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
        for name, (limit, remaining, reset_s) in limiter.standings(request.caller.id).items():
            if request.path.startswith(_MESSAGES):
                headers = rate_headers(name, limit, remaining, wall() + reset_s)
            else:
                values = {"limit": limit, "remaining": remaining, "reset": f"{math.ceil(reset_s * 1000)}ms"}
                headers = {f"x-ratelimit-{part}-{name}": str(value) for part, value in values.items()}
            extra += [(header.encode(), value.encode()) for header, value in headers.items()]
        if refused is not None:
            raise ApiError(429, str(refused), "rate_limit_exceeded", None, math.ceil(refused.retry_s)) from refused
        yield
