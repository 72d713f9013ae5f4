"""The server behind one replica, as its supervisor sees it: an engine started here, or a server run by somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from local_models.host.procfs import Work
from local_models.replica.canary import CanaryQuestion, Probing
from local_models.replica.prepared import Notice
from runtime.contract.hop import Hop


class ReplicaFault(Exception):
    """The replica is not up, or no longer. cause: for people, and what to do. deterministic: the same start would fail
    again.
    """

    def __init__(self, cause: str, *, deterministic: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.deterministic = deterministic


@dataclass(frozen=True, slots=True)
class Served:
    """The models of a ready engine, the one to use first.

    max_model_len: tokens of that one. slots: sequences the engine runs at a time, None if unknown.
    pools: what a pooling model answers, "embeddings" or "rerank"; empty for one that generates.
    adapters: those of the models that are LoRA adapters of another.
    """

    models: tuple[str, ...]
    max_model_len: int | None = None
    slots: int | None = None
    pools: str = ""
    adapters: tuple[str, ...] = ()


class WatchedHop(Hop, Probing, Protocol):
    """A hop that counts. Times are monotonic seconds."""

    @property
    def in_flight(self) -> int: ...

    @property
    def last_byte_at(self) -> float | None: ...

    @property
    def quiet_since(self) -> float | None:
        """Start of the present silence while requests are in flight; None while none is."""
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
        """The canary for as long as it is up; None if it has none."""
        ...

    @property
    def asleep(self) -> bool:
        """True while it sleeps: the next request wakes it."""
        ...

    @property
    def estimate_s(self) -> float:
        """Estimated seconds from launch to ready."""
        ...

    async def bring_up(self, run: int, notice: Notice) -> Served:
        """Starts the server and returns once it has answered a real completion. Raises ReplicaFault. May be cancelled at any
        point; take_down follows.
        """
        ...

    async def ended(self, changed: Callable[[Served], None]) -> ReplicaFault:
        """Returns when it has ended without being asked to. changed: called with what it serves whenever that changes."""
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

    def work(self) -> Work | None:
        """Processor time of its working processes; None if they cannot be seen. Blocks for milliseconds."""
        ...
