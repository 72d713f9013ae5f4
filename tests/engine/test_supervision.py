"""What the supervisor makes of real vLLM where no door is needed to see it; the faults a user meets are test_serving's.

One engine lives through the faults in the order of the tests. Each test checks first that what it hits is a process of that
very run: its marker names this process, its replica and its run, and its command line is vLLM's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from local_models.facts.catalogue import catalogue
from local_models.fleet import local_engine
from local_models.host import orphans, procfs
from local_models.wire.hop import EngineHop
from runtime.contract.engine import EngineSpec, ReplicaState
from runtime.contract.failures import HopError
from runtime.contract.hop import HttpCall
from tests.fakes.guard import GUARD

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).resolve().parents[2]
MODEL = "smollm2-135m"
START_S = 400.0


def _tell(line: str) -> None:
    print(f"{time.monotonic():.1f} {line}", flush=True)


class Rig:
    """The engine under test and what a test asks of it."""

    def __init__(self, folder: Path) -> None:
        self.hang_after_s = 4.0
        spec = EngineSpec(
            MODEL, folder, device="cpu", hang_after_s=self.hang_after_s, canary_s=4.0, backoff_first_s=0.5
        )
        self.engine = local_engine(spec, environ=os.environ, clock=time.monotonic, guard=GUARD)
        self.folder = folder

    @property
    def hop(self) -> EngineHop:
        found = self.engine.lanes[0].hop
        assert isinstance(found, EngineHop)
        return found

    @property
    def model(self) -> str:
        return self.engine.lanes[0].model

    def run_of_its(self) -> dict[str, int]:
        """{"front": pid, "core": pid} of the present run, each checked to be vLLM's and ours."""
        front = self.engine.views()[0].pid
        assert front is not None
        line = " ".join(psutil.Process(front).cmdline())
        assert "vllm.entrypoints" in line
        assert str(self.folder) in line or "hearth-" in line
        cores = [process for process in ours(self.folder) if "EngineCore" in _title(process.pid)]
        assert len(cores) == 1
        assert cores[0].marker == orphans.marker_of(front)
        assert cores[0].marker.owner.pid == os.getpid()
        return {"front": front, "core": cores[0].pid}

    async def paris(self) -> None:
        """A whole answer, and the right one."""
        reply = await self.hop.open(_question(self.model, max_tokens=24), connect_s=5)
        assert reply.status == 200
        assert "Paris" in json.loads(await reply.read())["choices"][0]["message"]["content"]

    async def back(self, restarts: int) -> None:
        """Ready again by itself, once more than before, and nothing of the earlier runs is left."""
        await _until(lambda: self.engine.views()[0].restarts > restarts and self.engine.views()[0].ready, START_S)
        runs = {process.marker.run for process in ours(self.folder)}
        assert len(runs) == 1
        await self.paris()


def ours(folder: Path) -> list[orphans.Marked]:
    return [process for process in orphans.marked() if process.marker.owner.state_dir == str(folder.resolve())]


def _title(pid: int) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


def _question(model: str, **members: object) -> HttpCall:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    body = {"model": model, "messages": messages, "temperature": 0, **members}
    return HttpCall("/chat/completions", json.dumps(body).encode())


async def _until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def _cut_stream(rig: Rig, begun: asyncio.Event) -> str:
    """How a long stream ended: "error event" or "cut"; a stream that ends as if it were whole fails the test."""
    reply = await rig.hop.open(_question(rig.model, stream=True, max_tokens=1500, ignore_eos=True), connect_s=5)
    got = b""
    try:
        while chunk := await reply.chunk():
            got += chunk
            if got.count(b"data: ") > 3:
                begun.set()
    except HopError:
        return "cut"
    assert b'"error"' in got or b'"finish_reason":"abort"' in got, got[-500:]
    return "error event"


async def _streaming(rig: Rig) -> asyncio.Task[str]:
    """A stream that has begun."""
    begun = asyncio.Event()
    stream = asyncio.create_task(_cut_stream(rig, begun))
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait((stream, waiting), timeout=60, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert begun.is_set()
    return stream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A ready engine."""
    folder = tmp_path_factory.mktemp("s")
    found = Rig(folder)
    try:
        await found.engine.start(_tell)
        assert await found.engine.wait_ready(START_S), found.engine.log_tail(40)
        yield found
    finally:
        await found.engine.stop()
        assert ours(folder) == []


async def test_whole_answers_in_every_slot_are_not_a_hang(rig: Rig) -> None:
    """No byte comes for long and the canary waits for a slot, but the engine works: it is left alone."""
    entry = catalogue().find(MODEL)
    assert entry is not None and rig.engine.views()[0].max_model_len == entry.context
    run = rig.run_of_its()
    began, slots = time.monotonic(), 16

    async def whole() -> float:
        reply = await rig.hop.open(_question(rig.model, max_tokens=150, ignore_eos=True), connect_s=5)
        assert json.loads(await reply.read())["usage"]["completion_tokens"] == 150
        return time.monotonic() - began

    took = await asyncio.gather(*(whole() for _ in range(slots + 8)))
    print(f"silent for up to {max(took):.0f} s", flush=True)
    assert max(took) > rig.hang_after_s
    assert rig.run_of_its() == run
    assert rig.engine.views()[0].restarts == 0


async def test_a_term_from_outside_with_a_stream_open(rig: Rig) -> None:
    """SIGTERM that we did not send is a crash: the stream fails, nothing hangs, and the engine comes back."""
    run, restarts = rig.run_of_its(), rig.engine.views()[0].restarts
    stream = await _streaming(rig)
    os.kill(run["front"], signal.SIGTERM)
    assert await asyncio.wait_for(stream, 60) in ("error event", "cut")
    await rig.back(restarts)
    cause = rig.engine.views()[0].cause or ""
    assert cause.startswith("vLLM was told to end") or "its endpoint closed" in cause, cause
    assert [procfs.start_of(pid) for pid in run.values()] == [None, None]


async def test_two_owners_do_not_hurt_each_other_and_a_bad_flag_is_given_up(
    rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another engine with a flag vLLM does not know is given up after one start; the first one's processes live on."""
    run = rig.run_of_its()
    spec = EngineSpec(MODEL, tmp_path_factory.mktemp("b"), device="cpu", args=("--frobnicate",))
    other = local_engine(spec, environ=os.environ, clock=time.monotonic, guard=GUARD)
    await other.start(_tell)
    try:
        assert not await other.wait_ready(START_S)
        (view,) = other.views()
        assert (view.state, view.restarts) == (ReplicaState.GIVEN_UP, 0)
        assert "--frobnicate" in (view.cause or "")
        assert ours(spec.state_dir) == []
    finally:
        await other.stop()
    assert rig.run_of_its() == run
    await rig.paris()


async def test_stopping_with_a_stream_open(rig: Rig) -> None:
    """The drain ends at its deadline, the stream fails, and no process and no socket is left."""
    run = rig.run_of_its()
    stream = await _streaming(rig)
    await rig.engine.drain(1.0)
    began = time.monotonic()
    await rig.engine.stop()
    assert time.monotonic() - began < 30
    assert await asyncio.wait_for(stream, 5) in ("error event", "cut")
    assert [procfs.start_of(pid) for pid in run.values()] == [None, None]
    assert (ours(rig.folder), list((rig.folder / "sockets").iterdir())) == ([], [])
