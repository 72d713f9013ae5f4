"""One Hearth's part in the channel of in-flight requests: a fleet in memory before one engine, on a real store.

    python -m tests.fakes.flying URL TOKENS

As a program it has one request of so many tokens in flight, says so once it was published, and runs until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.load.ledger import InFlight
from runtime.settings import Escalation
from runtime.shared.channel import StoreChannel
from runtime.shared.flights import SharedFlights, engine_name
from tests.fakes.engine import FakeEngine
from tests.fakes.upstream import Turn, engine_backend, told

ENGINE = "http://engine:8000/v1"
UP = "it was published"


class FlyingHearth:
    """It publishes and hears while `running` lasts."""

    def __init__(self, store: str, name: str) -> None:
        backend = engine_backend((Turn(told("fine")),))
        self.fleet = LiveFleet(FakeEngine(backend), backend, Clouds({}), Escalation(), time.monotonic, alone=False)
        self.lane = backend.lanes[0]
        engines = {self.lane.name: (engine_name(ENGINE), ENGINE)}
        self.flights = SharedFlights(self.fleet, engines, name, 1, time.monotonic)
        self.channel = StoreChannel(store, None, time.monotonic)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        work = [self.flights.publish(self.channel), self.channel.listen(self.flights.take)]
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            yield
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.channel.aclose()

    def sends(self, tokens: int) -> InFlight:
        return self.fleet.ledger(self.lane).claim(tokens, None, time.monotonic).__enter__()

    @property
    def waiting(self) -> int:
        """Requests that its decisions reckon with."""
        return self.fleet.ledger(self.lane).waiting_now(time.monotonic())


async def main(store: str, tokens: str) -> None:
    hearth = FlyingHearth(store, "child")
    hearth.sends(int(tokens))
    async with hearth.running():
        while not hearth.channel.sent:
            await asyncio.sleep(0.01)
        print(UP, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
