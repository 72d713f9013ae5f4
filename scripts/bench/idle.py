"""What idle streams cost in memory: so many answers that have begun and say nothing more.

python -m scripts.bench idle [--streams 2000] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from scripts.bench.load import http_request
from scripts.bench.processes import Running
from scripts.bench.upstream import stubbed_hearth

MOST_MIB = 400.0
_BODY = b'{"model":"auto","stream":true,"messages":[{"role":"user","content":"hold"}]}'
_CONTENT = b'"content":" word"'
_AT_ONCE = 50  # connections opened together
_SETTLE_S = 3.0
_WITHIN_S = 120.0
# The stub goes silent for ever: what is measured is waiting, not giving up.
_PATIENCE = {"HEARTH_TIMEOUTS__IDLE": "600", "HEARTH_TIMEOUTS__TOTAL": "900"}


class _Listener(asyncio.Protocol):
    """One stream. `begun` is done when its first content came; False when the connection ended before."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.begun: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if _CONTENT in data and not self.begun.done():
            self.begun.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.begun.done():
            self.begun.set_result(False)


async def hold(url: str, streams: int, running: Running) -> tuple[float, int]:
    """Opens the streams. Returns Hearth's memory in MiB while all are open, and how many of them were."""
    host, _, port = urlsplit(url).netloc.partition(":")
    request = http_request(f"{host}:{port}", "/v1/chat/completions", _BODY)
    loop = asyncio.get_running_loop()
    listeners: list[_Listener] = []
    async with asyncio.timeout(_WITHIN_S):
        while len(listeners) < streams:
            few = min(_AT_ONCE, streams - len(listeners))
            made = [await loop.create_connection(lambda: _Listener(request), host, int(port)) for _ in range(few)]
            listeners += [listener for _, listener in made]
            await asyncio.gather(*(listener.begun for _, listener in made))
    await asyncio.sleep(_SETTLE_S)
    return running.rss_mib(), sum(listener.begun.result() and not listener.lost for listener in listeners)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all streams were open and the memory within its bound."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench idle", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    _allow_files(4 * options.streams + 1000)
    with tempfile.TemporaryDirectory() as folder, stubbed_hearth(Path(folder), _PATIENCE) as (running, url):
        before = running.rss_mib()
        after, held = uvloop.run(hold(url, options.streams, running))
    kept = held == options.streams and after < MOST_MIB
    if options.json:
        print(json.dumps({"streams": held, "before_mib": before, "mib": after, "most_mib": MOST_MIB, "kept": kept}))
    else:
        print(
            f"{'kept  ' if kept else 'MISSED'}  {held} of {options.streams} idle streams: {after:.0f} MiB "
            f"({before:.0f} before, {1024 * (after - before) / max(1, held):.0f} KiB each; under {MOST_MIB:.0f} MiB)"
        )
    return 0 if kept else 1


def _allow_files(wanted: int) -> None:
    """Two sockets a stream in Hearth, one here: children inherit what is allowed here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
