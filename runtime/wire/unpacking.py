"""Unpacks an answer that came compressed although `identity` was asked for, as some proxies send it, in bounded pieces."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import MOST_BODY, Reply, relay_chunks, rest_of

CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 47}  # content codings, and zlib's window bits for each
_MOST_PIECE = 1 << 20


class UnpackingError(ValueError):
    """Bytes that are not packed as the head says."""


class Unpacking:
    """read: the next packed bytes, b"" at the end. most_piece: unpacked bytes handed on at a time, whatever was packed.

    Readers of the answer bound the sum of all pieces.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]], coding: str, most_piece: int = _MOST_PIECE) -> None:
        self._read = read
        self._unpacker = zlib.decompressobj(CODINGS[coding])
        self._most = most_piece

    async def piece(self) -> bytes:
        """The next unpacked bytes; b"" at the end. Raises UnpackingError for bytes that are not packed so, EOFError if cut."""
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or await self._read()
            try:
                piece = self._unpacker.decompress(packed, self._most)
            except zlib.error as error:
                raise UnpackingError(f"the answer cannot be unpacked: {error}") from error
            if piece:
                return piece
            if not packed and not self._unpacker.eof:
                raise EOFError("the packed answer ends early")
        return b""


class UnpackedReply:
    """`runtime.contract.hop.Reply` over a packed one."""

    def __init__(self, packed: Reply, coding: str) -> None:
        self.status, self.headers = packed.status, packed.headers
        self._packed = packed
        self._unpacking = Unpacking(packed.chunk, coding)

    async def chunk(self) -> bytes:
        try:
            return await self._unpacking.piece()
        except UnpackingError as error:
            raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, str(error))) from error
        except EOFError as error:
            words = f"the answer was cut: {error}"
            raise HopError(Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, words)) from error

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        return await relay_chunks(self, take)

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        self._packed.close()


def unpacked(reply: Reply) -> Reply:
    """The reply as it was before it was packed. Closes it and raises HopError (garbled) for a coding that is not known."""
    coding = reply.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return reply
    if coding not in CODINGS:
        reply.close()
        words = f"the answer is compressed ({coding[:40]}), which nobody asked for"
        raise HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, words))
    return UnpackedReply(reply, coding)
