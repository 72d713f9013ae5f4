"""The transport seam: one HTTP exchange with one upstream process, byte-exact, cancellable.

A hop belongs to one address (an engine's socket, a vendor's base URL). It adds no retries, follows no redirects, keeps no
opinion about bodies. Its fake is a dozen lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class HttpCall(msgspec.Struct, frozen=True):
    """One request as it goes upstream.

    path: below the upstream's base, with a leading slash ("/chat/completions" below "…/v1").
    headers: lower-case names; authorization is the hop's own.
    """

    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    method: str = "POST"


class Reply(Protocol):
    """An upstream's answer whose head has arrived."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive, or lower-case names."""
        ...

    async def chunk(self) -> bytes:
        """The next bytes as they arrived; b"" at the end. Raises HopError (broken stream) when the connection is cut."""
        ...

    async def read(self) -> bytes:
        """All that is left of the body."""
        ...

    def close(self) -> None:
        """Idempotent. A body not read to its end is abandoned and the connection closed, so that the upstream stops."""
        ...


async def rest_of(reply: Reply) -> bytes:
    """`Reply.read` by its chunks, for replies that have no quicker way. Raises HopError."""
    pieces = []
    while piece := await reply.chunk():
        pieces.append(piece)
    return b"".join(pieces)


class Hop(Protocol):
    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        """Sends the call and waits for the answer's head. Raises HopError. Cancelling it closes the connection."""
        ...

    async def aclose(self) -> None: ...
