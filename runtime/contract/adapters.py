"""The LoRA adapters of the box's models, as the runtime sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AdapterView:
    """One adapter, which requests name as `local/NAME`. target: the local target whose model it adapts, "local" or local/MODEL.

    folder: its files; "" for one of a server that somebody else runs. ready: every replica that serves has it. cause: why
    not, where one could not load it.
    """

    name: str
    target: str
    folder: str
    ready: bool
    cause: str = ""


class LocalAdapters(Protocol):
    """The owner of every adapter."""

    def views(self) -> Sequence[AdapterView]: ...

    async def load(self, name: str, folder: str, target: str) -> str:
        """Loads an adapter of a local target's model, until it is unloaded or Hearth restarts: "" when done, else why not."""
        ...

    async def unload(self, name: str) -> str:
        """Unloads an adapter; requests that run on it end on it. "" when that is done, else why not."""
        ...
