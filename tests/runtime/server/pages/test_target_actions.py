"""An operator's hand on a target's breaker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.fleet.breaker import Breaker, BreakerState
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

ADMIN = {"authorization": "Bearer root"}


async def steered(door: Door, verb: str, name: str = "far", **body: Any) -> Any:
    answer = await door.client.post(f"/hearth/targets/{name}/{verb}", json=body, headers=ADMIN)
    return answer.json() | {"status": answer.status_code}


def setup() -> Setup:
    return Setup(engine_backend((Turn([whole("x")]),)), [cloud("far", *(Turn(told("y")),) * 4)], admins=("root",))


async def test_a_target_is_held_and_closed_by_hand(tmp_path: Path) -> None:
    """Held, a request pinned to it is refused; closed, it is answered again; both are in the audit log."""
    async with opened(setup(), tmp_path) as door:
        held = await steered(door, "hold", seconds=120)
        assert held["breaker"] == "open" and 119 < held["retry_in_s"] <= 120
        assert (await door.client.post("/v1/chat/completions", json=body(), headers=ADMIN)).status_code == 503
        assert (await steered(door, "close"))["breaker"] == "closed"
        assert (await door.client.post("/v1/chat/completions", json=body(), headers=ADMIN)).status_code == 200
        log = (await door.client.get("/hearth/audit", headers=ADMIN)).json()["data"]
        changes = [each["body"]["words"] for each in log if each["kind"] == "change"]
        assert changes == ["far is used again", "nothing is sent to far for 120 s"]


async def test_a_probe_is_one_small_request_with_a_record(tmp_path: Path) -> None:
    """It goes out although the target is held, and its answer says how long it took."""
    async with opened(setup(), tmp_path) as door:
        await steered(door, "hold")
        found = await steered(door, "probe")
        assert found["ok"] is True and found["breaker"] == "closed" and "answered in" in found["words"]
        kept = await door.client.get(f"/hearth/decisions/{found['decision']}", headers=ADMIN)
        assert kept.json()["target"] == "vendor/far-model"


async def test_what_cannot_be_steered_is_refused_in_words(tmp_path: Path) -> None:
    """Unknown targets and verbs are 404, a bad body 400."""
    async with opened(setup(), tmp_path) as door:
        assert (await steered(door, "close", "nobody"))["status"] == 404
        assert (await steered(door, "explode"))["status"] == 404
        assert (await steered(door, "hold", seconds=-1))["status"] == 400
        assert (await steered(door, "hold", minutes=1))["status"] == 400


def body() -> dict[str, Any]:
    return {"model": "far", "messages": [{"role": "user", "content": "hi"}]}


def test_a_hold_outlasts_what_attempts_say() -> None:
    """Successes and failures of requests under way neither end nor lengthen it; then the breaker is what it was."""
    breaker = Breaker()
    breaker.hold(50.0)
    breaker.success()
    assert breaker.state(49.0) is BreakerState.OPEN and not breaker.allows(49.0) and breaker.retry_in(40.0) == 10.0
    assert breaker.state(50.0) is BreakerState.CLOSED and breaker.held_s(50.0) == 0.0


def test_an_open_breaker_lets_one_probe_through_when_it_is_told_to() -> None:
    """Only one; its failure opens it again."""
    breaker = Breaker()
    for _ in range(5):
        breaker.failure(10.0, "no route")
    assert not breaker.allows(10.0) and breaker.trouble == "no route"
    breaker.probe(10.0)
    assert breaker.begin(10.0) and not breaker.begin(10.0)
    breaker.failure(10.0)
    assert not breaker.allows(10.0)
