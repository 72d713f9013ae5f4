"""Servers somebody else runs: found, used, lost, found again, never ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_models.engine import LocalEngine
from local_models.host.gpu import GpuReader, NoGpu
from local_models.replica import attached
from local_models.replica.prepared import Notice, PreparedModel
from local_models.replica.supervisor import Watch
from local_models.wire.url import is_loopback, without_secrets
from runtime.contract.engine import EngineSpec, ReplicaState
from runtime.contract.failures import Disposition, HopError
from runtime.contract.hop import HttpCall
from tests.fakes.guard import GUARD
from tests.fakes.local_engine import ROOT, FakePlan

QUICK = Watch(hang_after=0.4, canary=0.4, patience=1.0, idle=None, scrape=0.2, scrape_timeout=0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Servers:
    """Fake vLLM servers that are not ours."""

    def __init__(self) -> None:
        self.begun: list[subprocess.Popen[bytes]] = []

    def start(self, port: int, model: str = "their/model", **script: Any) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "tests.fakes.fake_vllm", "--port", str(port), "--model", model]
        process = subprocess.Popen(
            [*argv, "--script", json.dumps(script)], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self.begun.append(process)
        return process

    def end(self) -> None:
        for process in self.begun:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    monkeypatch.setattr(attached, "_LOOK_S", 0.1)
    found = Servers()
    yield found
    found.end()


async def never(model: str, notice: Notice) -> PreparedModel:
    raise AssertionError("an attached server has its weights")


@contextlib.asynccontextmanager
async def attach(folder: Path, *ports: int, **wishes: Any) -> AsyncIterator[LocalEngine]:
    spec = EngineSpec(
        **{
            "model": "smollm2-135m",
            "state_dir": folder,
            "urls": tuple(f"http://127.0.0.1:{port}/v1" for port in ports),
            "backoff_first_s": 0.2,
            **wishes,
        }
    )
    engine = LocalEngine(
        spec, prepare=never, plan=FakePlan({}), gpus=GpuReader(NoGpu()), clock=time.monotonic, watch=QUICK, guard=GUARD
    )
    await engine.start(lambda line: None)
    try:
        yield engine
    finally:
        await engine.stop()


async def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_their_model_is_discovered_and_used(tmp_path: Path, servers: Servers) -> None:
    """The lane sends the server's own id, and the engine is known by it."""
    port = free_port()
    servers.start(port)
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15), engine.views()
        (view,) = engine.views()
        assert (view.models, view.max_model_len, view.pid) == (("their/model",), 2048, None)
        assert (engine.model, engine.lanes[0].model, engine.on_box) == ("their/model", "their/model", True)
        body = json.dumps({"model": "their/model", "messages": [], "max_tokens": 1}).encode()
        reply = await engine.lanes[0].hop.open(HttpCall("/chat/completions", body), connect_s=2)
        assert (reply.status, json.loads(await reply.read())["choices"][0]["message"]["content"]) == (200, "Paris")


def script(port: int, **members: Any) -> None:
    """Changes a running server's script."""
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}/_fake/script", json.dumps(members).encode()), timeout=10
    ) as answer:
        assert json.load(answer) == {"unknown": []}


async def test_another_model_of_the_server_is_used_as_soon_as_it_says_so(tmp_path: Path, servers: Servers) -> None:
    """Its owner loads another model: the lane sends its id, and the engine is known by it; no restart, no loss."""
    port = free_port()
    servers.start(port)
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15)
        run = engine.views()[0].run
        await asyncio.to_thread(script, port, models=["/host/path/newer"])
        await until(lambda: engine.lanes[0].model == "/host/path/newer")
        assert engine.model == "newer"
        assert engine.served == {"/host/path/newer": None, "newer": None}
        (view,) = engine.views()
        assert (view.state, view.run, view.max_model_len) == (ReplicaState.READY, run, 2048)


async def test_its_404_is_a_reason_to_look_at_once(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks the request is sent again under the new name; a 404 of another cause is passed on."""
    monkeypatch.setattr(attached, "_LOOK_S", 3600)
    port = free_port()
    servers.start(port)
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15)
        await asyncio.to_thread(script, port, models=["second"])
        hop = engine.lanes[0].hop
        call = HttpCall("/chat/completions", b'{"model":"their/model","messages":[]}')
        with pytest.raises(HopError) as raised:
            await hop.open(call, connect_s=2)
        assert raised.value.failure.disposition is Disposition.RETRY_HERE
        assert engine.lanes[0].model == "second"
        reply = await hop.open(call, connect_s=2)
        assert reply.status == 404
        reply.close()


async def test_adapters_and_every_other_listed_model_have_names(tmp_path: Path, servers: Servers) -> None:
    """The model of the settings is the first wherever it stands in the list, and stays in use while it is listed."""
    port = free_port()
    servers.start(port, models=["other", "smollm2-135m", "sql-lora", "/adapters/odd\nname"])
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15)
        assert engine.lanes[0].model == engine.model == "smollm2-135m"
        assert engine.served == {"smollm2-135m": None, "other": "other", "sql-lora": "sql-lora"}
        await asyncio.to_thread(script, port, models=["a", "smollm2-135m"])
        await until(lambda: "a" in engine.served)
        assert engine.lanes[0].model == "smollm2-135m"
        await asyncio.to_thread(script, port, answers={"/v1/models": {"body": {"data": []}}})
        await asyncio.sleep(0.5)
        assert engine.lanes[0].ready and engine.lanes[0].model == "smollm2-135m"


async def test_a_server_without_completions_or_metrics_is_used_all_the_same(tmp_path: Path, servers: Servers) -> None:
    """A 404 at /v1/completions, /metrics or /health is no fault: chat is tried, and the rest goes unseen."""
    port = free_port()
    nothing = {path: {"status": 404} for path in ("/v1/completions", "/metrics", "/health")}
    servers.start(port, answers=nothing)
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15), engine.views()
        before = engine.views()[0]
        await asyncio.sleep(0.5)
        assert engine.views()[0] == before
        assert before.telemetry is None


async def test_nothing_is_known_of_what_their_model_cannot(tmp_path: Path, servers: Servers) -> None:
    """The model of the settings, the built-in one if none is named, says nothing of theirs."""
    port = free_port()
    servers.start(port)
    async with attach(tmp_path, port, model="smollm2-135m") as engine:
        assert await engine.wait_ready(15), engine.views()
        assert engine.capabilities.tools and engine.capabilities.chat


@pytest.mark.parametrize("answers", ["embeddings", "rerank"])
async def test_a_server_of_a_pooling_model_is_one(tmp_path: Path, servers: Servers, answers: str) -> None:
    """It is asked for vectors or scores, and for nothing else."""
    port = free_port()
    paths = {"/v1/completions", "/v1/chat/completions", "/v1/embeddings"} - {f"/v1/{answers}"}
    servers.start(port, answers={path: {"status": 404} for path in paths})
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15), engine.views()
        can = engine.capabilities
        assert (can.chat, can.completions, can.rerank) == (False, False, True)
        assert can.embeddings == (answers == "embeddings")


async def test_a_lost_server_is_found_again_and_its_end_was_not_ours(tmp_path: Path, servers: Servers) -> None:
    """Down it is tried with one probe per step; back it is ready again; stopping the engine leaves it running."""
    port = free_port()
    first = servers.start(port)
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15)
        first.kill()
        await until(lambda: not engine.lanes[0].ready)
        assert "is lost" in (engine.views()[0].cause or "")
        second = servers.start(port)
        await until(lambda: engine.lanes[0].ready)
    assert second.poll() is None


async def test_a_hung_server_is_left_and_not_killed(tmp_path: Path, servers: Servers) -> None:
    """No sign of life for longer than patience: it is routed around until it answers a canary again."""
    port = free_port()
    server = servers.start(port)
    async with attach(tmp_path, port) as engine:
        assert await engine.wait_ready(15)
        server.send_signal(signal.SIGSTOP)
        body = json.dumps({"model": "their/model", "messages": []}).encode()
        waiting = asyncio.create_task(engine.lanes[0].hop.open(HttpCall("/chat/completions", body), connect_s=2))
        await until(lambda: not engine.lanes[0].ready)
        assert (engine.views()[0].cause or "").startswith("hung: no sign of life")
        server.send_signal(signal.SIGCONT)
        assert (await asyncio.wait_for(waiting, 5)).status == 200
        await until(lambda: engine.lanes[0].ready)
        assert server.poll() is None


async def test_a_refused_key_is_the_cause(tmp_path: Path, servers: Servers) -> None:
    """The view says which setting is wrong, and the server is asked again later."""
    port = free_port()
    servers.start(port, answers={"/v1/models": {"status": 401}})
    async with attach(tmp_path, port, key="wrong") as engine:
        await until(lambda: "refuses our key (401)" in (engine.views()[0].cause or ""))
        assert not engine.lanes[0].ready


async def test_nothing_there_is_a_wait_and_not_a_give_up(tmp_path: Path) -> None:
    """A server that was never up is tried on and on; wait_ready ends with its time."""
    async with attach(tmp_path, free_port()) as engine:
        assert not await engine.wait_ready(0.7)
        (view,) = engine.views()
        assert view.state in (ReplicaState.BACKING_OFF, ReplicaState.STARTING, ReplicaState.STOPPING)
        assert "cannot be reached" in (view.cause or "")


@pytest.mark.parametrize(
    ("url", "on_box"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://localhost:1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.7:8000/v1", False),
        ("https://127.0.0.1.example.org/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://0.0.0.0:8000/v1", False),
    ],
)
def test_on_box_is_only_what_cannot_leave_it(url: str, on_box: bool) -> None:
    """Loopback addresses and localhost; a name that looks like them is elsewhere."""
    assert is_loopback(url) is on_box


async def test_one_server_elsewhere_makes_the_fleet_elsewhere(tmp_path: Path) -> None:
    """on_box holds only where every replica is on this machine."""
    spec = EngineSpec("m", tmp_path, urls=("http://127.0.0.1:1/v1", "http://10.0.0.1/v1"))
    engine = LocalEngine(
        spec, prepare=never, plan=FakePlan({}), gpus=GpuReader(NoGpu()), clock=time.monotonic, guard=GUARD
    )
    assert not engine.on_box


def test_a_password_in_a_url_is_not_shown() -> None:
    """Addresses appear in status and in causes."""
    assert without_secrets("http://me:secret@10.0.0.1:8000/v1") == "http://10.0.0.1:8000/v1"
