"""The box's own engine as the runtime sees it: its specification, the states of its replicas, their latest telemetry.

The process, its sockets and its logs stay behind `Engine`; the runtime knows none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from runtime.contract.backend import Lane
from runtime.contract.targets import Capabilities

STOP_WITHIN_S = 30.0  # vLLM with open streams needs up to 8 s after SIGTERM; the rest is for the kernel and the driver


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """The measured speed of one replica. A decoding step takes fixed_s + per_sequence_s x sequences.

    read_s: seconds to read a prompt of `prompt` tokens, the usual one. batch: mean number of sequences it was measured with.
    """

    fixed_s: float
    per_sequence_s: float
    read_s: float
    prompt: float
    batch: float

    def step_s(self, sequences: float) -> float:
        return self.fixed_s + self.per_sequence_s * sequences

    @property
    def token_s(self) -> tuple[float, float]:
        """Seconds of the replica for a prompt token, and for a generated token in a batch of the usual size."""
        return self.read_s / self.prompt, self.step_s(self.batch) / self.batch


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The settings of one engine. Non-empty `urls`: attach to servers run by somebody else and start nothing.

    pool: each url is a balancer, and all of them have the same engines behind them. metrics: where the gauges of those engines
    are read, all of them.
    name: of a model beside the engine's own: its replica is called models.NAME; "": the engine's own.
    ttft_s: the time to a first token aimed at. speeds: measured in earlier runs of this engine, the latest last.
    adapters: folder of each LoRA adapter, by name. max_loras: adapters in one batch; 0: none, unless some are named.
    sleep_after_s: without a request the engine sleeps after so long; 0: never. engines: those that share this machine.
    """

    model: str
    state_dir: Path
    device: str = "auto"  # auto | cuda | cpu
    replicas: int = 1
    max_model_len: int | None = None  # None: the model's own, or what fits
    gpu_memory_utilization: float = 0.9
    args: tuple[str, ...] = ()
    urls: tuple[str, ...] = field(default=(), repr=False)  # may hold credentials
    pool: bool = False
    metrics: tuple[str, ...] = ()
    key: str | None = field(default=None, repr=False)  # bearer key of the attached servers; a secret
    certified: frozenset[str] = frozenset()  # of attached servers on other machines
    python: str | None = None  # the interpreter that has vLLM; None: search for one
    offline: bool = False
    start_timeout_s: float = 1800.0
    hang_after_s: float = 10.0  # own requests in flight and no byte for this long: ask the canary
    canary_s: float = 10.0
    drain_s: float = 30.0
    backoff_first_s: float = 10.0
    backoff_most_s: float = 300.0
    give_up_after: int = 10  # failures in a row
    ttft_s: float = 2.0
    speeds: tuple[EngineSpeed, ...] = ()
    name: str = ""
    adapters: Mapping[str, str] = field(default_factory=dict)
    max_loras: int = 0
    max_lora_rank: int = 16
    sleep_after_s: float = 0.0
    engines: int = 1

    @property
    def loras(self) -> int:
        """Adapters in one batch; 0 for an engine without any."""
        return max(self.max_loras, int(bool(self.adapters)))


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
    """One replica's metrics, summed over its engine cores. Late and sometimes false: never the only source.

    at: time of the reading, seconds on the runtime's monotonic clock. kv_cache: share of the KV cache in use, 0..1.
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
    kv_tokens: int | None = None  # capacity of the KV cache, None if unknown


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment. Memory in bytes; utilization 0..1: the share of time any kernel ran, not how full it was.

    cuda_name: its name in CUDA_VISIBLE_DEVICES (a number, a UUID, a MIG slice); "": its index.
    """

    index: int
    name: str
    memory_total: int
    memory_used: int
    utilization: float
    at: float
    cuda_name: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica at one moment. Times are seconds on the monotonic clock; `ready_at` is an estimate.

    run: number of the current or last launch, 0 before the first. It grows with every restart, and with every
    reconnection to an attached server: whatever was learned of an earlier run (requests in flight, rates, cached
    prefixes) is void.
    """

    name: str
    state: ReplicaState
    since: float
    run: int = 0
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
    slots: int | None = None  # sequences it runs at a time, None if unknown
    pools: str = ""  # what a pooling model answers, "embeddings" or "rerank"; empty for one that generates
    asleep: bool = False  # ready, and woken by the next request
    adapters: tuple[str, ...] = ()  # those of `models` that are LoRA adapters of another

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
    def served(self) -> Mapping[str, str | None]:
        """The names that its replicas answer to now, adapters and those of a server for many models included.

        NAME -> the id to be sent; None for the model that `local` means, for which each replica has its own.
        """
        ...

    @property
    def revision(self) -> int:
        """Number of state changes of any replica so far: a view read at an earlier revision is out of date."""
        ...

    async def changed(self, since: int) -> int:
        """Returns the current revision as soon as it is not `since`, at once if it already differs.

        A caller passes the revision at which it last looked, so that no change is missed between two looks. Any number
        of callers may wait. Bound the wait with `asyncio.timeout`: an engine at rest never changes.
        """
        ...

    @property
    def exchanging(self) -> str:
        """The model that is about to take the place of the one that is served; "" if none is."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def on_box(self) -> bool:
        """True if every replica runs on this machine (owned, or attached over loopback)."""
        ...

    @property
    def lanes(self) -> Sequence[Lane]: ...

    def views(self) -> tuple[ReplicaView, ...]: ...

    def gpus(self) -> tuple[Gpu, ...]: ...

    def log_tail(self, lines: int) -> tuple[str, ...]: ...

    def log_after(self, marks: Sequence[int], most: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The lines of each replica since its mark, the last `most` of them, and the marks of now. No marks: none yet."""
        ...

    async def start(self, notice: Callable[[str], None]) -> None:
        """Kills engine processes left by dead owners, begins to start every replica and returns.

        notice: receives one line per step of progress. An exception it raises is logged and otherwise ignored.
        """
        ...

    async def wait_ready(self, timeout_s: float) -> bool:
        """True as soon as a replica is ready; False if every replica has given up, or after `timeout_s`."""
        ...

    async def drain(self, deadline_s: float) -> None:
        """Lets open requests finish, for at most `deadline_s`. The caller sends no new ones."""
        ...

    async def stop(self, within_s: float = STOP_WITHIN_S, *, hurry: asyncio.Event | None = None) -> None:
        """Ends every process it started and returns when they are gone, or after `within_s`. Never raises.

        hurry: once set, also later than the call, no grace is given any more: SIGKILL instead of SIGTERM, and no wait
        for GPU memory; `stop` then returns within five seconds. Attached servers are never touched.
        """
        ...
