"""Unpacks an answer that came compressed although `identity` was asked for, as some proxies send it, in bounded pieces."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable

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
