"""What stands behind one replica, as its supervisor sees it: an engine process of ours, or a server somebody else
runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from local_models.replica.canary import CanaryQuestion, Probing
from local_models.replica.prepared import Notice
from runtime.contract.hop import Hop


class ReplicaFault(Exception):
    """It is not up, or no longer. cause: in words that say what to do. deterministic: the same start would fail
    again."""

    def __init__(self, cause: str, *, deterministic: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.deterministic = deterministic


@dataclass(frozen=True, slots=True)
class Served:
    """What a ready engine serves. max_model_len: tokens. slots: sequences it runs at a time, None where not known."""

    models: tuple[str, ...]
    max_model_len: int | None = None
    slots: int | None = None


class WatchedHop(Hop, Probing, Protocol):
    """A hop that counts. Times are monotonic seconds."""

    @property
    def in_flight(self) -> int: ...

    @property
    def last_byte_at(self) -> float | None: ...

    @property
    def quiet_since(self) -> float | None:
        """Since when it owes us bytes and has sent none; None while nothing is in flight."""
        ...


class Instance(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def hop(self) -> WatchedHop:
        """The same object for the replica's whole life."""
        ...

    @property
    def address(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def canary(self) -> CanaryQuestion | None:
        """What to ask it while it is up; None where it has no canary."""
        ...

    @property
    def estimate_s(self) -> float:
        """Seconds from launch to ready, as far as can be told."""
        ...

    async def bring_up(self, run: int, notice: Notice) -> Served:
        """Returns when a real answer has come. Raises ReplicaFault. May be cancelled at any point; take_down follows."""
        ...

    async def ended(self) -> ReplicaFault:
        """Returns when it has ended without being asked to."""
        ...

    async def take_down(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Ends everything the last run started and returns when it is gone, or raises ReplicaFault if some of it stays.

        grace_s: seconds between SIGTERM and SIGKILL, 0 for SIGKILL at once. hurry: once set, there is no grace and no
        wait for GPU memory.
        """
        ...

    def kill(self) -> None:
        """SIGKILL to everything the last run started, without waiting: the last resort of a stop that took too long."""
        ...

    def cpu_s(self) -> float | None:
        """Processor seconds its working processes have used; None where they are not ours to see. Blocks some
        milliseconds.
        """
        ...
