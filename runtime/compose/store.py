"""The store of `[fleet] store`, wired into the runtime. Imported only where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from local_models.wire.url import is_loopback
from runtime.compose.peers import PeerRoom
from runtime.contract.engine import Engine
from runtime.fleet.peers import STORE
from runtime.fleet.store import AttachedStanding
from runtime.life.desk import Desk
from runtime.money.budget import BudgetLedger
from runtime.record.metrics import OthersGauges
from runtime.settings import Settings
from runtime.shared.breakers import SharedBreakers
from runtime.shared.budgets import BudgetLeases
from runtime.shared.channel import StoreChannel
from runtime.shared.flights import SharedFlights, engine_name
from runtime.shared.journal import SharedJournal
from runtime.shared.keys import SharedKeys
from runtime.shared.limits import SharedLimiter
from runtime.shared.store import SharedStore, StoreAwayError, waking
from runtime.trust.key_store import KeyStore

_BEAT_S = 1.0
_TICK_S = 0.05
_TURN_S = 0.2
_HEARD_S = 0.2
_LEAST_S = 0.002  # between two turns: what is asked for meanwhile is one call


class StoreRoom:
    """admit: puts the created keys in force. settings: at the start; [fleet] needs a restart. others: who is heard here.

    Raises StoreRefusedError where the store can never serve a fleet. store: the connection; its `lease` elects one Hearth of
    the fleet for a piece of work.
    """

    def __init__(
        self,
        desk: Desk,
        budget: BudgetLedger,
        settings: Settings,
        folder: Path,
        admit: Callable[[], None],
        others: PeerRoom,
    ) -> None:
        fleet = settings.fleet
        self.journal = SharedJournal(folder / "shared.json")
        password = fleet.store_key.value if fleet.store_key is not None else None
        self.store = SharedStore(fleet.store, self.journal.view.owner, password)
        # As many as there were, or as the settings name: each must know its part while the store is away.
        self.store.alive = max(self.journal.view.hearths, len(fleet.peers) + 1)
        self.store.examine()
        self._desk, self._budget, self._others = desk, budget, others
        self._wake = asyncio.Event()
        self._leases = budget.leases = BudgetLeases(self.store, self.journal, budget, self._wake.set, waking)
        self.limiter = desk.limiter = SharedLimiter(self.store, self._wake.set, waking)
        self._breakers = SharedBreakers(self.store, desk.fleet, desk.clock)
        self._keys = SharedKeys(self.store, KeyStore(folder, desk.wall), folder, admit)
        desk.store_away_s = self.store.away_s
        self.flights: SharedFlights | None = None
        if settings.engine.url:
            self._channel = StoreChannel(fleet.store, password, waking)
            self.flights = SharedFlights(desk.fleet, attached(desk.fleet.engine), fleet.name, self.store.alive, waking)

    @property
    def trouble(self) -> str | None:
        """A sentence for the status while the store is away."""
        return self.store.standing().words if self.store.away else None

    def attached(self) -> tuple[AttachedStanding, ...]:
        """The attached engines, and what other Hearths have in flight there."""
        return self.flights.standings() if self.flights is not None else ()

    def gauges(self) -> dict[str, OthersGauges]:
        """The same for the metrics, by replica."""
        return {
            each.replica: OthersGauges(each.waiting, each.running, each.hearths, each.age_s) for each in self.attached()
        }

    def chores(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Its chores, by name."""
        if self.flights is None:
            return {"store": self.run}
        return {
            "store": self.run,
            "requests in flight": partial(self.flights.publish, self._channel),
            "requests of others": partial(self._channel.listen, self.flights.take),
        }

    async def run(self) -> None:
        """Keeps the connection, and what is leased through it, until cancelled."""
        beat_at, turned_at, heard_at = -_BEAT_S, -_TURN_S, -_HEARD_S
        while True:
            called = self._wake.is_set()
            self._wake.clear()
            try:
                if self._desk.clock() - beat_at >= _BEAT_S or self.store.away:
                    words = await self.store.beat(self._others.word().decode())
                    for id, word in words.items():
                        self._others.heard(word.encode(), STORE, id)
                    beat_at = self._desk.clock()
                    self.journal.view.hearths = self.store.alive
                    self.journal.write()
                await self.limiter.turn()
                due = self._desk.clock() - heard_at >= _HEARD_S
                heard_at = self._desk.clock() if due else heard_at
                if (heard := await self._breakers.turn(due=due)) is not None:
                    await self._keys.turn(heard.keys)
                paid = bool(self._desk.fleet.clouds.backends)
                if paid and (called or self._desk.clock() - turned_at >= _TURN_S):
                    turned_at = self._desk.clock()
                    await self._leases.turn()
            except StoreAwayError:
                self._budget.look_again()  # nobody waits for a store that is away
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._wake.wait()
            await asyncio.sleep(_LEAST_S)

    async def aclose(self) -> None:
        """Gives back what is leased and not used, and closes the connection."""
        with contextlib.suppress(StoreAwayError):
            await self.limiter.turn()
            await self._leases.give_back()
        self.store.close()
        if self.flights is not None:
            await self._channel.send(self.flights.farewell())
            await self._channel.aclose()


def attached(engine: Engine) -> dict[str, tuple[str, str]]:
    """By the lane of each attached engine: the name that all Hearths have for it, and its address.

    A loopback address is another engine on each machine, and in each container.
    """
    machine = platform.node()
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{boot} {Path('/proc/self/ns/net').stat().st_ino}"
    return {
        view.name: (engine_name(view.address, machine if is_loopback(view.address) else ""), view.address)
        for view in engine.views()
    }
