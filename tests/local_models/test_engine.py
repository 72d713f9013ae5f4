"""The local fleet over real child processes that behave, and misbehave, like vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_models.engine import LocalEngine
from local_models.host import orphans, procfs
from local_models.host.gpu import GpuProcess
from local_models.replica.prepared import Notice, PreparedModel, PrepareError
from local_models.replica.supervisor import Watch
from local_models.wire.hop import EngineHop
from runtime.contract.engine import Gpu, ReplicaState, ReplicaView
from runtime.contract.failures import HopError
from runtime.contract.hop import HttpCall
from tests.fakes.local_engine import MODEL, QUICK, ROOT, FakePlan, fake_engine, fake_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder of this test alone."""
    return tmp_path / "state"


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


async def test_it_starts_answers_and_stops(folder: Path) -> None:
    """Ready is a real answer; the view names the model, the process and the socket; a start is remembered."""
    said: list[str] = []
    async with running(fake_engine(folder), folder, said) as engine:
        view = only(engine)
        assert (await answer(engine)).startswith("Paris")
        assert (view.models, view.max_model_len, view.restarts, view.in_flight) == ((MODEL,), 2048, 0, 0)
        assert view.pid == (await fake_state(hop(engine)))["front"]
        assert [(lane.name, lane.ready, lane.model) for lane in engine.lanes] == [("replica-0", True, MODEL)]
        assert (engine.model, engine.on_box, engine.capabilities.context_tokens) == (MODEL, True, 2048)
        assert "fake core pid" in engine.log_tail(1)[0]
    assert said[0].startswith(f"replica-0: starting vLLM with {MODEL}")
    assert said[-1].startswith("replica-0: ready after")
    assert json.loads((folder / "engine-starts.json").read_text())["fake"][0] < 20


async def test_the_socket_is_there_long_before_the_model(folder: Path) -> None:
    """While /health says no, it is starting, with an estimate of when it will be ready."""
    engine = fake_engine(folder, {"start_s": 0.5})
    try:
        await engine.start(lambda line: None)
        await until(lambda: bool(engine.log_tail(1)))
        view = only(engine)
        assert (view.state, engine.lanes[0].ready) == (ReplicaState.STARTING, False)
        assert view.ready_at is not None
        assert view.ready_at > time.monotonic()
        assert await engine.wait_ready(10)
    finally:
        await engine.stop()


async def test_a_front_killed_mid_stream_takes_its_core_with_it(folder: Path) -> None:
    """The open stream fails at once, the orphaned core and a stray out of the session are ended, a new engine answers."""
    async with running(fake_engine(folder, {"token_s": 0.05, "tokens": 500, "grandchild": True}), folder) as engine:
        before = await fake_state(hop(engine))
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        os.kill(before["front"], signal.SIGKILL)
        with pytest.raises(HopError):
            await asyncio.wait_for(stream, 2)
        await restarted(engine)
        assert [procfs.start_of(before[who]) for who in ("front", "core", "grandchild")] == [None, None, None]
        assert "killed by signal 9" in (only(engine).cause or "")
        assert await answer(engine, max_tokens=1) == "Paris"


async def test_a_core_that_dies_ends_with_exit_code_0_and_is_a_crash_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream has an error object before its [DONE]; the engine comes back."""
    monkeypatch.setattr("local_models.replica.owned._LAST_WORDS_S", 10.0)  # a busy machine takes its time over an exit
    patient = replace(QUICK, hang_after=10.0)  # and its silence meanwhile is not to be judged a hang
    async with running(fake_engine(folder, {"token_s": 0.05, "tokens": 500}, watch=patient), folder) as engine:
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        os.kill((await fake_state(hop(engine)))["core"], signal.SIGKILL)
        assert b'"error"' in await asyncio.wait_for(stream, 5)
        await restarted(engine)
        assert "exit code 0" in (only(engine).cause or "")


async def test_a_core_that_stands_still_is_found_by_the_canary(folder: Path) -> None:
    """/health and /metrics stay fine; the request that hangs fails; the group is killed and the engine comes back."""
    async with running(fake_engine(folder, {"token_s": 0.02, "tokens": 500}), folder) as engine:
        before = await fake_state(hop(engine))
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        os.kill(before["core"], signal.SIGSTOP)
        assert (await hop(engine).probe("/health", 1))[0] == 200
        with pytest.raises(HopError):
            await asyncio.wait_for(stream, 10)
        await restarted(engine)
        assert (only(engine).cause or "").startswith("hung: no sign of life")
        assert procfs.start_of(before["core"]) is None


async def test_a_front_that_stands_still_is_found_too(folder: Path) -> None:
    """Nothing answers at all, not even /metrics."""
    async with running(fake_engine(folder, {"token_s": 0.02, "tokens": 500}), folder) as engine:
        before = await fake_state(hop(engine))
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        os.kill(before["front"], signal.SIGSTOP)
        with pytest.raises(HopError):
            await asyncio.wait_for(stream, 15)
        await restarted(engine)


@pytest.mark.parametrize("end_s", [0.0, 60.0])
async def test_a_term_from_outside_is_a_crash_with_its_own_cause(
    folder: Path, end_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else ends the engine: the open stream fails, the cause says who it was not, and it comes back.

    However long it takes over its end: it takes no more connections, and is not a hanging one.
    """
    monkeypatch.setattr("local_models.engine._GRACE_S", 0.3)
    async with running(fake_engine(folder, {"token_s": 0.05, "tokens": 500, "end_s": end_s}), folder) as engine:
        begun = asyncio.Event()
        stream = asyncio.create_task(stream_to_its_end(engine, begun))
        await begun.wait()
        os.kill((await fake_state(hop(engine)))["front"], signal.SIGTERM)
        with contextlib.suppress(HopError):
            assert b'"error"' in await asyncio.wait_for(stream, 5)
        await restarted(engine)
        assert (only(engine).cause or "").startswith("vLLM was told to end (SIGTERM), and not by Hearth")


async def test_a_slow_health_is_not_death(folder: Path) -> None:
    """An engine whose /health takes long goes on serving."""
    async with running(fake_engine(folder), folder) as engine:
        await hop(engine).probe("/_fake/script", 2, method="POST", body=b'{"health_s": 60}')
        await asyncio.sleep(1.5)
        assert await answer(engine)
        assert (only(engine).ready, only(engine).restarts) == (True, 0)


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


async def test_a_change_can_be_awaited(folder: Path) -> None:
    """Every waiter wakes at the next change of state; one that looked before an earlier change returns at once."""
    engine = fake_engine(folder)
    before = engine.revision
    waiters = [asyncio.create_task(engine.changed(before)) for _ in range(3)]
    try:
        await engine.start(lambda line: None)
        assert all(revision > before for revision in await asyncio.gather(*waiters))
        assert await engine.changed(before) == engine.revision
        while not only(engine).ready:
            await asyncio.wait_for(engine.changed(engine.revision), 20)
    finally:
        await engine.stop()


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


async def test_a_stale_socket_does_not_stop_a_start(folder: Path) -> None:
    """A dead engine's socket file is removed before the next one binds."""
    (folder / "sockets").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "sockets" / "replica-0.sock"))
    said: list[str] = []
    async with running(fake_engine(folder), folder, said):
        assert "replica-0: removed the socket a dead engine left" in said


async def test_a_bad_flag_is_given_up_at_once_with_its_cause(folder: Path) -> None:
    """One start, no back-off; wait_ready does not wait for what will not come."""
    line = "api_server.py: error: unrecognized arguments: --frobnicate"
    plan = FakePlan({"log": [line], "exit_at_start": 2})
    engine = fake_engine(folder, plan=plan)
    await engine.start(lambda said: None)
    began = time.monotonic()
    assert not await engine.wait_ready(20)
    assert time.monotonic() - began < 10
    assert (only(engine).state, plan.starts) == (ReplicaState.GIVEN_UP, 1)
    assert "--frobnicate" in (only(engine).cause or "")
    await engine.stop()


async def test_an_exit_nobody_can_explain_is_tried_again(folder: Path) -> None:
    """Exit code 0 before being ready is a failure like any other; the second start works."""
    plan = FakePlan(lambda n: {"log": ["farewell"], "exit_at_start": 0} if n == 1 else {})
    async with running(fake_engine(folder, plan=plan, backoff_first_s=0.1), folder) as engine:
        assert (plan.starts, only(engine).restarts) == (2, 1)
        assert only(engine).cause == "vLLM ended before it was ready: exit code 0; the last it said: farewell"


async def test_a_start_that_takes_too_long_says_so(folder: Path) -> None:
    """The time-out is a failure with a reason, and the slow engine is ended."""
    engine = fake_engine(folder, {"start_s": 600}, start_timeout_s=0.7, backoff_first_s=600)
    await engine.start(lambda line: None)
    await until(lambda: only(engine).state is ReplicaState.BACKING_OFF)
    assert "not ready after 1 s" in (only(engine).cause or "")
    assert ours(folder) == []
    await engine.stop()
    assert only(engine).state is ReplicaState.STOPPED


async def test_weights_that_cannot_be_had_are_the_cause(folder: Path) -> None:
    """What the fetcher says is what the user reads; no process is started."""

    async def gated(model: str, notice: Notice) -> PreparedModel:
        raise PrepareError("accept the licence first", deterministic=True)

    plan = FakePlan({})
    engine = fake_engine(folder, plan=plan, prepare=gated)
    await engine.start(lambda line: None)
    assert not await engine.wait_ready(5)
    assert (only(engine).cause, plan.starts) == ("accept the licence first", 0)
    await engine.stop()


async def test_an_interpreter_that_is_not_there_is_given_up(folder: Path) -> None:
    """A command that cannot be started is named."""

    class Nowhere(FakePlan):
        async def __call__(self, *args: Any) -> Any:
            planned = await super().__call__(*args)
            return type(planned)(("/no/python", "-m", "x"), planned.env, (), planned.key, planned.about)

    engine = fake_engine(folder, plan=Nowhere({}))
    await engine.start(lambda line: None)
    assert not await engine.wait_ready(5)
    assert "cannot start /no/python: No such file" in (only(engine).cause or "")
    await engine.stop()


async def test_replicas_live_and_die_apart(folder: Path) -> None:
    """One crashes, the other goes on being ready with its own process and socket."""
    async with running(fake_engine(folder, replicas=2), folder) as engine:
        await until(lambda: all(view.ready for view in engine.views()))
        first, second = engine.views()
        assert first.pid is not None
        assert (first.address != second.address, first.pid != second.pid) == (True, True)
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: engine.views()[0].restarts == 1 and engine.views()[0].ready)
        assert engine.views()[1].pid == second.pid
        assert {line.split(":")[0] for line in engine.log_tail(5)} == {"replica-0", "replica-1"}


class SlowDriver:
    """A GPU whose memory comes back only when a test says so."""

    reason: str | None = None

    def __init__(self) -> None:
        self.used = 0

    def read(self) -> tuple[Gpu, ...]:
        return (Gpu(0, "H100", 80 << 30, self.used, 0.0, 0.0),)

    def processes(self) -> tuple[GpuProcess, ...]:
        return ()


async def test_a_restart_waits_for_the_gpus_memory(folder: Path) -> None:
    """A killed engine's memory comes back late; only then is the next one started, which would not fit before."""
    driver = SlowDriver()
    plan = FakePlan({}, gpus=(0,))
    async with running(fake_engine(folder, plan=plan, probe=driver), folder) as engine:
        driver.used = 70 << 30
        await until(lambda: [gpu.memory_used for gpu in engine.gpus()] == [70 << 30])
        os.kill(only(engine).pid or 0, signal.SIGKILL)
        await until(lambda: ours(folder) == [])
        await asyncio.sleep(0.7)
        assert (only(engine).state, plan.starts) == (ReplicaState.STOPPING, 1)
        driver.used = 0
        await restarted(engine)


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


OWNER = """
import asyncio, sys
from pathlib import Path
from tests.fakes.local_engine import fake_engine

async def main():
    engine = fake_engine(Path(sys.argv[1]), {"grandchild": True})
    await engine.start(lambda line: None)
    print(await engine.wait_ready(20), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def owner_process(folder: Path) -> subprocess.Popen[str]:
    """Another Hearth that owns a ready engine."""
    code = textwrap.dedent(OWNER)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "True"
    return process


async def test_the_next_start_cleans_up_after_a_killed_owner_and_spares_a_living_one(folder: Path) -> None:
    """SIGKILL of Hearth leaves its engine; the next Hearth ends that one, and not the engine of a living Hearth."""
    other = folder.with_name("other")
    with owner_process(folder) as killed, owner_process(other) as living:
        try:
            killed.kill()
            killed.wait()
            left = ours(folder)
            assert len(left) == 3
            said: list[str] = []
            async with running(fake_engine(folder), folder, said):
                assert said[0] == f"ended 3 engine process(es) that a dead Hearth (pid [{killed.pid}]) had left"
                assert [procfs.start_of(process.pid) for process in left] == [None, None, None]
                assert len(ours(other)) == 3
        finally:
            living.kill()
            living.wait()
            await orphans.sweep(lambda marker: marker.owner.state_dir == str(other.resolve()), 10)
            for process in (killed, living):
                assert process.stdout is not None
                process.stdout.close()


async def test_telemetry_reaches_the_view(folder: Path) -> None:
    """What /metrics says is in the view within a second or so."""
    async with running(fake_engine(folder), folder) as engine:
        await answer(engine)
        await until(lambda: (read := only(engine).telemetry) is not None and read.generation_tokens >= 8)


async def test_a_long_state_folder_works(tmp_path: Path) -> None:
    """Its sockets are elsewhere, short and private."""
    folder = tmp_path / ("long" * 30)
    async with running(fake_engine(folder), folder) as engine:
        address = Path(only(engine).address)
        assert len(str(address)) < 107
        assert address.parent.stat().st_mode & 0o777 == 0o700
    address.parent.rmdir()


async def test_stop_during_a_start_leaves_nothing(folder: Path) -> None:
    """Ctrl-C while the model loads ends the process that loads it."""
    engine = fake_engine(folder, {"start_s": 600})
    await engine.start(lambda line: None)
    await until(lambda: len(ours(folder)) >= 2)
    await engine.stop()
    assert ours(folder) == []
    assert only(engine).state is ReplicaState.STOPPED


async def test_a_busy_engine_whose_requests_are_silent_is_left_alone(folder: Path) -> None:
    """A whole answer of many tokens sends no byte for long; the canary tells that the engine lives."""
    watch = Watch(hang_after=0.2, canary=1.0, patience=3.0, idle=None, scrape=0.2)
    async with running(fake_engine(folder, {"token_s": 0.1, "tokens": 15}, watch=watch), folder) as engine:
        assert (await answer(engine)).startswith("Paris")
        assert only(engine).restarts == 0
