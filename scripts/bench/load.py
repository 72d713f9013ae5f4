"""The load: so many connections that each ask, wait for the whole answer, and ask again. A process of its own, not counted.

    python -m scripts.bench.load --url http://127.0.0.1:8000 --connections 16 --seconds 2 --body '{…}'

Checks every answer (status, closing mark of a stream) and prints one JSON object, a `Result`. Written on a raw protocol,
so that it leaves the cores to what is measured. `--socket` calls an engine over its Unix socket instead. `--rate` keeps to so
many requests a second, and times each from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

_CONTENT = re.compile(rb'"content": ?"[^"]')
_DONE = b"data: [DONE]"


@dataclass(frozen=True, slots=True)
class Result:
    """count: whole answers; failed: all others. Milliseconds; ttft: to the first content. tokens: content chunks."""

    count: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    tokens: int


@dataclass(slots=True)
class _Tally:
    until: float  # no request starts later
    left: int  # requests still to be started
    gap: float = 0.0  # seconds between two requests of a connection; 0: at once
    times: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    failed: int = 0
    tokens: int = 0

    def may_start(self) -> bool:
        self.left -= 1
        return self.left >= 0 and time.perf_counter() < self.until


class _Asker(asyncio.Protocol):
    """One connection. `ended` is done when it has asked its last."""

    def __init__(self, request: bytes, streams: bool, tally: _Tally, due: float) -> None:
        self._request, self._streams, self._tally, self._due = request, streams, tally, due
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        if not self._tally.gap:
            self._due = time.perf_counter()
            self._send()
            return
        asyncio.get_running_loop().call_later(max(0.0, self._due - time.perf_counter()), self._send)

    def _send(self) -> None:
        if not self._tally.may_start():
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._first: float | None = None
        self._last = b""
        self._asked = self._due
        self._due += self._tally.gap
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._tally.tokens += len(_CONTENT.findall(data))
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        if self._first is None and (not self._streams or _CONTENT.search(piece)):
            self._first = time.perf_counter()
        self._last = piece

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        whole = self._parser.get_status_code() == 200 and (not self._streams or _DONE in self._last)
        if whole and self._first is not None:
            self._tally.times.append(now - self._asked)
            self._tally.firsts.append(self._first - self._asked)
        else:
            self._tally.failed += 1
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def http_request(host: str, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(options: argparse.Namespace) -> Result:
    """One load. options: as `arguments` reads them."""
    url, loop = urlsplit(options.url), asyncio.get_running_loop()
    body: bytes = options.body.encode()
    request = http_request(url.netloc, options.path, body)
    began = time.perf_counter()
    gap = options.connections / options.rate if options.rate else 0.0
    tally = _Tally(began + options.seconds, options.requests, gap)
    streams, turn = '"stream":true' in options.body, gap / options.connections
    askers = [_Asker(request, streams, tally, began + number * turn) for number in range(options.connections)]
    idle = iter(askers)
    for _ in askers:
        if options.socket:
            await loop.create_unix_connection(lambda: next(idle), options.socket)
        else:
            await loop.create_connection(lambda: next(idle), url.hostname, url.port)
    await asyncio.gather(*(asker.ended for asker in askers))
    seconds = time.perf_counter() - began
    p50, p99 = _middle_and_tail(tally.times)
    ttft_p50, ttft_p99 = _middle_and_tail(tally.firsts)
    return Result(len(tally.times), tally.failed, seconds, p50, p99, ttft_p50, ttft_p99, tally.tokens)


def _middle_and_tail(seconds: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    if len(seconds) < 2:
        return (1000 * seconds[0], 1000 * seconds[0]) if seconds else (0.0, 0.0)
    return 1000 * statistics.median(seconds), 1000 * p99(seconds)


def p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--socket", help="a Unix socket to connect to instead of the URL's address")
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3600.0, help="no request starts later")
    parser.add_argument("--requests", type=int, default=10**9, help="no more than so many")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: as fast as answers come")
    parser.add_argument("--body", required=True, help="the JSON that every request sends")
    return parser.parse_args(given)


def main() -> None:
    print(json.dumps(asdict(uvloop.run(run(arguments())))))


if __name__ == "__main__":
    main()
