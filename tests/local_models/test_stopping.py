"""The end of the local fleet: drained, stopped, hurried; and what must not hold it up."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from local_models.host import orphans, procfs
from runtime.contract.engine import Gpu, ReplicaState
from runtime.contract.failures import HopError
from tests.fakes.local_engine import FakePlan, fake_engine, fake_state
from tests.local_models.running import (
    SlowDriver,
    hop,
    only,
    ours,
    restarted,
    running,
    stream_to_its_end,
    until,
)


async def test_an_engine_that_ignores_term_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace the whole group is killed."""
    monkeypatch.setattr("local_models.engine._GRACE_S", 0.3)
    async with running(fake_engine(folder, {"ignore_term": True, "grandchild": True}), folder) as engine:
        state = await fake_state(hop(engine))
        began = time.monotonic()
        await engine.stop()
        assert 0.3 <= time.monotonic() - began < 5
        assert [procfs.start_of(state[who]) for who in ("front", "core", "grandchild")] == [None, None, None]


async def test_a_second_wish_to_stop_cuts_the_grace(folder: Path) -> None:
    """Two processes that ignore SIGTERM: as soon as the caller is in a hurry, SIGKILL ends them."""
    engine = fake_engine(folder, {"ignore_term": True})
    hurry = asyncio.Event()
    await engine.start(lambda line: None)
    assert await engine.wait_ready(20)
    stopping = asyncio.create_task(engine.stop(hurry=hurry))
    await until(lambda: only(engine).state is ReplicaState.STOPPING)
    began = time.monotonic()
    hurry.set()
    await stopping
    assert time.monotonic() - began < 5
    assert (ours(folder), only(engine).state) == ([], ReplicaState.STOPPED)


async def test_a_hurried_stop_does_not_wait_for_gpu_memory(folder: Path) -> None:
    """The driver holds on to the memory of a process that is gone: the next start will see to it."""
    driver = SlowDriver()
    engine = fake_engine(folder, plan=FakePlan({}, gpus=(0,)), probe=driver)
    hurry = asyncio.Event()
    await engine.start(lambda line: None)
    assert await engine.wait_ready(20)
    driver.used = 70 << 30
    stopping = asyncio.create_task(engine.stop(hurry=hurry))
    await until(lambda: ours(folder) == [])
    assert not stopping.done()
    hurry.set()
    await asyncio.wait_for(stopping, 5)
    assert only(engine).state is ReplicaState.STOPPED


async def test_a_stop_has_an_upper_bound(folder: Path) -> None:
    """Without any grace left the engine is killed, though nobody is in a hurry."""
    engine = fake_engine(folder, {"ignore_term": True})
    await engine.start(lambda line: None)
    assert await engine.wait_ready(20)
    began = time.monotonic()
    await engine.stop(within_s=4.5)
    assert time.monotonic() - began < 5.5
    assert ours(folder) == []


async def test_a_notice_on_a_closed_pipe_does_not_stop_the_engine_from_stopping(folder: Path) -> None:
    """Every line raises BrokenPipeError: it starts, survives a crash and ends all the same."""

    def closed(line: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    engine = fake_engine(folder)
    await engine.start(closed)
    try:
        assert await engine.wait_ready(20)
        os.kill(only(engine).pid or 0, signal.SIGKILL)
        await restarted(engine)
        assert only(engine).run == 2
    finally:
        await asyncio.wait_for(engine.stop(), 15)
    assert (ours(folder), only(engine).state) == ([], ReplicaState.STOPPED)


async def test_a_stop_during_the_sweep_starts_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stop` before any replica has begun: the start that goes on launches none."""
    swept, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> orphans.Swept:
        swept.set()
        await go_on.wait()
        return orphans.Swept((), ())

    monkeypatch.setattr(orphans, "sweep", slow)
    plan = FakePlan({})
    engine = fake_engine(folder, plan=plan)
    start = asyncio.create_task(engine.start(lambda line: None))
    await swept.wait()
    await engine.stop()
    go_on.set()
    await start
    assert (plan.starts, only(engine).state) == (0, ReplicaState.STOPPED)


async def test_a_drain_lets_an_open_stream_finish(folder: Path) -> None:
    """The lane is no longer offered, the answer comes to its end, then drain returns."""
    async with running(fake_engine(folder, {"token_s": 0.05, "tokens": 10}), folder) as engine:
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        await engine.drain(10)
        assert b"[DONE]" in await asyncio.wait_for(stream, 1)
        assert (only(engine).state, engine.lanes[0].ready) == (ReplicaState.DRAINING, False)


async def test_a_drain_has_a_deadline(folder: Path) -> None:
    """A stream that will not end does not hold the end up; the stop cuts it."""
    async with running(fake_engine(folder, {"hang_after": 2}), folder, []) as engine:
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        began = time.monotonic()
        await engine.drain(0.2)
        assert 0.2 <= time.monotonic() - began < 1
        await engine.stop()
        with pytest.raises(HopError):
            await asyncio.wait_for(stream, 2)


async def test_stop_during_a_start_leaves_nothing(folder: Path) -> None:
    """Ctrl-C while the model loads ends the process that loads it."""
    engine = fake_engine(folder, {"start_s": 600})
    await engine.start(lambda line: None)
    await until(lambda: len(ours(folder)) >= 2)
    await engine.stop()
    assert ours(folder) == []
    assert only(engine).state is ReplicaState.STOPPED


class HungDriver(SlowDriver):
    """An NVML whose calls do not return while a test holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.held = threading.Event()

    def read(self) -> tuple[Gpu, ...]:
        self.calls += 1
        self.held.wait()
        return super().read()


async def test_a_driver_that_hangs_holds_no_stop_up(folder: Path) -> None:
    """The call to NVML is left alone in its daemon thread, one call at most."""
    driver = HungDriver()
    engine = fake_engine(folder, probe=driver)
    await engine.start(lambda line: None)
    try:
        assert await engine.wait_ready(20)
        assert driver.calls == 1
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "gpu reading"] == [True]
        await asyncio.wait_for(engine.stop(), 15)
    finally:
        driver.held.set()
