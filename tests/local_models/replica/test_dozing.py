"""An engine that sleeps while nobody asks it: woken by the next request, and never before a canary has answered."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from local_models.replica.canary import completion
from local_models.replica.dozing import DozingHop
from local_models.replica.instance import WatchedHop
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall

CALL = HttpCall("/chat/completions", b"{}")


class Engine:
    """Notes what it is asked. statuses: of paths that do not answer 200. gate: before each answer to a probe."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.statuses: dict[str, int] = {}
        self.fault: HopError | None = None
        self.gate: asyncio.Event | None = None
        self.in_flight, self.last_byte_at, self.quiet_since = 0, cast("float | None", None), None

    async def probe(self, path: str, timeout_s: float, *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        self.asked.append(path)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return self.statuses.get(path, 200), b"words"

    async def open(self, call: HttpCall, *, connect_s: float) -> Any:
        self.asked.append(call.path)
        return "reply"

    async def aclose(self) -> None: ...


class Rig:
    def __init__(self) -> None:
        self.now, self.engine = 0.0, Engine()
        self.hop = DozingHop(cast("WatchedHop", self.engine), 60.0, lambda: self.now)
        self.hop.begin(completion("m"))

    async def asked(self) -> Any:
        """One request."""
        return await self.hop.open(CALL, connect_s=1.0)

    async def slept(self) -> None:
        self.now += 61.0
        await self.hop.doze()
        assert self.hop.asleep


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_it_sleeps_after_its_time_and_wakes_for_a_request(rig: Rig) -> None:
    """Level 1; a canary goes before the request."""
    rig.now = 59.0
    await rig.hop.doze()
    assert (rig.hop.asleep, rig.engine.asked) == (False, [])
    rig.now = 60.0
    await rig.hop.doze()
    await rig.hop.doze()
    assert (rig.hop.asleep, rig.engine.asked) == (True, ["/sleep?level=1&mode=wait"])
    assert await rig.asked() == "reply"
    assert rig.engine.asked[1:] == ["/wake_up", "/v1/completions", "/chat/completions"]
    assert not rig.hop.asleep and not rig.hop.fault
    rig.now = 119.0  # its time begins anew
    await rig.hop.doze()
    assert not rig.hop.asleep


async def test_it_does_not_sleep_while_it_works(rig: Rig) -> None:
    """A request is out, or one has just ended."""
    rig.now, rig.engine.in_flight = 100.0, 1
    await rig.hop.doze()
    rig.engine.in_flight, rig.engine.last_byte_at = 0, 90.0
    await rig.hop.doze()
    assert rig.engine.asked == []


async def test_many_requests_wake_it_once(rig: Rig) -> None:
    """All of them wait, and count as requests that are out."""
    await rig.slept()
    rig.engine.gate = asyncio.Event()
    tasks = [asyncio.create_task(rig.asked()) for _ in range(5)]
    await asyncio.sleep(0)
    assert rig.hop.in_flight == 5
    rig.engine.gate.set()
    assert await asyncio.gather(*tasks) == ["reply"] * 5
    assert rig.engine.asked.count("/wake_up") == 1 and rig.hop.in_flight == 0


async def test_a_request_that_comes_while_it_falls_asleep_wakes_it(rig: Rig) -> None:
    """It is asked nothing in between."""
    rig.now, rig.engine.gate = 61.0, asyncio.Event()
    dozing = asyncio.create_task(rig.hop.doze())
    await asyncio.sleep(0)
    asking = asyncio.create_task(rig.asked())
    await asyncio.sleep(0)
    rig.engine.gate.set()
    assert await asking == "reply"
    await dozing
    assert rig.engine.asked == ["/sleep?level=1&mode=wait", "/wake_up", "/v1/completions", "/chat/completions"]


@pytest.mark.parametrize("path", ["/wake_up", "/v1/completions"])
async def test_one_that_does_not_wake_is_of_no_use(rig: Rig, path: str) -> None:
    """The request goes elsewhere, and the engine is to be restarted."""
    await rig.slept()
    rig.engine.statuses = {path: 500}
    with pytest.raises(HopError, match="it did not wake"):
        await rig.asked()
    assert rig.hop.fault.startswith("it did not wake")
    rig.hop.begin(completion("m"))
    assert not rig.hop.fault and not rig.hop.asleep


async def test_one_that_does_not_fall_asleep_is_of_no_use(rig: Rig) -> None:
    """Nobody knows what it would do with a request."""
    rig.now, rig.engine.statuses = 61.0, {"/sleep?level=1&mode=wait": 404}
    await rig.hop.doze()
    assert "did not fall asleep (404)" in rig.hop.fault and not rig.hop.asleep
    again = Rig()
    again.now, again.engine.fault = 61.0, HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, "silence"))
    await again.hop.doze()
    assert again.hop.fault == "it did not fall asleep: silence"
