"""The contract of an attached pool, on the balancers people run: each before two fake vLLM servers. Slow.

vllm-router, sglang-router and smg at the versions of scripts/locks, each in an environment of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
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
from local_models.replica.prepared import Notice, PreparedModel
from local_models.replica.supervisor import Watch
from local_models.wire.codec import EngineCodec
from runtime.contract.engine import EngineSpec
from runtime.contract.failures import Kind
from runtime.contract.hop import HttpCall
from scripts import apart
from tests.fakes.guard import GUARD
from tests.fakes.local_engine import ROOT, FakePlan
from tests.local_models.replica.test_attached import free_port

pytestmark = pytest.mark.slow

BALANCERS = {
    "vllm-router": ("bench-vllm-router", ("vllm-router", "--policy", "consistent_hash")),
    "sglang-router": ("bench-sglang-router", ("sglang-router", "launch", "--policy", "round_robin")),
    "smg": ("pool-smg", ("smg", "launch", "--policy", "round_robin")),
}
MODEL = "their/model"
QUICK = Watch(hang_after=0.4, canary=1.0, patience=3.0, idle=None, scrape=0.2, scrape_timeout=0.5, canaries=3)
LONG_S = 60.0  # for what takes a moment on a machine of its own


class Cluster:
    """Two engines and the balancer before them."""

    def __init__(self, name: str) -> None:
        environment, command = BALANCERS[name]
        self.ports = (free_port(), free_port())
        self.port = free_port()
        self.engines: list[subprocess.Popen[bytes] | None] = [None, None]
        for index in (0, 1):
            self.start_engine(index)
        for port in self.ports:
            _answering(f"http://127.0.0.1:{port}/health")
        # Their own breakers try again after a minute by default.
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--prometheus-port", str(free_port()))
        program = apart.python_environment(environment) / "bin" / command[0]
        workers = [f"http://127.0.0.1:{port}" for port in self.ports]
        again = ("--cb-timeout-duration-secs", "2")
        self.balancer = _started([str(program), *command[1:], *again, "--worker-urls", *workers, *place])
        _answering(f"http://127.0.0.1:{self.port}/v1/models")

    def start_engine(self, index: int) -> None:
        argv = [sys.executable, "-m", "tests.fakes.fake_vllm", "--port", str(self.ports[index]), "--model", MODEL]
        self.engines[index] = _started(argv)

    def kill_engine(self, index: int) -> None:
        engine = self.engines[index]
        assert engine is not None
        engine.kill()
        engine.wait()

    def script(self, index: int, **members: Any) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[index]}/_fake/script", json.dumps(members).encode()
        )
        urllib.request.urlopen(request, timeout=10).close()

    def asked(self, index: int) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[index]}/_fake/state", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["asked"]
        return found

    def end(self) -> None:
        for process in (self.balancer, *self.engines):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


def _started(argv: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _answering(url: str) -> None:
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(params=BALANCERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    found = Cluster(request.param)
    yield found
    found.end()


async def never(model: str, notice: Notice) -> PreparedModel:
    raise AssertionError("a pool has its weights")


@contextlib.asynccontextmanager
async def attached(folder: Path, cluster: Cluster) -> AsyncIterator[LocalEngine]:
    url = f"http://127.0.0.1:{cluster.port}/v1"
    spec = EngineSpec(MODEL, folder, urls=(url,), pool=True, backoff_first_s=0.2, backoff_most_s=1.0)
    engine = LocalEngine(
        spec, prepare=never, plan=FakePlan({}), gpus=GpuReader(NoGpu()), clock=time.monotonic, watch=QUICK, guard=GUARD
    )
    await engine.start(lambda line: None)
    try:
        assert await engine.wait_ready(LONG_S), engine.views()
        yield engine
    finally:
        await engine.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not true():
            await asyncio.sleep(0.05)


async def chat(engine: LocalEngine, *headers: tuple[str, str], stream: bool = False) -> tuple[int, bytes]:
    members = {"messages": [{"role": "user", "content": "capital of France"}], "max_tokens": 4, "stream": stream}
    body = json.dumps({"model": engine.lanes[0].model, **members}).encode()
    call = HttpCall("/chat/completions", body, (("content-type", "application/json"), *headers))
    reply = await engine.lanes[0].hop.open(call, connect_s=5)
    try:
        return reply.status, await reply.read()
    finally:
        reply.close()


async def test_it_answers_whole_and_streamed_and_has_no_telemetry(tmp_path: Path, cluster: Cluster) -> None:
    """Under the id of the settings, even where the balancer lists another; one engine's gauges are not the pool's."""
    async with attached(tmp_path, cluster) as engine:
        assert engine.model == engine.lanes[0].model == MODEL
        status, body = await chat(engine)
        assert status == 200 and json.loads(body)["choices"][0]["message"]["content"].startswith("Paris")
        status, body = await chat(engine, stream=True)
        assert status == 200 and body.rstrip().endswith(b"data: [DONE]")
        await asyncio.sleep(1.0)  # several readings
        assert engine.views()[0].telemetry is None and engine.lanes[0].ready


@pytest.mark.parametrize("cluster", ["vllm-router"], indirect=True)
async def test_a_session_stays_on_one_engine(tmp_path: Path, cluster: Cluster) -> None:
    """By its header. sglang-router and smg pass no such header on."""
    async with attached(tmp_path, cluster) as engine:
        for _ in range(6):
            await chat(engine, ("x-session-id", "one"))
        named = [
            [each for each in cluster.asked(index) if '"x-session-id": "one"' in json.dumps(each).lower()]
            for index in (0, 1)
        ]
        assert sorted(map(len, named)) == [0, 6]


async def test_one_hanging_engine_is_no_hang_of_the_pool(tmp_path: Path, cluster: Cluster) -> None:
    """Its requests wait without a byte; canaries reach the other."""
    async with attached(tmp_path, cluster) as engine:
        cluster.script(0, hang_after=0)
        waiting = [asyncio.create_task(chat(engine, stream=True)) for _ in range(4)]
        await asyncio.sleep(3 * QUICK.patience)
        assert engine.lanes[0].ready, engine.views()
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_engines_that_are_gone_are_noticed_and_found_again(tmp_path: Path, cluster: Cluster) -> None:
    """The balancer stays up, and with some its list of models and its /health stay good."""
    async with attached(tmp_path, cluster) as engine:
        for index in (0, 1):
            cluster.kill_engine(index)
        began = time.monotonic()
        status, body = await chat(engine)
        assert EngineCodec().classify(status, {}, body).kind is Kind.DOWN
        await until(lambda: not engine.lanes[0].ready)
        assert time.monotonic() - began < LONG_S / 2
        for index in (0, 1):
            cluster.start_engine(index)
        await until(lambda: engine.lanes[0].ready)
        async with asyncio.timeout(LONG_S):  # smg's own breakers close later for one path than for another
            while (await chat(engine))[0] != 200:
                await asyncio.sleep(0.5)


async def test_a_full_pool_is_busy_and_stays_up(tmp_path: Path, cluster: Cluster) -> None:
    """vLLM's own 503 comes through every balancer, retried or not."""
    async with attached(tmp_path, cluster) as engine:
        words = "The server is currently at capacity: its queue is full"
        full = {"status": 503, "body": {"error": {"message": words, "type": "Service Unavailable", "code": 503}}}
        for index in (0, 1):
            cluster.script(index, answers={"/v1/chat/completions": full})
        status, body = await chat(engine)
        assert EngineCodec().classify(status, {}, body).kind is Kind.BUSY, body
        await asyncio.sleep(5.0)  # two looks at it
        assert engine.lanes[0].ready


async def test_a_dead_balancer_is_lost(tmp_path: Path, cluster: Cluster) -> None:
    """Its connections are refused."""
    async with attached(tmp_path, cluster) as engine:
        cluster.balancer.kill()
        await until(lambda: not engine.lanes[0].ready)
