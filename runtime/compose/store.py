"""The store of `[fleet] store`, wired into the runtime. Imported only where there is one."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from runtime.life.desk import Desk
from runtime.settings import Settings
from runtime.shared.journal import SharedJournal
from runtime.shared.store import SharedStore, StoreAwayError

_BEAT_S = 1.0
_TICK_S = 0.05


class StoreRoom:
    """settings: at the start; [fleet] needs a restart. Raises StoreRefusedError where the store can never serve a fleet.

    store: the connection; its `lease` elects one Hearth of the fleet for a piece of work.
    """

    def __init__(self, desk: Desk, settings: Settings, folder: Path) -> None:
        fleet = settings.fleet
        self.journal = SharedJournal(folder / "shared.json")
        password = fleet.store_key.value if fleet.store_key is not None else None
        self.store = SharedStore(fleet.store, self.journal.view.owner, password, desk.clock)
        # As many as there were, or as the settings name: each must know its part while the store is away.
        self.store.alive = max(self.journal.view.hearths, len(fleet.peers) + 1)
        self.store.examine()
        self._desk = desk
        desk.store_away_s = self.store.away_s

    @property
    def trouble(self) -> str | None:
        """A sentence for the status while the store is away."""
        return self.store.standing().words if self.store.away else None

    async def run(self) -> None:
        """Keeps the connection, until cancelled."""
        beat_at = -_BEAT_S
        while True:
            with contextlib.suppress(StoreAwayError):
                if self._desk.clock() - beat_at >= _BEAT_S or self.store.away:
                    await self.store.beat()
                    beat_at = self._desk.clock()
                    self.journal.view.hearths = self.store.alive
                    self.journal.write()
            await asyncio.sleep(_TICK_S)

    async def aclose(self) -> None:
        """Closes the connection."""
        self.store.close()
