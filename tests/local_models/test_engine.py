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
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_models.host import orphans, procfs
from local_models.replica.prepared import Notice, PreparedModel, PrepareError
from local_models.replica.supervisor import Watch
from runtime.contract.engine import ReplicaState
from runtime.contract.failures import HopError
from tests.fakes.local_engine import MODEL, QUICK, ROOT, FakePlan, fake_engine, fake_state
from tests.local_models.running import (
    SlowDriver,
    answer,
    hop,
    only,
    ours,
    restarted,
    running,
    stream_to_its_end,
    until,
)


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


async def test_log_probabilities_are_compiled_before_it_is_ready(folder: Path) -> None:
    """Of one token of an answer and of several of a prompt: nobody waits for a compiler later."""
    async with running(fake_engine(folder), folder) as engine:
        asked = (await fake_state(hop(engine)))["asked"]
        bodies = [json.loads(each["body"]) if isinstance(each["body"], str) else each["body"] for each in asked]
        assert [body["prompt_logprobs"] for body in bodies if body and body.get("logprobs")] == [1]


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


async def test_an_engine_that_closes_its_endpoint_is_ending_whatever_it_logs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the log, the process lives on, its socket refuses: it is ended and started again as such, not as hung."""
    monkeypatch.setattr("local_models.engine._GRACE_S", 0.3)
    script = {"end_s": 60.0, "quiet_end": True}
    async with running(fake_engine(folder, script), folder) as engine:
        os.kill((await fake_state(hop(engine)))["front"], signal.SIGTERM)
        await restarted(engine)
        assert "its endpoint closed" in (only(engine).cause or "")


async def test_a_slow_health_is_not_death(folder: Path) -> None:
    """An engine whose /health takes long goes on serving."""
    async with running(fake_engine(folder), folder) as engine:
        await hop(engine).probe("/_fake/script", 2, method="POST", body=b'{"health_s": 60}')
        await asyncio.sleep(1.5)
        assert await answer(engine)
        assert (only(engine).ready, only(engine).restarts) == (True, 0)


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


async def test_a_busy_engine_whose_requests_are_silent_is_left_alone(folder: Path) -> None:
    """A whole answer of many tokens sends no byte for long; the canary tells that the engine lives."""
    watch = Watch(hang_after=0.2, canary=1.0, patience=3.0, idle=None, scrape=0.2)
    async with running(fake_engine(folder, {"token_s": 0.1, "tokens": 15}, watch=watch), folder) as engine:
        assert (await answer(engine)).startswith("Paris")
        assert only(engine).restarts == 0
