"""The hop to one engine process, over its Unix socket or its URL: pooled connections, exact counts, no opinions.

Knows how to reach one address, when a pooled connection is stale, and how many requests are out. Adds no retry of
its own save one: a pooled connection that dies before any byte of the answer is replaced once by a fresh one (the
engine had closed it while idle; a generation changes nothing there, so asking twice is safe). Follows no redirect,
keeps no cookie, reads no environment.

`in_flight` and `last_byte_at` are what hang detection lives on: probes do not touch them, nor do the heads and the
error bodies that a vLLM front writes without its engine core (its /health says 200 while the core is stopped).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from local_models.wire.connection import Answer, Connection
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall

_API = "/v1"
_OWN_ENGINE_KEEP_S = 110.0  # we start it with VLLM_HTTP_TIMEOUT_KEEP_ALIVE=120
_ATTACHED_KEEP_S = 4.0  # uvicorn, and so vLLM, closes after 5 s unless told otherwise
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization", "expect"}
)


class EngineHop:
    """A `runtime.contract.hop.Hop` to one engine.

    socket_path: of an engine we started; or base_url: ends in /v1, of one somebody else runs. key: its bearer key, a
    secret. clock: monotonic seconds.

    in_flight: requests whose answer has not fully arrived, connecting included; probes excluded.
    last_byte_at: when body bytes of a good answer last arrived; None before the first.
    busy_since: when in_flight last left zero; None while it is zero.
    """

    def __init__(
        self,
        *,
        socket_path: Path | None = None,
        base_url: str | None = None,
        key: str | None = None,
        clock: Callable[[], float],
    ) -> None:
        if (socket_path is None) == (base_url is None):
            raise ValueError("an engine hop takes either socket_path or base_url")
        self.in_flight = 0
        self.last_byte_at: float | None = None
        self.busy_since: float | None = None
        self._clock = clock
        self._socket = str(socket_path) if socket_path is not None else None
        self._keep_s = _OWN_ENGINE_KEEP_S if socket_path is not None else _ATTACHED_KEEP_S
        url = urlsplit((base_url or f"http://engine{_API}").rstrip("/"))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not a URL of an engine: {base_url!r}")
        self._host, self._port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._base, self._root = url.path, url.path.removesuffix(_API)
        self._fixed = _fixed_headers(url.netloc.rpartition("@")[2], key)
        self._idle: dict[Connection, None] = {}  # in the order they fell idle; the newest is used first
        self._heads: dict[tuple[str, str], bytes] = {}

    @property
    def address(self) -> str:
        """For messages; no secrets."""
        return self._socket or f"{self._host}:{self._port}"

    @property
    def quiet_since(self) -> float | None:
        """Since when the engine owes us bytes and has sent none; None while nothing is out."""
        if self.busy_since is None:
            return None
        return self.busy_since if self.last_byte_at is None else max(self.busy_since, self.last_byte_at)

    async def open(self, call: HttpCall, *, connect_s: float) -> Answer:
        """Sends the call and waits for the answer's head. Raises HopError. Cancelling it closes the connection."""
        head = self._head(call.method, self._base + call.path, call.headers, len(call.body))
        return await self._ask(head, call.body, connect_s, counted=True)

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """One uncounted call to a path beside /v1 ("/health", "/metrics"): (status, body). Raises HopError."""
        headers = (("content-type", "application/json"),) if body else ()
        head = self._head(method, self._root + path, headers, len(body))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._ask(head, body, timeout_s, counted=False)
                try:
                    return answer.status, await answer.read()
                finally:
                    answer.close()
        except TimeoutError as error:
            message = f"{self.address} did not answer {path} within {timeout_s:g} s"
            raise HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, message)) from error

    async def reset(self) -> None:
        """Drops the pooled connections: the engine was restarted, or the loop changed. Answers in progress go on."""
        idle, self._idle = self._idle, {}
        for connection in idle:
            connection.abort()
        await asyncio.sleep(0)  # the loop closes the sockets

    async def aclose(self) -> None:
        """Drops the pooled connections. The hop may be used again."""
        await self.reset()

    # -- what an answer tells us

    def progressed(self, answer: Answer) -> None:
        self.last_byte_at = self._clock()

    def ended(self, answer: Answer, connection: Connection, *, reusable: bool) -> None:
        if answer.counted:
            self._leave()
        if reusable and not connection.lost:
            connection.idle_since = self._clock()
            self._idle[connection] = None

    # -- one exchange

    async def _ask(self, head: bytes, body: bytes, connect_s: float, *, counted: bool) -> Answer:
        loop = asyncio.get_running_loop()
        pooled = self._pooled(loop)
        if pooled is not None:
            answer = self._begin(pooled, counted)
            try:
                return await self._send(answer, pooled, head, body)
            except HopError as error:
                if answer.touched or error.failure.kind is not Kind.DOWN:
                    raise
        fresh = await self._connect(loop, connect_s, counted)
        return await self._send(self._begin(fresh, counted), fresh, head, body)

    def _begin(self, connection: Connection, counted: bool) -> Answer:
        if counted:
            self._enter()
        return Answer(connection, self, counted=counted)

    async def _send(self, answer: Answer, connection: Connection, head: bytes, body: bytes) -> Answer:
        try:
            connection.send(head, body)
            await answer.head()
        except BaseException:
            answer.close()
            raise
        return answer

    def _pooled(self, loop: asyncio.AbstractEventLoop) -> Connection | None:
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
            if connection.usable(loop):
                return connection
            connection.abort()
        return None

    async def _connect(self, loop: asyncio.AbstractEventLoop, connect_s: float, counted: bool) -> Connection:
        if counted:
            self._enter()
        try:
            async with asyncio.timeout(connect_s):
                return await self._dial(loop)
        except TimeoutError as error:
            message = f"no connection to {self.address} within {connect_s:g} s"
            raise HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, message)) from error
        except OSError as error:
            message = f"no connection to {self.address}: {error.strerror or error}"
            raise HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, message)) from error
        finally:
            if counted:
                self._leave()

    async def _dial(self, loop: asyncio.AbstractEventLoop) -> Connection:
        """asyncio and uvloop both set TCP_NODELAY on what they connect."""
        if self._socket is not None:
            return (await loop.create_unix_connection(lambda: Connection(loop), self._socket))[1]
        return (await loop.create_connection(lambda: Connection(loop), self._host, self._port, ssl=self._tls))[1]

    def _enter(self) -> None:
        self.in_flight += 1
        if self.in_flight == 1:
            self.busy_since = self._clock()

    def _leave(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self.busy_since = None

    def _head(self, method: str, target: str, headers: tuple[tuple[str, str], ...], length: int) -> bytes:
        first = self._heads.get((method, target))
        if first is None:
            first = _clean(f"{method} {target} HTTP/1.1") + self._fixed
            if len(self._heads) < 64:  # paths are few; a caller that invents them does not fill memory
                self._heads[method, target] = first
        rest = b"".join([_clean(f"{name}: {value}") for name, value in headers if name not in _OURS])
        return b"%b%bcontent-length: %d\r\n\r\n" % (first, rest, length)


def _fixed_headers(host: str, key: str | None) -> bytes:
    """Bytes must arrive as they were generated, so no encoding is accepted."""
    lines = _clean(f"host: {host}") + b"accept-encoding: identity\r\n"
    return lines + _clean(f"authorization: Bearer {key}") if key else lines


def _clean(line: str) -> bytes:
    """One header line. Raises ValueError for one that would smuggle another."""
    if "\r" in line or "\n" in line or "\0" in line:
        raise ValueError("a header holds a line break")
    return line.encode("latin-1") + b"\r\n"
