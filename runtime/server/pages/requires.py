"""The certificates that a request demands in its hints or by its key, for what is stored and runs later."""

from __future__ import annotations

from typing import Any

from runtime.routing.facts.hints import MEMBER, BadHint, read_hints
from runtime.server.asgi import ClientRequest
from runtime.wire.api_error import ApiError


def requires_of(request: ClientRequest, hints: Any = None) -> tuple[str, ...]:
    """hints: the member `hearth` of its body, if it has one. Raises ApiError 400 for a hint that cannot be read."""
    try:
        return tuple(sorted(read_hints({MEMBER: hints}, request.headers).requires | request.caller.requires))
    except BadHint as wrong:
        raise ApiError(400, str(wrong), "invalid_hint", wrong.place) from wrong
