"""The daily price update: when it runs, what it puts in force, and how a failure is reported."""

from __future__ import annotations

import asyncio

import pytest

from runtime.compose.price_list import PriceList
from runtime.contract.guard import DepartureRefused

DAY = 86_400.0


class Bench:
    """A price list on a clock of its own. faults: of the next fetches, in order. Stops when its steps are over."""

    def __init__(self, *faults: Exception | None, wanted: bool = True) -> None:
        self.now, self.wanted = 0.0, wanted
        self.faults = list(faults)
        self.fetched: list[float] = []
        self.changed = 0
        self.list = PriceList(self.fetch, lambda: self.now)

    async def fetch(self) -> str:
        self.fetched.append(self.now)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return "2026-11-29"

    def trouble(self) -> str | None:
        return self.list.trouble

    def change(self) -> None:
        self.changed += 1

    async def run(self, seconds: float) -> None:
        end = self.now + seconds

        async def sleep(duration: float) -> None:
            self.now += duration
            if self.now >= end:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await self.list.run(lambda: self.wanted, self.change, sleep)


async def test_it_is_off_unless_it_is_wanted() -> None:
    """Nothing is fetched; a reload that turns it on is followed within a minute."""
    bench = Bench(wanted=False)
    await bench.run(DAY)
    assert bench.fetched == []
    bench.wanted = True
    await bench.run(60)
    assert len(bench.fetched) == bench.changed == 1


async def test_it_fetches_once_a_day() -> None:
    """At the start and then daily; each list is put in force."""
    bench = Bench()
    await bench.run(3 * DAY - 60)
    assert bench.fetched == [0.0, DAY, 2 * DAY] and bench.changed == 3


async def test_a_failure_is_reported_once_and_tried_again_each_hour(caplog: pytest.LogCaptureFixture) -> None:
    """It stands in the status until an update succeeds, and the prices of before stay in force."""
    bench = Bench(DepartureRefused("not today"), OSError("no route"), TimeoutError())
    await bench.run(3_600 + 60)
    assert bench.trouble() == "the price list could not be updated, the old prices hold: no route"
    await bench.run(3_600)
    assert (bench.trouble() or "").endswith("TimeoutError")
    (said,) = caplog.messages
    assert bench.changed == 0 and "not today" in said
    await bench.run(3_600)
    assert bench.trouble() is None and bench.changed == 1 and len(bench.fetched) == 4


async def test_turned_off_it_has_no_trouble() -> None:
    """What is not wanted does not fail."""
    bench = Bench(OSError("no route"))
    await bench.run(60)
    bench.wanted = False
    await bench.run(60)
    assert bench.trouble() is None
