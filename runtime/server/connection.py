"""A client's connection: uvicorn's HTTP protocol with a bound on everything that a client can make grow or last.

Bytes are counted and clocks run only while a message is incomplete, so that a request that arrives in one piece, which is
nearly every one, pays for none of it. Knows no route, no key and no dialect.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, ClassVar

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from runtime.server.asgi import WRITE_NOW
from runtime.server.gathered import Gathered

_OVERHEAD = 16  # bytes of framing that a byte of body may cost: a chunk of one byte takes 6


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one client may cost before its request is read, and all of them together. Bytes and seconds.

    head_s: for the whole head, from the connection or its first byte on. window_s: in which some of a body must arrive.
    body_s: for the whole body, and a second more for every body_rate bytes of it. framing_bytes: chunk sizes,
    extensions and trailers together. write_s: how long a client may read nothing of an answer. unread_bytes: body that
    is still read, and thrown away, after its request was answered; linger_bytes and linger_s: the same after a request
    was refused here. Beyond `connections` the longest idle one gives way, or the new one gets a 503.
    """

    head_bytes: int = 65_536
    headers: int = 256
    target_bytes: int = 8_192
    head_s: float = 15.0
    window_s: float = 60.0
    body_s: float = 600.0
    body_rate: int = 16_384
    framing_bytes: int = 65_536
    write_s: float = 120.0
    unread_bytes: int = 16 << 20
    linger_bytes: int = 1 << 20
    linger_s: float = 2.0
    pipelined: int = 16
    connections: int = 10_000
    idle: int = 5_000


class MessagePart(Enum):
    """The part of a message that is expected next."""

    BETWEEN = "between two messages"
    HEAD = "head"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class _Refused:
    """The answer to a message that is refused unread."""

    status: int
    code: str
    message: str

    def page(self) -> bytes:
        """A whole answer that clients of every wire can read, since no dialect is known yet."""
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        body = msgspec.json.encode({"type": "error", "error": error})
        length = b"content-length: %d\r\n" % len(body)
        return (
            STATUS_LINE[self.status]
            + b"content-type: application/json\r\nconnection: close\r\n"
            + length
            + b"\r\n"
            + body
        )


_INVALID = _Refused(400, "invalid_http", "the request is not valid HTTP/1.1")
_FULL = _Refused(503, "too_many_connections", "this server has no room for another connection (server.max_connections)")
_SLOW_HEAD = _Refused(408, "request_timeout", "the head of the request took too long")
_SLOW_BODY = _Refused(408, "request_timeout", "the body of the request came too slowly")
_LARGE_HEAD = _Refused(431, "headers_too_large", "the head of the request is too large")
_LONG_TARGET = _Refused(414, "target_too_long", "the target of the request is too long")
_FRAMING = _Refused(400, "invalid_http", "the body has more framing than content")
_TUNNEL = _Refused(405, "method_not_allowed", "this server is no proxy")
_PIPELINED = _Refused(503, "too_many_requests", "too many requests were sent without waiting for an answer")


class _NotRead(Exception):
    """Stops the parser."""


class HttpProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=http_protocol(limits))`. idle: the connections between two requests, longest idle first."""

    limits: ClassVar[ConnectionLimits]
    idle: ClassVar[dict[HttpProtocol, None]]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._phase = MessagePart.BETWEEN
        self._timed: MessagePart | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._raw = 0  # bytes received of this head, or of this body with its framing
        self._body = 0  # bytes of this body
        self._seen = 0  # bytes of this body when the window began
        self._body_since = 0.0
        self._upgrade = False
        self._refusal = _INVALID

    # The connection

    def connection_made(self, transport: Any) -> None:
        if len(self.connections) >= self.limits.connections:
            oldest = next(iter(self.idle), None)
            if oldest is None:
                self.transport = transport
                transport.write(_FULL.page())
                transport.close()
                return
            oldest.give_way()
        super().connection_made(transport)
        self._real = transport
        self._ending = Gathered(transport, self.loop)
        self.transport = self._ending  # type: ignore[assignment]
        self._timer = self.loop.call_later(self.limits.head_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = MessagePart.BETWEEN
        self._time()
        self.idle.pop(self, None)
        if self._stall is not None:
            self._stall.cancel()
        super().connection_lost(exc)

    def give_way(self) -> None:
        """Closes an idle connection."""
        self.idle.pop(self, None)
        self.transport.close()

    # What arrives

    def data_received(self, data: bytes) -> None:
        limits = self.limits
        if self.transport.is_closing():
            # a refusal was sent: what still arrives is thrown away, up to a bound
            self._raw += len(data)
            if self._raw > limits.linger_bytes:
                self._real.close()
            return
        self._unset_keepalive_if_required()
        self.idle.pop(self, None)
        self._raw += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._plain(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._phase is not self._timed:
            self._time()
        if self._phase is MessagePart.HEAD:
            if self._raw > limits.head_bytes or len(self.headers or ()) > limits.headers:
                self._refuse(_LARGE_HEAD)
        elif self._phase is MessagePart.BODY:
            if self._raw - self._body > limits.framing_bytes + _OVERHEAD * self._body:
                self._refuse(_FRAMING)
            elif self.cycle.response_complete and self._raw > limits.unread_bytes:
                self.transport.close()
        elif self.cycle is None or self.cycle.response_complete:
            self._rest()  # blank lines before a message, or the end of a body that was answered before

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.limits.pipelined:
            raise self._because(_PIPELINED)
        self._phase, self._raw = MessagePart.HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        limits, url = self.limits, self.url
        if len(url) > limits.target_bytes:
            raise self._because(_LONG_TARGET)
        size = len(url) + sum([len(name) + len(value) + 4 for name, value in self.headers])
        if size > limits.head_bytes or len(self.headers) > limits.headers:
            raise self._because(_LARGE_HEAD)
        if not url.startswith(b"/") and url != b"*":
            self._from_absolute_form()
        self._phase, self._raw, self._body, self._seen = MessagePart.BODY, 0, 0, 0
        if self.parser.should_upgrade():
            self._upgrade = True  # the message is read again as plain HTTP
            return
        super().on_headers_complete()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {WRITE_NOW: partial(self._write_now, self.cycle)}
        self.headers = []  # trailers come here, and not among the headers that the application has

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = MessagePart.BETWEEN
        if not self._upgrade:
            super().on_message_complete()

    def _from_absolute_form(self) -> None:
        """Replaces Host by the host of the target, as RFC 9112 3.2.2 demands: the header beside it may say anything."""
        if self.parser.get_method() == b"CONNECT":
            raise self._because(_TUNNEL)
        target = httptools.parse_url(self.url)
        if target.host is None:
            raise self._because(_INVALID)
        port = b":%d" % target.port if target.port else b""
        host = b"[%b]" % target.host if b":" in target.host else target.host
        self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"] + [(b"host", host + port)]
        self.url = (target.path or b"/") + (b"?" + target.query if target.query is not None else b"")

    def _plain(self, rest: bytes) -> None:
        """Reads a message that offers another protocol again, as plain HTTP: the parser has skipped its body.

        Some clients offer h2c with every first request, and a server that does not speak it just answers.
        """
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                head += [name, b": ", b"close" if b"close" in value.lower() else b"keep-alive", b"\r\n"]
            elif name not in (b"upgrade", b"http2-settings"):
                head += [name, b": ", value, b"\r\n"]
        self._upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join([*head, b"\r\n", rest]))

    # Bounds

    def _time(self) -> None:
        """Starts the clock of the phase that has begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = self._phase
        if self._phase is MessagePart.HEAD:
            self._timer = self.loop.call_later(self.limits.head_s, self._late)
        elif self._phase is MessagePart.BODY:
            self._body_since = self.loop.time()
            self._timer = self.loop.call_later(self.limits.window_s, self._window_over)

    def _late(self) -> None:
        """The head took too long, or a new connection sent nothing."""
        if self.flow.read_paused:
            self._time()  # this server does not read: an answer to an earlier request is under way
        elif self._phase is MessagePart.HEAD:
            self._refuse(_SLOW_HEAD)
        else:
            self.transport.close()

    def _window_over(self) -> None:
        """Refuses a body that makes too little progress, unless this server itself has paused reading."""
        limits, taken = self.limits, self.loop.time() - self._body_since
        slow = self._body == self._seen or taken > limits.body_s + self._body / limits.body_rate
        if slow and not self.flow.read_paused:
            self._refuse(_SLOW_BODY)
            return
        self._seen = self._body
        self._timer = self.loop.call_later(limits.window_s, self._window_over)

    def _because(self, refusal: _Refused) -> _NotRead:
        self._refusal = refusal
        return _NotRead()

    def _refuse(self, refusal: _Refused) -> None:
        """Sends the refusal, unless it would stand in the middle of an answer, and ends the connection.

        Closed at once, with bytes of the client still arriving, the connection would be reset and the answer lost.
        """
        cycle = self.cycle
        if self._phase is MessagePart.BODY:
            free = not cycle.response_started and not self.pipeline
            cycle.disconnected = True
            cycle.message_event.set()
        else:
            free = cycle is None or cycle.response_complete
        if not free:
            self.transport.close()
            return
        self.transport.write(refusal.page())
        self._ending.finish()
        self._phase, self._raw = MessagePart.BETWEEN, 0
        self._time()
        self._timer = self.loop.call_later(self.limits.linger_s, self._real.close)

    # What leaves

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and self._phase is MessagePart.BETWEEN:
            self._rest()

    def _rest(self) -> None:
        """Marks the connection as idle."""
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        self.idle[self] = None
        if len(self.idle) > self.limits.idle:
            next(iter(self.idle)).give_way()

    def _write_now(self, cycle: RequestResponseCycle, body: bytes) -> bool:
        """A part of an answer whose head has left, as a chunk. What `cycle.send` would do, without a coroutine."""
        started = cycle.response_started and cycle.chunked_encoding
        if self.flow.write_paused or not started or cycle.response_complete or cycle.disconnected:
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self._real.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _watch_reader(self, unread: int) -> None:
        self._stall = self.loop.call_later(self.limits.write_s, self._reader_stalled, unread)

    def _reader_stalled(self, before: int) -> None:
        """Drops a client that has read nothing since the last look. Nothing is written meanwhile: what is left only shrinks."""
        unread = self._real.get_write_buffer_size()
        if unread < before:
            self._watch_reader(unread)
        else:
            self._real.abort()


def http_protocol(limits: ConnectionLimits) -> type[HttpProtocol]:
    """The protocol of one server, with its limits."""
    return type("LimitedHttpProtocol", (HttpProtocol,), {"limits": limits, "idle": {}})
