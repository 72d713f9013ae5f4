"""The hop to one engine process, over its Unix socket or its URL: pooled connections and exact counts.

Knows how to reach one address, when a pooled connection is stale, and how many requests are in flight. Retries in one
case alone: a pooled connection that dies before any byte of the reply is replaced once by a fresh one (the engine had
closed it while idle; a generation changes nothing there, so that asking twice is safe). Follows no redirect, keeps no
cookie, reads no environment.

Hang detection depends on `in_flight` and `last_byte_at`: probes do not touch them, nor do the heads and the error bodies
that a vLLM front writes without its engine core (its /health says 200 while the core is stopped).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from local_models.wire.connection import MOST_HEAD, HopReply, PooledConnection
from runtime.contract.failures import Disposition, Failure, HopError, Kind, forbidden
from runtime.contract.guard import DepartureRefused, Guard, Receiver
from runtime.contract.hop import HttpCall, Reply
from runtime.wire.unpacking import unpacked

_API = "/v1"
_COPIED = 256 * 1024  # bytes: a shorter body leaves in one write with its head
_MOST_PROBED = 4 << 20  # bytes of a body; /metrics of vLLM has some 100 KiB
_OWN_ENGINE_KEEP_S = 110.0  # we start it with VLLM_HTTP_TIMEOUT_KEEP_ALIVE=120
_ATTACHED_KEEP_S = 4.0  # uvicorn, and so vLLM, closes after 5 s by default
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization", "expect"}
)


class EngineHop:
    """A `runtime.contract.hop.Hop` to one engine.

    socket_path: of an engine started here; or base_url: ends in /v1, of an attached one. key: its bearer key, a secret.
    clock: monotonic seconds. most_head: bytes of a reply's head before it is garbled. exit: the guard of an engine on another
    machine, and that engine as the guard knows it; None for one on this machine. Probes carry no request's data.

    in_flight: requests whose reply is not complete, connecting included; probes excluded.
    last_byte_at: time of the last body bytes of a good reply; None before the first.
    busy_since: when in_flight last left zero; None while it is zero.
    """

    def __init__(
        self,
        *,
        socket_path: Path | None = None,
        base_url: str | None = None,
        key: str | None = None,
        clock: Callable[[], float],
        most_head: int = MOST_HEAD,
        exit: tuple[Guard, Receiver] | None = None,
    ) -> None:
        if (socket_path is None) == (base_url is None):
            raise ValueError("an engine hop takes either socket_path or base_url")
        self.in_flight = 0
        self.last_byte_at: float | None = None
        self.busy_since: float | None = None
        self._clock = clock
        self._exit = exit
        self._most_head = most_head
        self._socket = str(socket_path) if socket_path is not None else None
        self._keep_s = _OWN_ENGINE_KEEP_S if socket_path is not None else _ATTACHED_KEEP_S
        url = urlsplit((base_url or f"http://engine{_API}").rstrip("/"))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not a URL of an engine: {base_url!r}")
        self._host, self._port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._base, self._root = url.path, url.path.removesuffix(_API)
        # Bytes must arrive as they were generated, so no encoding is accepted.
        self._fixed = _clean(f"host: {url.netloc.rpartition('@')[2]}") + b"accept-encoding: identity\r\n"
        if key:
            self._fixed += _clean(f"authorization: Bearer {key}")
        self._open: set[HopReply] = set()  # the counted ones
        self._idle: dict[PooledConnection, None] = {}  # in the order they fell idle; the newest is used first
        self._heads: dict[tuple[str, str], bytes] = {}

    @property
    def address(self) -> str:
        """For messages; no secrets."""
        return self._socket or f"{self._host}:{self._port}"

    @property
    def quiet_since(self) -> float | None:
        """Since when requests have been in flight without a byte of a reply; None while none is in flight."""
        if self.busy_since is None:
            return None
        return self.busy_since if self.last_byte_at is None else max(self.busy_since, self.last_byte_at)

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        """Sends the call and waits for the reply's head. Raises HopError. Cancelling it closes the connection."""
        if self._exit is not None:
            try:
                self._exit[0].check(call.cargo, self._exit[1])
            except DepartureRefused as refused:
                raise HopError(forbidden(str(refused))) from refused
        head = self._head(call.method, self._base + call.path, call.headers, len(call.body))
        reply = await self._ask(head, call.body, connect_s, counted=True)
        return unpacked(reply) if "content-encoding" in reply.headers else reply  # packed by a proxy before the engine

    async def probe(
        self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"", at_most: int = _MOST_PROBED
    ) -> tuple[int, bytes]:
        """One uncounted call to a path beside /v1 ("/health", "/metrics"): (status, body). Raises HopError."""
        headers = (("content-type", "application/json"),) if body else ()
        head = self._head(method, self._root + path, headers, len(body))
        try:
            async with asyncio.timeout(timeout_s):
                reply = unpacked(await self._ask(head, body, timeout_s, counted=False))
                try:
                    return reply.status, await reply.read(at_most)
                finally:
                    reply.close()
        except TimeoutError as error:
            message = f"{self.address} did not answer {path.partition('?')[0]} within {timeout_s:g} s"
            raise HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, message)) from error

    async def reset(self) -> None:
        """Drops the pooled connections: the engine was restarted, or the loop changed. Replies in progress go on."""
        idle, self._idle = self._idle, {}
        for connection in idle:
            connection.abort()
        await asyncio.sleep(0)  # the loop closes the sockets

    def give_up(self, words: str) -> None:
        """Ends every reply in progress as silent: the other side is known to be gone. Probes go on."""
        for reply in tuple(self._open):
            reply.fail(Kind.SILENT, words)

    async def aclose(self) -> None:
        """Drops the pooled connections. The hop may be used again."""
        await self.reset()

    # -- a `ReplyObserver`

    def progressed(self, reply: HopReply) -> None:
        self.last_byte_at = self._clock()

    def ended(self, reply: HopReply, connection: PooledConnection, *, reusable: bool) -> None:
        if reply.counted:
            self._open.discard(reply)
            self._count(-1)
        if reusable:
            connection.idle_since = self._clock()
            self._idle[connection] = None

    # -- one exchange

    async def _ask(self, head: bytes, body: bytes, connect_s: float, *, counted: bool) -> HopReply:
        loop = asyncio.get_running_loop()
        pooled = self._pooled(loop)
        if pooled is not None:
            reply = self._begin(pooled, counted)
            try:
                return await self._send(reply, pooled, head, body)
            except HopError as error:
                if reply.touched or error.failure.kind is not Kind.DOWN:
                    raise
        fresh = await self._connect(loop, connect_s, counted)
        return await self._send(self._begin(fresh, counted), fresh, head, body)

    def _begin(self, connection: PooledConnection, counted: bool) -> HopReply:
        reply = HopReply(connection, self, counted=counted, most_head=self._most_head)
        if counted:
            self._open.add(reply)
            self._count(+1)
        return reply

    async def _send(self, reply: HopReply, connection: PooledConnection, head: bytes, body: bytes) -> HopReply:
        try:
            if len(body) < _COPIED:
                connection.transport.write(head + body)
            else:
                connection.transport.write(head)
                connection.transport.write(body)
            await reply.head()
        except BaseException:
            reply.close()
            raise
        return reply

    def _pooled(self, loop: asyncio.AbstractEventLoop) -> PooledConnection | None:
        """The connection that fell idle last, if it is still good. Old ones are dropped on the way."""
        idle = self._idle
        if not idle:
            return None
        oldest_kept = self._clock() - self._keep_s
        for connection in list(idle) if next(iter(idle)).idle_since < oldest_kept else ():
            if connection.idle_since >= oldest_kept:
                break
            del idle[connection]
            connection.abort()
        while idle:
            connection, _ = idle.popitem()
            if not connection.lost and connection.loop is loop and not connection.transport.is_closing():
                return connection
            connection.abort()
        return None

    async def _connect(self, loop: asyncio.AbstractEventLoop, connect_s: float, counted: bool) -> PooledConnection:
        if counted:
            self._count(+1)
        try:
            async with asyncio.timeout(connect_s):  # asyncio and uvloop both set TCP_NODELAY
                if self._socket is not None:
                    return (await loop.create_unix_connection(lambda: PooledConnection(loop), self._socket))[1]
                dialled = loop.create_connection(lambda: PooledConnection(loop), self._host, self._port, ssl=self._tls)
                return (await dialled)[1]
        except TimeoutError as error:
            message = f"no connection to {self.address} within {connect_s:g} s"
            raise HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, message)) from error
        except OSError as error:
            message = f"no connection to {self.address}: {error.strerror or error}"
            raise HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, message)) from error
        finally:
            if counted:
                self._count(-1)

    def _count(self, change: int) -> None:
        """One exchange more or fewer is under way."""
        self.in_flight += change
        if self.in_flight == 0:
            self.busy_since = None
        elif self.busy_since is None:
            self.busy_since = self._clock()

    def _head(self, method: str, target: str, headers: tuple[tuple[str, str], ...], length: int) -> bytes:
        first = self._heads.get((method, target))
        if first is None:
            first = _clean(f"{method} {target} HTTP/1.1") + self._fixed
            if len(self._heads) < 64:  # paths are few; a caller that invents them does not fill memory
                self._heads[method, target] = first
        rest = b"".join([_clean(f"{name}: {value}") for name, value in headers if name not in _OURS])
        return b"%b%bcontent-length: %d\r\n\r\n" % (first, rest, length)


def _clean(line: str) -> bytes:
    """One header line. Raises ValueError for one that would smuggle another."""
    if "\r" in line or "\n" in line or "\0" in line:
        raise ValueError("a header holds a line break")
    return line.encode("latin-1") + b"\r\n"
