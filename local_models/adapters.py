"""The LoRA adapters of one engine, wanted and loaded: on every replica that serves now, and on each that starts later."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from local_models.replica.adapters import unusable


class Adaptable(Protocol):
    """A replica that takes adapters while it serves."""

    @property
    def adapter_faults(self) -> Mapping[str, str]:
        """Why an adapter that is wanted could not be loaded into it, by name."""
        ...

    async def adapt(self, name: str, folder: str | None) -> str:
        """Loads an adapter, or unloads it if folder is None: "" when that is done or the replica is not up, else the cause."""
        ...


class EngineAdapters:
    """wanted: folder by name; replicas load these when they start. enabled: the engine was started for adapters at all.

    most_rank: of an adapter.
    """

    def __init__(self, wanted: dict[str, str], replicas: Sequence[Adaptable], *, enabled: bool, most_rank: int) -> None:
        self.wanted, self._replicas, self._enabled, self._most_rank = wanted, replicas, enabled, most_rank
        self._turn = asyncio.Lock()

    def faults(self, name: str) -> str:
        """Why an adapter is not loaded on some replica that serves; "" if it is loaded on all of them."""
        return next((each.adapter_faults[name] for each in self._replicas if name in each.adapter_faults), "")

    async def load(self, name: str, folder: str) -> str:
        """Loads an adapter into every replica, or into none: "" when that is done, else why not."""
        if not self._enabled:
            return "its engine was started without adapters: set max_loras, and restart"
        if cause := await asyncio.to_thread(unusable, Path(folder), self._most_rank):
            return cause
        async with self._turn:
            if name in self.wanted:
                return f"{name} is loaded already, from {self.wanted[name]}"
            self.wanted[name] = folder
            for each in self._replicas:
                if cause := await each.adapt(name, folder):
                    del self.wanted[name]
                    for other in self._replicas:
                        await other.adapt(name, None)
                    return cause
        return ""

    async def unload(self, name: str) -> str:
        """Unloads an adapter from every replica; requests that run on it end on it."""
        async with self._turn:
            if name not in self.wanted:
                return f"{name} is not loaded"
            del self.wanted[name]
            causes = [cause for each in self._replicas if (cause := await each.adapt(name, None))]
        return causes[0] if causes else ""
