"""An address with several engines behind it, as its supervisor sees it: a balancer in memory, on a fake clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from local_models.replica.attached import AttachedServer, Pool
from local_models.replica.canary import Probing, ask, completion
from local_models.replica.hang import CanaryAnswer
from local_models.replica.lifecycle import RestartPolicy, StartReplica
from local_models.replica.owned import models_in
from local_models.replica.supervisor import Supervisor, Watch
from runtime.contract.engine import ReplicaState, Telemetry
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall, Reply
from tests.fakes.clock import FakeClock

GOOD, BUSY, GONE, ERROR = (
    (200, b"{}"),
    (503, b"queue is full"),
    (503, b"No available workers"),
    (500, b"EngineCore died"),
)
VLLM = b"vllm:num_requests_running 7\nvllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.2\n"
RAY = b"ray_vllm_num_requests_running 2\nray_vllm_num_requests_waiting 1\n"


class Head:
    """A reply of which only the status is looked at."""

    def __init__(self, status: int) -> None:
        self.status = status


class Balancer:
    """A hop to a balancer: `engines` are what canaries get, in turn; None is silence. metrics: its own /metrics."""

    in_flight = 0
    last_byte_at: float | None = None
    quiet_since: float | None = None

    def __init__(self, clock: FakeClock, *engines: tuple[int, bytes] | None, listed: str = "m") -> None:
        self.engines = list(engines)
        self.listed: tuple[int, bytes] | None = (200, json.dumps({"data": [{"id": listed}]}).encode())
        self.metrics: tuple[int, bytes] | None = (200, VLLM)
        self.asked: list[str] = []
        self._clock = clock

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        return Head(self.engines[0][0] if self.engines[0] else 504)  # type: ignore[return-value]

    async def aclose(self) -> None: ...

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        if path == "/v1/models":
            answer = self.listed
        elif path.endswith("metrics"):
            answer = self.metrics
        else:
            self.asked.append(json.loads(body)["model"])
            answer = self.engines[len(self.asked) % len(self.engines)]
        if answer is None:
            await self._clock.sleep(timeout_s)
            raise HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, "silence"))
        return answer


@contextlib.asynccontextmanager
async def pool(
    clock: FakeClock, hop: Balancer, *metrics: tuple[Probing, str], wanted: str = "m"
) -> AsyncIterator[Supervisor]:
    server = AttachedServer("replica-0", "http://pool", hop, wanted, clock.sleep, Pool(3, metrics))
    supervisor = Supervisor(
        server,
        RestartPolicy(1.0, 30.0, give_up_after=None, grace=0.0),
        Watch(idle=None, canaries=3),
        clock=clock,
        sleep=clock.sleep,
        changed=lambda: None,
        hurry=asyncio.Event(),
    )
    supervisor.begin(lambda line: None)
    supervisor.send(StartReplica())
    await clock.advance(0.5)
    try:
        yield supervisor
    finally:
        await supervisor.close()


def ready(supervisor: Supervisor) -> bool:
    return supervisor.state is ReplicaState.READY


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(0.0)


async def test_no_gauge_beside_the_address_is_believed(clock: FakeClock) -> None:
    """They are those of one engine at random, whatever their names are."""
    async with pool(clock, Balancer(clock, GOOD)) as supervisor:
        await clock.advance(5)
        assert supervisor.state is ReplicaState.READY
        assert supervisor.view().telemetry is None


async def test_the_metrics_of_the_settings_are_added_up(clock: FakeClock) -> None:
    """Two nodes of a Ray cluster; with one of them unreadable nothing is known."""
    one, other = Balancer(clock), Balancer(clock)
    one.metrics = other.metrics = (200, RAY)
    async with pool(clock, Balancer(clock, GOOD), (one, "/metrics"), (other, "/metrics")) as supervisor:
        await clock.advance(1)
        heard = supervisor.view().telemetry
        assert heard is not None and (heard.running, heard.waiting) == (4, 2)
        other.metrics = (404, b"")
        await clock.advance(3)
        late = supervisor.view().telemetry
        assert late is not None and clock() - late.at >= 2, "the last reading grows old, and is not believed"
        other.metrics, one.metrics = (200, b"python_info 1\n"), (200, b"")
        await clock.advance(2)
        assert supervisor.view().telemetry is None


async def test_metrics_without_vllms_names_are_no_telemetry(clock: FakeClock) -> None:
    """Of any server: an idle engine is not to be read out of somebody else's counters."""
    hop = Balancer(clock, GOOD)
    hop.metrics = (200, b"python_info 1\n")
    server = AttachedServer("replica-0", "http://one", hop, "m", clock.sleep)
    seen: list[Telemetry | None] = []
    supervisor = Supervisor(
        server,
        RestartPolicy(),
        Watch(idle=None),
        clock=clock,
        sleep=clock.sleep,
        changed=lambda: seen.append(supervisor.view().telemetry),
        hurry=asyncio.Event(),
    )
    supervisor.begin(lambda line: None)
    supervisor.send(StartReplica())
    await clock.advance(3)
    assert supervisor.view().telemetry is None and supervisor.state is ReplicaState.READY
    await supervisor.close()


async def test_one_canary_that_is_answered_is_life(clock: FakeClock) -> None:
    """A canary reaches one of the engines: three are asked at once, and the best answer counts."""
    for engines, answer in (
        ((None, ERROR, GOOD), CanaryAnswer.GIVEN),
        ((None, ERROR, BUSY), CanaryAnswer.BUSY),
        ((None, None, ERROR), CanaryAnswer.BROKEN),
        ((GONE, GONE, GONE), CanaryAnswer.BROKEN),
    ):
        asked = asyncio.create_task(ask(Balancer(clock, *engines), completion("m"), 2.0, 3))
        await clock.advance(3)
        assert (await asked).answer is answer


async def test_one_silent_engine_of_several_is_no_hang(clock: FakeClock) -> None:
    """Requests wait on it without a byte, and the others answer."""
    hop = Balancer(clock, GOOD, None, None)
    async with pool(clock, hop) as supervisor:
        hop.in_flight, hop.quiet_since = 3, clock()
        await clock.advance(300)
        assert supervisor.state is ReplicaState.READY
        hop.engines = [None]
        await clock.advance(300)
        assert supervisor.state is not ReplicaState.READY


@pytest.mark.parametrize("answer", [GONE, ERROR])
async def test_a_pool_without_engines_is_down_though_its_balancer_is_well(
    clock: FakeClock, answer: tuple[int, bytes]
) -> None:
    """Its list of models still answers: a failed request makes canaries decide, and it is found again."""
    hop = Balancer(clock, GOOD)
    async with pool(clock, hop) as supervisor:
        hop.engines = [answer]
        await clock.advance(60)
        assert ready(supervisor), "nothing is asked of it, and a canary may cost money"
        await supervisor._instance.hop.open(HttpCall("/chat/completions"), connect_s=1)
        await clock.advance(6)
        assert not ready(supervisor)
        hop.engines = [GOOD]
        await clock.advance(60)
        assert ready(supervisor)


async def test_a_pool_whose_balancer_tries_again_for_long_is_down_once_it_gives_up(clock: FakeClock) -> None:
    """A canary that is silent is no life: it is asked again, though no other request has failed."""
    hop = Balancer(clock, GOOD)
    async with pool(clock, hop) as supervisor:
        hop.engines = [ERROR]
        await supervisor._instance.hop.open(HttpCall("/chat/completions"), connect_s=1)
        hop.engines = [None]
        await clock.advance(15)
        assert ready(supervisor)
        hop.engines = [GONE]
        await clock.advance(15)
        assert not ready(supervisor)


async def test_a_full_pool_is_not_down(clock: FakeClock) -> None:
    """Its 503 says that there is no room."""
    hop = Balancer(clock, GOOD)
    async with pool(clock, hop) as supervisor:
        hop.engines = [BUSY]
        await supervisor._instance.hop.open(HttpCall("/chat/completions"), connect_s=1)
        await clock.advance(30)
        assert supervisor.state is ReplicaState.READY


@pytest.mark.parametrize("listed", [None, (503, b"No workers are currently available"), (502, b"")])
async def test_a_silent_or_failing_balancer_is_lost_within_fifteen_seconds(
    clock: FakeClock, listed: tuple[int, bytes] | None
) -> None:
    """It has no prompt to read that could excuse it."""
    hop = Balancer(clock, GOOD)
    async with pool(clock, hop) as supervisor:
        hop.listed = listed
        await clock.advance(15)
        assert supervisor.state is not ReplicaState.READY


async def test_a_balancer_that_knows_no_name_is_asked_for_the_model_of_the_settings(clock: FakeClock) -> None:
    """sglang-router lists `unknown` for engines that do not tell it theirs."""
    hop = Balancer(clock, GOOD, listed="unknown")
    async with pool(clock, hop, wanted="llama") as supervisor:
        assert supervisor.models == ("llama",) and set(hop.asked) == {"llama"}


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ({"max_model_len": 2048}, 2048),
        ({"metadata": {"max_request_context_length": 4096}}, 4096),
        ({"max_model_len": 8, "metadata": {"max_request_context_length": 4096}}, 8),
        ({"max_model_len": "8"}, None),
        ({"metadata": {"max_request_context_length": True}}, None),
        ({"metadata": [1]}, None),
        ({}, None),
    ],
)
def test_the_window_is_vllms_member_or_rays(entry: dict[str, object], length: int | None) -> None:
    """Of /v1/models; anything else is not known."""
    assert models_in(json.dumps({"data": [{"id": "m", **entry}]}).encode()) == {"m": length}
