"""The JSON body of a request to one of the runtime's own pages."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from runtime.server.asgi import ClientRequest
from runtime.wire.api_error import ApiError

_T = TypeVar("_T")


async def body_as(request: ClientRequest, kind: type[_T], most_bytes: int) -> _T:
    """The body, checked; an empty one is an object without members. Raises ApiError 400 for another shape."""
    try:
        return msgspec.json.decode(await request.body(most_bytes) or b"{}", type=kind)
    except msgspec.MsgspecError as fault:
        raise ApiError(400, str(fault), "invalid_body") from fault
