"""The box's own engine as the runtime sees it: what it is to run, what state its replicas are in, what it last said of itself.

The process, its sockets and its logs stay behind `Engine`; the runtime knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from runtime.contract.backend import Lane
from runtime.contract.targets import Capabilities


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What the settings ask for. `urls` non-empty means: attach to servers somebody else runs, start nothing."""

    model: str
    state_dir: Path
    device: str = "auto"  # auto | cuda | cpu
    replicas: int = 1
    max_model_len: int | None = None  # None: the model's own, or what fits
    gpu_memory_utilization: float = 0.9
    args: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    key: str | None = None  # of the attached servers; a secret
    python: str | None = None  # the interpreter that has vLLM; None: look for it
    offline: bool = False
    start_timeout_s: float = 1800.0
    hang_after_s: float = 10.0  # own requests in flight and no byte for this long: ask the canary
    canary_s: float = 10.0
    drain_s: float = 30.0
    backoff_first_s: float = 10.0
    backoff_most_s: float = 300.0
    give_up_after: int = 10  # failures in a row


class ReplicaState(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    BACKING_OFF = "backing_off"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One replica's own word, summed over its engine cores. Late and sometimes false: never the only source.

    at: when it was read, seconds on the runtime's monotonic clock. kv_cache: share of the KV cache in use, 0..1.
    Totals are tokens or counts since the engine started.
    """

    at: float
    waiting: int
    running: int
    kv_cache: float
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    generation_tokens: int = 0
    preemptions: int = 0
    kv_tokens: int | None = None  # capacity of the KV cache, where known


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment. Memory in bytes; utilization 0..1: the share of time any kernel ran, not how full it was."""

    index: int
    name: str
    memory_total: int
    memory_used: int
    utilization: float
    at: float


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica at one moment. Times are seconds on the monotonic clock; `ready_at` is an estimate."""

    name: str
    state: ReplicaState
    since: float
    models: tuple[str, ...] = ()
    max_model_len: int | None = None
    pid: int | None = None
    address: str = ""
    restarts: int = 0
    cause: str | None = None  # why it last failed, in words that say what to do
    ready_at: float | None = None
    telemetry: Telemetry | None = None
    in_flight: int = 0
    last_byte_at: float | None = None

    @property
    def ready(self) -> bool:
        return self.state is ReplicaState.READY


class Engine(Protocol):
    """The local fleet, owned or attached. One task owns each replica's state; views are copies."""

    @property
    def model(self) -> str:
        """The catalogue name, hub id or folder name by which users know it: NAME of `local/NAME`."""
        ...

    @property
    def revision(self) -> int:
        """Grows with every change of a replica: what was read before may have changed."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def on_box(self) -> bool:
        """Whether every replica runs on this machine (owned, or attached over loopback)."""
        ...

    @property
    def lanes(self) -> Sequence[Lane]: ...

    def views(self) -> tuple[ReplicaView, ...]: ...

    def gpus(self) -> tuple[Gpu, ...]: ...

    def log_tail(self, lines: int) -> tuple[str, ...]: ...

    async def start(self, notice: Callable[[str], None]) -> None:
        """Sweeps what dead owners left, begins to start every replica and returns.

        notice: gets one line per step of progress.
        """
        ...

    async def wait_ready(self, timeout_s: float) -> bool:
        """True when a replica is ready, False when none will be (given up) or the time is over."""
        ...

    async def drain(self, deadline_s: float) -> None:
        """Lets what runs finish within the deadline; new work is the caller's not to send."""
        ...

    async def stop(self) -> None:
        """Ends every process it started and waits until they are gone. Never touches an attached server."""
        ...
