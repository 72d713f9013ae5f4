"""The GPUs of this box, read through NVML.

Knows GPUs, not engines: whose work fills a GPU is judged elsewhere. A box without a driver has no GPUs and a reason; no
probe raises.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from local_models.host.threads import in_daemon_thread
from runtime.contract.engine import Gpu

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds GPU memory. memory: bytes, None where the driver does not say (containers, other users)."""

    gpu: int
    pid: int
    memory: int | None


class GpuProbe(Protocol):
    """Blocking, some milliseconds: call it from a thread where that matters."""

    @property
    def reason(self) -> str | None:
        """Why there are no GPUs; None where there are some."""
        ...

    def read(self) -> tuple[Gpu, ...]: ...

    def processes(self) -> tuple[GpuProcess, ...]: ...


class NoGpu:
    """The probe of a box that is not to use a GPU."""

    def __init__(self, reason: str = "no GPU was looked for") -> None:
        self.reason: str | None = reason

    def read(self) -> tuple[Gpu, ...]:
        return ()

    def processes(self) -> tuple[GpuProcess, ...]:
        return ()


def import_pynvml() -> Any:
    """NVIDIA's binding, loaded when first asked for: a box without a driver never pays for it."""
    return importlib.import_module("pynvml")


class NvmlProbe:
    """Reads NVML. A driver that is missing, or that fails later, means no GPUs and a reason; the next read tries again.

    clock: monotonic seconds. load: gives the pynvml module (a fake in tests).
    """

    def __init__(self, clock: Callable[[], float], *, load: Callable[[], Any] = import_pynvml) -> None:
        self.reason: str | None = None
        self._clock = clock
        self._load = load
        self._nvml: Any = None
        self._handles: tuple[Any, ...] = ()

    def read(self) -> tuple[Gpu, ...]:
        """Every GPU the driver shows, in NVML's order (PCI bus order: what CUDA_DEVICE_ORDER=PCI_BUS_ID counts by)."""
        return self._ask(lambda nvml: tuple(self._gpu(nvml, i, h) for i, h in enumerate(self._handles)))

    def processes(self) -> tuple[GpuProcess, ...]:
        """The processes that hold memory on any GPU, for `doctor`."""
        return self._ask(
            lambda nvml: tuple(
                GpuProcess(index, int(process.pid), process.usedGpuMemory)
                for index, handle in enumerate(self._handles)
                for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            )
        )

    def close(self) -> None:
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError as error:
                self.reason = str(error)

    def _ask(self, question: Callable[[Any], tuple[T, ...]]) -> tuple[T, ...]:
        """One question to the driver. An error (no library, no driver, a GPU fallen off the bus) becomes the reason."""
        try:
            if self._nvml is None:
                nvml = self._load()
                nvml.nvmlInit()
                self._handles = tuple(nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount()))
                self._nvml = nvml
            found = question(self._nvml)
        except Exception as error:  # noqa: BLE001 - NVMLError is known only once the library is loaded
            self._nvml = None
            self.reason = _why(error)
            return ()
        self.reason = None if self._handles else "the NVIDIA driver shows no GPU"
        return found

    def _gpu(self, nvml: Any, index: int, handle: Any) -> Gpu:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        name = nvml.nvmlDeviceGetName(handle)
        return Gpu(
            index=index,
            name=name.decode() if isinstance(name, bytes) else str(name),
            memory_total=int(memory.total),
            memory_used=int(memory.used),
            utilization=_utilization(nvml, handle),
            at=self._clock(),
        )


class GpuReader:
    """Reads a probe in a daemon thread, one reading at a time, so that a hung driver costs one thread and no shutdown."""

    def __init__(self, probe: GpuProbe) -> None:
        self._probe = probe
        self._reading: asyncio.Future[tuple[Gpu, ...]] | None = None
        self.hung = False  # the last reading was not done in time

    @property
    def reason(self) -> str | None:
        """Why there are no GPUs; None where there are some."""
        return "the NVIDIA driver does not answer" if self.hung else self._probe.reason

    async def read(self, timeout_s: float = 10.0) -> tuple[Gpu, ...]:
        """A fresh reading; () if the driver does not answer in time. A reading still under way is shared."""
        if self._reading is None or self._reading.done():
            self._reading = in_daemon_thread(self._probe.read, "gpu reading")
        await asyncio.wait((self._reading,), timeout=timeout_s)
        self.hung = not self._reading.done()
        return () if self.hung else self._reading.result()


def memory_back(before: Sequence[Gpu], now: Sequence[Gpu], indices: Sequence[int], *, slack: int = 1 << 30) -> bool:
    """True if the GPUs of a stopped engine have released its memory, so that a new start will find it.

    before: as read before the engine started. now: as read just now. indices: the GPUs it ran on, () for a CPU engine.
    slack: bytes by which other work may have grown meanwhile. A GPU that was not read before, or that can no longer be
    read, does not hold a start back: the engine's own check says more about it.
    """
    used_before = {gpu.index: gpu.memory_used for gpu in before}
    used_now = {gpu.index: gpu.memory_used for gpu in now}
    both = [i for i in indices if i in used_before and i in used_now]
    return all(used_now[i] <= used_before[i] + slack for i in both)


def _utilization(nvml: Any, handle: Any) -> float:
    """0..1. Some GPUs (MIG slices) do not tell: they read as idle, never as a fault."""
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100.0
    except nvml.NVMLError_NotSupported:
        return 0.0


def _why(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "the NVIDIA binding is not installed (pip install nvidia-ml-py)"
    text = str(error) or type(error).__name__
    if "Shared Library Not Found" in text or "LibraryNotFound" in type(error).__name__:
        return "no NVIDIA driver on this machine"
    return f"the NVIDIA driver does not answer: {text}"
