"""A transport that writes once where uvicorn writes twice. Knows sockets and turns of the loop, no request.

uvicorn sends the head of an answer, its body and the end of it each with a system call of its own, and each wakes the
client. Here all that is written in one turn of the loop leaves together: a whole answer is one write.
"""

from __future__ import annotations

import asyncio


class Gathered:
    """The writing side of a transport. What is written in one turn of the loop goes out at its end.

    More than `most` bytes leave at once, so that the transport can ask the writer to wait. What is written after the
    connection was ended, from either side, is dropped: nobody can read it.
    """

    __slots__ = ("_ended", "_loop", "_most", "_pieces", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, most: int = 65_536) -> None:
        self._transport = transport
        self._loop = loop
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False

    def write(self, data: bytes) -> None:
        if self._ended:
            return
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._most:
            self._flush()

    def finish(self) -> None:
        """Sends what is left and closes the sending side alone, so that a client that is still sending can read it."""
        self._flush()
        self._ended = True
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._ended = True
        self._transport.close()

    def is_closing(self) -> bool:
        return self._ended or self._transport.is_closing()

    def _flush(self) -> None:
        pieces = self._pieces
        if not pieces:
            return
        if not self._transport.is_closing():
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        pieces.clear()
        self._size = 0
