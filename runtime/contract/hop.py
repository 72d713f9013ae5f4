"""The transport seam: one HTTP exchange with one upstream process, byte-exact, cancellable.

A hop belongs to one address (an engine's socket, a vendor's base URL). It adds no retries, follows no redirects, keeps no
opinion about bodies. Its fake is a dozen lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.guard import Cargo

MOST_BODY = 64 << 20  # bytes of an answer read whole: an embedding of a large batch is a fifth of that


class HttpCall(msgspec.Struct, frozen=True):
    """One request as it goes upstream.

    path: below the upstream's base, with a leading slash ("/chat/completions" below "…/v1").
    headers: lower-case names; authorization is the hop's own. cargo: what a hop off this machine shows to its guard.
    """

    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    method: str = "POST"
    cargo: Cargo | None = None


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

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        """Hands each piece to `take` as it arrives, until `take` returns False (then False is returned) or the body ends
        (True). `take` may be called from the event loop itself, so that it must neither block nor await.

        Raises HopError as `chunk` does, and whatever `take` raises.
        """
        ...

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        """The rest of the body. Raises HopError (garbled) as soon as it is longer than `at_most` bytes; `error_page` cuts."""
        ...

    def close(self) -> None:
        """Idempotent. A body not read to its end is abandoned and the connection closed, so that the upstream stops."""
        ...


async def rest_of(reply: Reply, at_most: int = MOST_BODY) -> bytes:
    """`Reply.read` by its chunks, for replies that have no quicker way. Raises HopError."""
    pieces, size = [], 0
    while piece := await reply.chunk():
        size += len(piece)
        if size > at_most:
            words = f"the answer is longer than {at_most} bytes"
            raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, words, status=reply.status))
        pieces.append(piece)
    return b"".join(pieces)


async def relay_chunks(reply: Reply, take: Callable[[bytes], bool]) -> bool:
    """`Reply.relay` by its chunks, for replies that have no quicker way. Raises HopError."""
    while piece := await reply.chunk():
        if not take(piece):
            return False
    return True


async def error_page(reply: Reply, at_most: int = 65_536) -> bytes:
    """The first `at_most` bytes of an error's body: the rest is not read. Raises HopError."""
    pieces, size = [], 0
    while size < at_most and (piece := await reply.chunk()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:at_most]


class Hop(Protocol):
    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        """Sends the call and waits for the answer's head. Raises HopError. Cancelling it closes the connection."""
        ...

    async def aclose(self) -> None: ...
