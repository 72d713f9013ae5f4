"""One HTTP/1.1 client connection and one reply on it: the parts of the hop to the engine.

Knows bytes, framing and when a connection may be used again. Knows no pool, no address, no retry and no body format.
Written on httptools because every token takes this path: it costs a fraction of a general client
(docs/decisions/0002-local-hop.md).
Chunked, counted and until-end-of-connection bodies are read; HEAD, upgrades and folded header lines are refused, trailers
skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import MOST_BODY, rest_of

_PAUSE_ABOVE = 256 * 1024  # bytes waiting for a slow reader before the connection is no longer read
_BODILESS = frozenset({204, 304})
MOST_HEAD = 64 * 1024  # bytes; uvicorn, nginx and h11 allow 16 to 64 KiB for a head


class ReplyObserver(Protocol):
    """Learns of the progress of a reply."""

    def progressed(self, reply: HopReply) -> None:
        """Body bytes arrived."""
        ...

    def ended(self, reply: HopReply, connection: PooledConnection, *, reusable: bool) -> None:
        """Called once, when nothing more will arrive. `reusable`: the connection can take another request."""
        ...


class PooledConnection(asyncio.Protocol):
    """One open connection. Carries at most one reply at a time."""

    __slots__ = ("idle_since", "loop", "lost", "reply", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport: asyncio.Transport
        self.reply: HopReply | None = None
        self.lost = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.reply is not None:
            self.reply.feed(data)
        else:
            self.transport.abort()  # bytes without a request

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.reply is not None:
            self.reply.cut(exc)

    def abort(self) -> None:
        """Closes at once, unsent bytes dropped. Harmless on a lost connection or one whose loop has ended."""
        if not self.lost and not self.loop.is_closed():
            self.transport.abort()


class HopReply:
    """One reply as it arrives: a `runtime.contract.hop.Reply`. One reader at a time.

    most_head: bytes of the head, interim (1xx) replies included, before the reply counts as garbled. The same number of
    bytes may go by without a byte of the body (chunk extensions, trailers).
    """

    __slots__ = (
        "_buffered",
        "_chunks",
        "_complete",
        "_connection",
        "_failure",
        "_fault",
        "_head_size",
        "_headed",
        "_keep",
        "_most_head",
        "_observer",
        "_overrun",
        "_parser",
        "_paused",
        "_since_body",
        "_stopped",
        "_take",
        "_until_eof",
        "_waiter",
        "counted",
        "headers",
        "status",
        "touched",
    )

    def __init__(
        self, connection: PooledConnection, observer: ReplyObserver, *, counted: bool, most_head: int = MOST_HEAD
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.counted = counted
        self.touched = False  # any byte of it arrived
        self._connection: PooledConnection | None = connection
        self._observer = observer
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._most_head = most_head
        self._head_size = 0  # bytes of header names and values
        self._since_body = 0  # bytes received since the last byte of the body
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Failure | None = None
        self._take: Callable[[bytes], bool] | None = None  # takes the pieces while the reading task sleeps
        self._fault: Exception | None = None  # raised by `_take`
        self._stopped = False
        self._headed = self._complete = self._keep = self._overrun = self._paused = self._until_eof = False
        connection.reply = self

    # -- the reader's side

    async def head(self) -> None:
        """Returns as soon as status and headers are known. Raises HopError."""
        while not self._headed:
            if self._failure is not None:
                raise HopError(self._failure)
            await self._wait()

    async def chunk(self) -> bytes:
        """The next bytes as they arrived; b"" at the end. Raises HopError."""
        while not self._chunks:
            if self._failure is not None:
                raise HopError(self._failure)
            if self._connection is None:
                return b""
            await self._wait()
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self._paused and self._connection is not None:
            self._paused = False
            self._connection.transport.resume_reading()
        return data

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        """Calls `take` from the socket's own callback: the reading task sleeps until `take` stops or the body ends."""
        while True:
            data = await self.chunk()
            if not data:
                return True
            if not take(data):
                return False
            if self._connection is None:
                continue
            self._take = take
            try:
                await self._wait()
            finally:
                self._take = None
            if self._fault is not None:
                raise self._fault
            if self._stopped:
                self._stopped = False
                return False

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def _relayed(self, take: Callable[[bytes], bool]) -> bool:
        """Hands over what has arrived. True if more is wanted: nobody has to wake up."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        try:
            if take(data):
                return True
            self._stopped = True
        except Exception as fault:  # noqa: BLE001 - raised in the reading task, whose fault it is, and not in the loop
            self._fault = fault
        self._take = None
        return False

    def close(self) -> None:
        """Abandons the rest of the body: the connection closes at once, so that the engine stops. Idempotent."""
        self._chunks.clear()
        self._end(reusable=False)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- the connection's side

    def feed(self, data: bytes) -> None:
        """Bytes of this reply, in order."""
        self.touched = True
        parser = self._parser
        if parser is None:
            return
        self._since_body += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(Kind.GARBLED, "the server switched protocols (101) without being asked to")
            return
        except httptools.HttpParserError as error:
            if not self._complete:
                self.fail(Kind.GARBLED, f"the reply is not valid HTTP/1.1: {error}")
                return
            self._overrun = True
        if self._head_size > self._most_head:
            self._headed = self._complete = False
        if not self._complete and (self._since_body > self._most_head or self._head_size > self._most_head):
            part = "framing between two parts of the body" if self._headed else "head"
            self.fail(Kind.GARBLED, f"the reply's {part} is longer than {self._most_head} bytes")
            return
        if self._complete:
            self._end(reusable=self._keep and not self._overrun)
        elif self._chunks:
            if self.counted and self.status < 400:
                self._observer.progressed(self)
            if self._take is not None and self._relayed(self._take):
                return
            if self._buffered > _PAUSE_ABOVE and not self._paused and self._connection is not None:
                self._paused = True
                self._connection.transport.pause_reading()
        if self._headed:
            self._wake()

    def cut(self, cause: Exception | None) -> None:
        """The connection is gone."""
        if self._headed and self._until_eof and cause is None:
            self._complete = True
            self._end(reusable=False)
            self._wake()
        elif self._headed:
            self.fail(Kind.BROKEN_STREAM, f"the connection was cut in the middle of the reply{_because(cause)}")
        else:
            self.fail(Kind.DOWN, f"the connection was closed before a reply came{_because(cause)}")

    def fail(self, kind: Kind, message: str) -> None:
        """Ends it, unless it is over: the reader gets a HopError."""
        if self._connection is None:
            return
        disposition = Disposition.RETRY_HERE if kind is Kind.DOWN else Disposition.NEXT_CANDIDATE
        self._failure = Failure(kind, disposition, message, status=self.status or None)
        self._end(reusable=False)
        self._wake()

    def _end(self, *, reusable: bool) -> None:
        """The one way out: lets go of connection and parser, and tells the observer once."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._parser = None  # it holds our methods: a circle the collector would have to find
        connection.reply = None
        if self._complete and self.counted and self.status < 400:
            self._observer.progressed(self)
        # A reply may be complete before the whole request has gone out: the next one would queue behind the rest.
        reusable = reusable and not connection.lost and connection.transport.get_write_buffer_size() == 0
        if not reusable:
            connection.abort()
        self._observer.ended(self, connection, reusable=reusable)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the parser's side

    def on_message_begin(self) -> None:
        self._overrun = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headed:  # a trailer
            return
        self._head_size += len(name) + len(value)
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if self._parser is None or self._headed:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:  # 100 and 103 are followed by the reply itself
            self.headers.clear()
            return
        self._headed = True
        codings = self.headers.get("transfer-encoding")
        if codings is None:
            framed = "content-length" in self.headers
        else:  # RFC 9112 6.3: if the last coding is not chunked, the body ends with the connection
            framed = codings.rpartition(",")[2].strip().lower() == "chunked"
        self._until_eof = not framed and self.status not in _BODILESS

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._since_body = 0
            self._chunks.append(data)
            self._buffered += len(data)

    def on_message_complete(self) -> None:
        if self._headed and not self._complete and self._parser is not None:
            self._complete = True
            self._keep = self._parser.should_keep_alive()  # true only here: the parser forgets it for the next message


def _because(cause: Exception | None) -> str:
    return f": {cause}" if cause is not None and str(cause) else ""
