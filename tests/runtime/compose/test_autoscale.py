"""[autoscale] against a stand-in for Serve's REST API, with the routes, members and refusals of Ray 2.60."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from runtime.compose.autoscale import COUNTED_S, AutoscaleRoom, RayError, RayServe
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.fleet.autoscale import OVER_S, ReplicaCount
from runtime.load.strain import EngineStrain
from tests.fakes.clock import FakeClock
from tests.runtime.settings.readings import settings

SLOW = EngineStrain(3.0, 0.1)
LISTED, SCALES = "/api/serve/applications/", "/api/v1/applications/hearth/deployments/LLMServer%3Aorg--m-3_1/scale"


class Serve:
    """A hop to a dashboard. Replicas that are asked for run when the test says so."""

    def __init__(self) -> None:
        self.target = self.running = 1
        self.external, self.name = True, "LLMServer:org--m-3_1"
        self.refusal: tuple[int, bytes] | None = None
        self.away = False
        self.asked: list[tuple[str, str]] = []

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        self.asked.append((method, path))
        if self.away:
            raise HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "no connection to head:8265"))
        if self.refusal is not None:
            return self.refusal
        if path == LISTED:
            return 200, json.dumps(self._details()).encode()
        assert (method, path) == ("POST", SCALES)
        self.target = json.loads(body)["target_num_replicas"]
        return 200, b'{"message": "Scaling request received. Deployment will get scaled asynchronously."}'

    def _details(self) -> dict[str, Any]:
        replicas = [{"state": "RUNNING", "replica_id": "a"}] * self.running
        starting = [{"state": "STARTING", "replica_id": "b"}] * (self.target - self.running)
        deployment = {"name": self.name, "status": "HEALTHY", "target_num_replicas": self.target}
        deployments = {
            self.name: deployment | {"replicas": replicas + starting},
            "LLMRouter": {"target_num_replicas": 1, "replicas": replicas[:1]},
        }
        application = {"name": "hearth", "status": "RUNNING", "deployments": deployments}
        return {
            "proxy_location": "EveryNode",
            "applications": {"hearth": application | {"external_scaler_enabled": self.external}},
        }


class Room:
    """The room over it, on a fake clock."""

    def __init__(self, mode: str = "act", *, leads: list[bool] | None = None) -> None:
        self.serve, self.clock, self.strain = Serve(), FakeClock(), SLOW
        text = f'[autoscale]\nray = "http://head:8265"\nttft_ms = 1000\nmax = 3\nmode = "{mode}"'
        self.leads = leads

        async def lease() -> bool:
            assert leads is not None
            return leads[0]

        self.ray = RayServe(self.serve, "head:8265", lambda: "org/m-3.1")
        held = None if leads is None else lease
        self.room = AutoscaleRoom(
            settings(text, {}), self.ray, lambda: self.strain, self.clock, leads=held, sleep=self.clock.sleep
        )

    async def after(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            await self.room.look()
            await self.clock.advance(1.0)


async def test_the_deployment_is_found_by_the_models_name_and_scaled() -> None:
    """As Serve writes it; its router beside it is left alone. The one that starts is waited for."""
    made = Room()
    assert await made.ray.count() == ReplicaCount(1, 1)
    await made.after(OVER_S + 3)
    assert (made.serve.target, made.serve.running) == (2, 1)
    assert made.room.report().line.startswith("act: 1 of 2 replicas run, 2 wanted: ")
    await made.after(3 * OVER_S)
    assert made.serve.target == 2 and made.room.report().words == "1 of 2 replicas are starting"
    made.serve.running = 2
    await made.after(OVER_S + 2 * COUNTED_S)
    assert made.serve.target == 3
    assert made.room.gauges() == {"running": 2.0, "target": 3.0, "wanted": 3.0}


async def test_advice_is_shown_and_nothing_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """In the status, in the metrics, and once in the log."""
    made = Room("advise")
    with caplog.at_level(logging.WARNING, "hearth.autoscale"):
        await made.after(3 * OVER_S)
    shown = made.room.report()
    assert made.serve.target == 1 and (shown.target, shown.wanted, shown.trouble) == (1, 2, "")
    assert [each for each in caplog.messages if "would go from 1 to 2 replicas" in each] == caplog.messages
    assert not [each for each in made.serve.asked if each[0] == "POST"]


async def test_off_asks_nothing() -> None:
    """Until a reload says otherwise."""
    made = Room("off")
    await made.after(OVER_S)
    assert not made.serve.asked and made.room.report().wanted is None


async def test_one_hearth_of_a_fleet_acts() -> None:
    """The one that holds the lease; the other takes over once it has it."""
    leads = [False]
    made = Room(leads=leads)
    await made.after(2 * OVER_S)
    assert made.serve.target == 1 and not made.room.report().leader
    leads[0] = True
    await made.after(2 * COUNTED_S)
    assert made.serve.target == 2 and made.room.report().leader


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"refusal": (401, b"Unauthorized: Missing authentication token")}, "refuses the token (401)"),
        ({"refusal": (404, b"404: Not Found")}, "is it the address of Ray's dashboard?"),
        (
            {"refusal": (503, b'{"error": "Serve controller is not available"}')},
            "503: Serve controller is not available",
        ),
        ({"refusal": (200, b"<html>")}, "no list of Serve's applications"),
        ({"away": True}, "cannot be asked: no connection to head:8265"),
        ({"name": "LLMServer:another"}, "no deployment of 'org/m-3.1'; there are: LLMServer:another, LLMRouter"),
        ({"external": False}, "without external_scaler_enabled: true"),
    ],
)
async def test_a_refusal_is_told_in_words(change: dict[str, Any], words: str) -> None:
    """And is in the status' notes."""
    made = Room()
    for name, value in change.items():
        setattr(made.serve, name, value)
    with pytest.raises(RayError) as refused:
        await made.ray.count()
    assert words in str(refused.value)
    await made.room.look()
    assert words in (made.room.trouble or "") and made.room.report().wanted is None


async def test_a_dashboard_that_fails_is_asked_less_and_less_often() -> None:
    """With a pause that doubles; once it answers, what was read before the silence counts no more."""
    made = Room()
    made.serve.away = True
    await made.after(600)
    assert 5 <= len(made.serve.asked) <= 10
    made.serve.away = False
    await made.after(330)
    assert made.room.trouble is None and made.serve.target == 2
