"""The spill-over simulation over HTTP: the same trace, engine and cloud as stand-ins, with `hearth serve` between them.

    python -m scripts.bench.spill_http [--minutes 28 29] [--seed 1] [--slowed 2] [--json]

The stand-in for the engine is the simulation's own, run by the clock: it streams a token at the end of each step and says its
gauges as vLLM does. Everything takes `slowed` times as long, the target for a first token too, so that the machine's own speed
matters less. Hearth is attached to it and knows no more than in the simulation. Exit code 1 where the share that leaves, or the
share in time, is more than three points from the simulation's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from local_models.installer import progress
from scripts.bench import spill
from scripts.bench.processes import ROOT, Running, free_port
from scripts.bench.spill_engine import Engine, Request

MOST_APART = 0.03
_START_S = 60.0
_CLOUD_ASKED = 3  # times, before the trace begins
_CHAT = "/v1/chat/completions"
_MODEL = "stand-in"
_CHARACTERS = 4  # of a token
_HELLO = json.dumps({"model": "local", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}).encode()
_SHAPE = "output:"  # the length of the answer, in the request's `user`


def _chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
    choices = [] if more else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": _MODEL, "choices": choices, **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


_TOKEN = _chunk({"content": " word"})


@dataclass(slots=True)
class StandIn:
    """The engine at `port` and the cloud at the next one. slowed: times as long as in the simulation."""

    engine: Engine
    slowed: float
    chance: random.Random
    read: int = 0
    generated: int = 0
    _streams: dict[str, asyncio.Queue[bool]] = field(default_factory=dict)
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _began: float = 0.0
    _count: int = 0

    @property
    def now(self) -> float:
        return (asyncio.get_running_loop().time() - self._began) / self.slowed

    def first_token(self, id: str, now: float) -> None:
        self.tokens(id, 1, now)

    def tokens(self, id: str, n: int, now: float) -> None:
        self.generated += n
        if id in self._streams:
            self._streams[id].put_nowait(True)

    def finish(self, id: str, now: float) -> None:
        if id in self._streams:
            self._streams[id].put_nowait(False)

    async def run(self) -> None:
        """The engine by the clock, until cancelled."""
        self._began = asyncio.get_running_loop().time()
        while True:
            self.engine.run(self.now, self)
            if self.engine.step is not None:
                await asyncio.sleep(max(0.0, self.engine.step.end - self.now) * self.slowed)
            else:
                self._work.clear()
                await self._work.wait()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cloud: bool) -> None:
        """One connection, request after request."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                length = next(
                    (int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0
                )
                body = json.loads(await reader.readexactly(length) or b"{}")
                if method == "POST" and body.get("stream"):
                    await self._stream(body, writer, cloud=cloud)
                else:
                    said = self._said(path, body)
                    kind = "text/plain" if path == "/metrics" else "application/json"
                    writer.write(
                        f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(said)}\r\n\r\n".encode()
                        + said
                    )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _said(self, path: str, body: dict[str, Any]) -> bytes:
        if path == "/metrics":
            gauges = {
                f'vllm:cache_config_info{{kv_cache_size_tokens="{self.engine.speed.kv_tokens}"}}': 1.0,
                "vllm:num_requests_waiting": len(self.engine.queue),
                "vllm:num_requests_running": len(self.engine.active),
                "vllm:kv_cache_usage_perc": self.engine.kv / self.engine.speed.kv_tokens,
                "vllm:prompt_tokens_total": self.read,
                "vllm:generation_tokens_total": self.generated,
            }
            return "".join(f"{name} {value}\n" for name, value in gauges.items()).encode()
        if path.endswith("/models"):
            return json.dumps({"object": "list", "data": [{"id": _MODEL, "object": "model"}]}).encode()
        text = {"text": "x", "message": {"role": "assistant", "content": "x"}, "index": 0, "finish_reason": "length"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return json.dumps(
            {"id": "c", "object": "x", "created": 1, "model": _MODEL, "choices": [text], "usage": usage}
        ).encode()

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter, *, cloud: bool) -> None:
        prompt = max(1, len(body["messages"][0]["content"]) // _CHARACTERS)
        output = int(body.get("user", f"{_SHAPE}1").removeprefix(_SHAPE))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        _piece(writer, _chunk({"role": "assistant", "content": ""}), head)
        if cloud:
            seconds = spill.CLOUD_TTFT_S * math.exp(self.chance.gauss(0.0, spill.CLOUD_SIGMA))
            await asyncio.sleep(seconds * self.slowed)
            _piece(writer, _TOKEN * output)
        else:
            await self._generated(Request(str(self._count), self.now, prompt, output), writer)
        usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
        _piece(writer, _chunk({}, "stop") + _chunk({}, usage=usage) + b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")

    async def _generated(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """The tokens of the engine; a connection that breaks takes the request out."""
        self._count += 1
        tokens = self._streams[request.id] = asyncio.Queue()
        self.engine.run(self.now, self)
        self.engine.send(request)
        self.read += request.prompt
        self._work.set()
        ended = False
        try:
            while await tokens.get():
                _piece(writer, _TOKEN)
                await writer.drain()
                if writer.transport.is_closing():
                    raise ConnectionResetError
            ended = True
        finally:
            del self._streams[request.id]
            if not ended and (request in self.engine.active or request in self.engine.queue):
                self.engine.cancel(request)


def _piece(writer: asyncio.StreamWriter, data: bytes, head: bytes = b"") -> None:
    writer.write(head + f"{len(data):x}\r\n".encode() + data + b"\r\n")


@dataclass(frozen=True, slots=True)
class Played:
    """Shares of the counted requests. late: of those that an engine answered. failed: requests that got no answer."""

    within: float
    cloud: float
    count: int
    failed: int
    late: float = 0.0


async def played(ports: Sequence[int], asked: Sequence[Request], slowed: float, seed: int = 1) -> Played:
    """The trace through Hearths, each request at its time and at one of them by chance."""
    loop, found, chance = asyncio.get_running_loop(), list[tuple[Request, float, bool]](), random.Random(seed)
    began = loop.time() + 0.5
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)

    async def one(request: Request, client: httpx.AsyncClient) -> None:
        await asyncio.sleep(began + request.at * slowed - loop.time())
        text = f"{request.id:<12}" + "word" * (request.prompt - 3)
        body = {"model": "auto", "stream": True, "user": f"{_SHAPE}{request.output}"}
        start, first, away = loop.time(), math.inf, False
        async with client.stream("POST", _CHAT, json=body | {"messages": [{"role": "user", "content": text}]}) as got:
            away = not got.headers.get("x-hearth-target", "").startswith("local")
            async for line in got.aiter_lines():
                if '"content": " word"' in line and first == math.inf:
                    first = loop.time() - start
        found.append((request, first, away))

    async with contextlib.AsyncExitStack() as stack:
        every = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600, limits=limits)
            )
            for port in ports
        ]
        await asyncio.gather(*(one(request, chance.choice(every)) for request in asked), return_exceptions=True)
    counted = [(first, away) for request, first, away in found if request.counted]
    total = max(1, len(counted))
    within = sum(first <= spill.TARGET_S * slowed for first, _ in counted) / total
    local = [first for first, away in counted if not away]
    late = sum(first > spill.TARGET_S * slowed for first in local) / max(1, len(local))
    return Played(within, sum(away for _, away in counted) / total, len(counted), len(asked) - len(found), late)


async def over_http(
    asked: Sequence[Request],
    seed: int,
    slowed: float,
    folder: Path,
    *,
    hearths: int = 1,
    engines: int = 1,
    attached: bool = False,
    store: str = "",
) -> Played:
    """engines: of each Hearth. Several Hearths are each other's peers. attached: all have all engines, and are no peers.

    store: the address of what they share.
    """
    cloud_port, ports = free_port(), [free_port() for _ in range(hearths)]
    async with contextlib.AsyncExitStack() as stack:
        owned = {
            port: [await _stand_in(stack, free_port(), slowed, seed + n, cloud=False) for n in range(engines)]
            for port in ports
        }
        await _stand_in(stack, cloud_port, slowed, seed, cloud=True)
        if attached:
            every = [url for urls in owned.values() for url in urls]
            owned = dict.fromkeys(ports, every)
        starts = []
        for port, urls in owned.items():
            own = folder / str(port)
            own.mkdir()
            (own / "hearth.toml").write_text(
                f'[engine]\nmodel = "{_MODEL}"\nurl = {json.dumps(urls)}\n'
                f"[escalation]\nttft_ms = {round(spill.TARGET_S * 1000 * slowed)}\ncomplexity = 1.0\n"
                f'[targets.cloud]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:{cloud_port}/v1"\n'
            )
            env = {"HEARTH_STATE_DIR": str(own / "state"), "HEARTH_SERVER__PORT": str(port)}
            if hearths > 1:
                peers = [f"http://127.0.0.1:{other}" for other in ports if other != port]
                env |= {"HEARTH_FLEET__NAME": f"h{port}", "HEARTH_FLEET__PEERS": json.dumps([] if attached else peers)}
                env |= {"HEARTH_FLEET__STORE": store} if store else {}
                env |= {"HEARTH_FLEET__KEY": "env:BETWEEN_US", "BETWEEN_US": "a-secret-of-the-fleet"}
            serve = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(own / "hearth.toml"))
            hearth = stack.enter_context(Running(serve, own / "hearth.log", env))
            starts.append(asyncio.to_thread(hearth.first_answer, f"http://127.0.0.1:{port}{_CHAT}", _HELLO, _START_S))
        await asyncio.gather(*starts)
        await asyncio.gather(*(_ask_cloud(port) for port in ports))
        await asyncio.sleep(2.0 if hearths > 1 else 0.0)  # each has heard the others
        return await played(ports, asked, slowed, seed)


async def _ask_cloud(port: int) -> None:
    """Some answers of the cloud through a Hearth: what it assumes of one that it never asked is for real speeds."""
    body = {"model": "cloud", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(_CLOUD_ASKED):
            (await client.post(_CHAT, json=body)).raise_for_status()


async def _stand_in(stack: contextlib.AsyncExitStack, port: int, slowed: float, seed: int, *, cloud: bool) -> str:
    """An engine, or the cloud, at a port: its address."""
    stand_in = StandIn(Engine(), slowed, random.Random(seed))
    work = asyncio.create_task(stand_in.run(), name=f"engine {port}")
    stack.callback(work.cancel)
    server = await asyncio.start_server(partial(stand_in.answer, cloud=cloud), "127.0.0.1", port)
    stack.callback(server.close)
    return f"http://127.0.0.1:{port}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.spill_http",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--trace", type=Path, default=shared / "traces" / "azure_llm_2023_conv.csv")
    parser.add_argument("--minutes", type=float, nargs=2, default=(28, 29))
    parser.add_argument("--keep", type=float, default=0.33)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slowed", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    asked = spill.requests(given.trace, given.minutes, given.keep, given.seed)
    simulated = spill.simulate("simulated", spill.hearth(), asked, given.seed)
    line = progress.StepLine("Spill over HTTP", sys.stderr)
    line.update(f"{asked[-1].at * given.slowed:.0f} s")
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(over_http(asked, given.seed, given.slowed, Path(folder)))
    line.end("done")
    apart = max(abs(seen.cloud - simulated.cloud), abs(seen.within - simulated.within))
    kept = apart <= MOST_APART and not seen.failed
    if given.json:
        print(json.dumps({"simulated": asdict(simulated), "seen": asdict(seen), "kept": kept}))
    else:
        print(f"{seen.count} requests, {seen.failed} failed, load of the machine {os.getloadavg()[0]:.1f}")
        for name, share, cloud in (
            ("simulated", simulated.within, simulated.cloud),
            ("over HTTP", seen.within, seen.cloud),
        ):
            print(f"{name}: {share:.1%} within {spill.TARGET_S} s, {cloud:.1%} to the cloud")
        print(f"{'kept' if kept else 'MISSED'}: {apart * 100:.1f} points apart, at most {MOST_APART * 100:.0f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
