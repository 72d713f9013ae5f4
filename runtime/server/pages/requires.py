"""The certificates that a request demands in its headers, for what is stored and runs later."""

from __future__ import annotations

from runtime.routing.facts.hints import BadHint, read_hints
from runtime.server.asgi import ClientRequest
from runtime.wire.api_error import ApiError


def requires_of(request: ClientRequest) -> tuple[str, ...]:
    """Raises ApiError 400 for a hint that cannot be read."""
    try:
        return tuple(sorted(read_hints({}, request.headers).requires))
    except BadHint as wrong:
        raise ApiError(400, str(wrong), "invalid_hint", wrong.place) from wrong
