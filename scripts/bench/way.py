"""Counts the functions of ours that a request passes on its way through the door to the engine and back, and their files.

    python -m scripts.bench.way [--chunks 5] [--whole] [--list]

A stranger who follows a request has to read these. One process serves as `hearth serve` does, attached to the stub; after
a warm-up ten requests are profiled: how soon the last one ended decides whether a few functions are called, and now and then
something else runs in between, so that the functions of three or more requests count, and the median of the calls.
Comprehensions count as part of their function; what runs besides the request (the watching of the engine, telemetry, the
writing of records in its own thread) is left out. So a count hardly depends on how busy the machine is, and a test holds it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import uvicorn

from runtime.compose.runtime import Runtime, load_settings
from runtime.server.connection import ConnectionLimits, http_protocol
from scripts.bench.processes import ROOT, Running, free_port

OURS = tuple(str(ROOT / package) for package in ("runtime", "local_models", "cloud"))
# They run beside the request, in the same thread.
BESIDE = tuple(str(ROOT / path) for path in ("local_models/replica", "local_models/engine.py", "runtime/chores.py"))
_INSIDE = ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")
_WARM = 20
_PROFILED, _LEAST = 10, 3


@dataclass(frozen=True, slots=True)
class Way:
    """calls: call events of ours in one request, resumed coroutines included. functions: "file:line name", each once."""

    calls: int
    functions: tuple[str, ...]

    @property
    def files(self) -> int:
        return len({each.partition(":")[0] for each in self.functions})


async def measure(*, chunks: int = 5, stream: bool = True) -> Way:
    """The way of a warm chat request."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        stub = (sys.executable, "-m", "scripts.bench.stub", "--port", str(port), "--chunks", str(chunks))
        with Running(stub, Path(folder) / "stub.log"):
            env = {
                "HEARTH_STATE_DIR": folder,
                "HEARTH_ENGINE__URL": json.dumps([f"http://127.0.0.1:{port}/v1"]),
            }
            settings = Path(folder) / "hearth.toml"
            settings.write_text("")
            runtime = Runtime(load_settings(settings, env), env, Path(folder), _nothing, _nothing)
            runtime.record()
            server = uvicorn.Server(
                uvicorn.Config(
                    runtime.app,
                    port=0,
                    http=http_protocol(ConnectionLimits()),
                    ws="none",
                    lifespan="off",
                    log_config=None,
                )
            )
            serving = asyncio.create_task(server.serve())
            try:
                await runtime.engine.start(_nothing)
                await runtime.engine.wait_ready(30)
                while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.01)
                door = server.servers[0].sockets[0].getsockname()[1]
                return await _profiled(door, stream=stream)
            finally:
                await runtime.engine.stop()
                server.should_exit = server.force_exit = True
                await serving
                await runtime.aclose()


def _nothing(line: str) -> None:
    """Takes a line of progress that nobody wants to read."""


async def _profiled(port: int, *, stream: bool) -> Way:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "hello"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    end = b"0\r\n\r\n" if stream else b"}"

    async def ask() -> None:
        writer.write(request)
        answer = await reader.readuntil(end)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"no answer: {answer[:200]!r}")
        if not stream:
            await asyncio.sleep(0.05)
            while not reader.at_eof() and reader._buffer:  # type: ignore[attr-defined]
                await reader.read(65536)

    for _ in range(_WARM):
        await ask()
    seen: Counter[CodeType] = Counter()
    counts: list[int] = []
    calls, passed = 0, set[CodeType]()

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(OURS) or code.co_filename.startswith(BESIDE):
            return
        if code.co_name not in _INSIDE:
            calls += 1
            passed.add(code)

    for _ in range(_PROFILED):
        calls, passed = 0, set()
        sys.setprofile(profile)
        try:
            await ask()
            await asyncio.sleep(0.02)  # until the record is settled
        finally:
            sys.setprofile(None)
        counts.append(calls)
        seen.update(passed)
    writer.close()
    named = sorted(
        f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_firstlineno} {code.co_qualname}"
        for code, times in seen.items()
        if times >= _LEAST
    )
    return Way(round(statistics.median(counts)), tuple(named))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="an answer in one body instead of a stream")
    parser.add_argument("--list", action="store_true", help="name every function")
    options = parser.parse_args()
    way = asyncio.run(measure(chunks=options.chunks, stream=not options.whole))
    if options.list:
        print("\n".join(way.functions))
    print(f"{len(way.functions)} functions in {way.files} files, {way.calls} calls")


if __name__ == "__main__":
    main()
