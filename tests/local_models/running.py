"""A local fleet of fake vLLM processes, and questions to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local_models.engine import LocalEngine
from local_models.host import orphans
from local_models.host.gpu import GpuProcess
from local_models.wire.hop import EngineHop
from runtime.contract.engine import Gpu, ReplicaView
from runtime.contract.hop import HttpCall
from tests.fakes.local_engine import MODEL


def ours(folder: Path) -> list[orphans.Marked]:
    """Every living process of any Hearth with this state folder."""
    return [process for process in orphans.marked() if process.marker.owner.state_dir == str(folder.resolve())]


@asynccontextmanager
async def running(engine: LocalEngine, folder: Path, said: list[str] | None = None) -> AsyncIterator[LocalEngine]:
    """Started and ready; at the end stopped, with no process and no socket left over."""
    try:
        await engine.start(said.append if said is not None else lambda line: None)
        assert await engine.wait_ready(20), engine.views()
        yield engine
    finally:
        await engine.stop()
        assert ours(folder) == []
        assert list((folder / "sockets").glob("*.sock")) == []


def only(engine: LocalEngine) -> ReplicaView:
    (view,) = engine.views()
    return view


def hop(engine: LocalEngine) -> EngineHop:
    found = engine.lanes[0].hop
    assert isinstance(found, EngineHop)
    return found


async def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def restarted(engine: LocalEngine, times: int = 1) -> None:
    await until(lambda: only(engine).restarts >= times and only(engine).ready)


def question(**members: Any) -> HttpCall:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    return HttpCall("/chat/completions", json.dumps({"model": MODEL, "messages": messages, **members}).encode())


async def answer(engine: LocalEngine, **members: Any) -> str:
    """One whole answer's text."""
    reply = await hop(engine).open(question(**members), connect_s=2)
    assert reply.status == 200
    text: str = json.loads(await reply.read())["choices"][0]["message"]["content"]
    return text


async def stream_to_its_end(engine: LocalEngine, begun: asyncio.Event) -> bytes:
    """Reads a stream; sets `begun` at its first bytes. Raises HopError where it is cut."""
    reply = await hop(engine).open(question(stream=True), connect_s=2)
    got = b""
    while chunk := await reply.chunk():
        got += chunk
        begun.set()
    return got


class SlowDriver:
    """A GPU whose memory comes back only when a test says so."""

    reason: str | None = None
    faults: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.used = 0

    def read(self) -> tuple[Gpu, ...]:
        return (Gpu(0, "H100", 80 << 30, self.used, 0.0, 0.0),)

    def processes(self) -> tuple[GpuProcess, ...]:
        return ()
