"""The GPUs of this box that CUDA_VISIBLE_DEVICES leaves to this process, read through NVML.

Knows GPUs, not engines: whose work fills a GPU is judged elsewhere. Three things are kept apart: no driver (no GPUs and a
reason), GPUs hidden on purpose (the same), and a driver or a GPU that does not answer (a fault, never "no GPU"). Each GPU
and each figure is read by itself; no probe raises.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from local_models.host import procfs
from local_models.host.threads import in_daemon_thread
from local_models.host.visible import VisibleDevices, parse_visible
from runtime.contract.engine import Gpu

T = TypeVar("T")

_MOST_GPUS = 256
_SLICES = 100  # a MIG slice is numbered 100 x (its GPU's number + 1) + its own
_ABSENT = ("Shared Library Not Found", "LibraryNotFound", "Driver Not Loaded", "DriverNotLoaded")


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

    @property
    def faults(self) -> tuple[str, ...]:
        """The driver and the GPUs that do not answer, a sentence each. With one of them, no GPU does not mean "use the CPU"."""
        ...

    def read(self) -> tuple[Gpu, ...]: ...

    def processes(self) -> tuple[GpuProcess, ...]: ...


class NoGpu:
    """The probe of a box that is not to use a GPU."""

    faults: tuple[str, ...] = ()

    def __init__(self, reason: str = "no GPU was looked for") -> None:
        self.reason: str | None = reason

    def read(self) -> tuple[Gpu, ...]:
        return ()

    def processes(self) -> tuple[GpuProcess, ...]:
        return ()


def import_pynvml() -> Any:
    """NVIDIA's binding, loaded when first asked for: a box without a driver never pays for it."""
    return importlib.import_module("pynvml")


@dataclass(frozen=True, slots=True)
class _Device:
    """A GPU or a MIG slice as NVML hands it out. uuid: "" where the driver does not tell."""

    index: int
    handle: Any
    uuid: str


class NvmlProbe:
    """Reads NVML. A driver that is missing, or that fails later, means no GPUs and a reason; the next read tries again.

    clock: monotonic seconds. visible: the value of CUDA_VISIBLE_DEVICES, None where it is not set. load: gives the pynvml
    module (a fake in tests). system: (all, used) bytes of the machine's memory, for GPUs that share it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        visible: str | None = None,
        *,
        load: Callable[[], Any] = import_pynvml,
        system: Callable[[], tuple[int, int]] = procfs.memory,
    ) -> None:
        self.reason: str | None = None
        self.faults: tuple[str, ...] = ()
        self._visible: VisibleDevices = parse_visible(visible)
        self._clock = clock
        self._load = load
        self._system = system
        self._nvml: Any = None
        self._faults: list[str] = []

    def read(self) -> tuple[Gpu, ...]:
        """Every visible GPU that answers: in NVML's order (PCI bus order: what CUDA_DEVICE_ORDER=PCI_BUS_ID counts by), or
        in the order of CUDA_VISIBLE_DEVICES where that is set.
        """
        found = self._ask(lambda nvml: tuple(self._gpus(nvml)))
        self.faults = tuple(self._faults)
        if found:
            self.reason = None
        elif self.faults:
            self.reason = self.faults[0]
        if self._faults:
            self.close()  # a GPU that comes back is seen by a new session alone
        return found

    def processes(self) -> tuple[GpuProcess, ...]:
        """The processes that hold memory on any visible GPU, for `doctor`."""

        def question(nvml: Any) -> tuple[GpuProcess, ...]:
            nothing: Sequence[Any] = ()
            return tuple(
                GpuProcess(device.index, int(process.pid), process.usedGpuMemory)
                for device, _ in self._chosen(nvml)
                for process in _answer(partial(nvml.nvmlDeviceGetComputeRunningProcesses, device.handle), nothing)
            )

        return self._ask(question)

    def close(self) -> None:
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            _answer(nvml.nvmlShutdown, None)

    def _ask(self, question: Callable[[Any], tuple[T, ...]]) -> tuple[T, ...]:
        """One question to the driver. No driver becomes the reason, any other error a fault."""
        self._faults = []
        if self._visible.hides_all:
            self.reason = f"CUDA_VISIBLE_DEVICES={self._visible.text} hides every GPU"
            return ()
        try:
            if self._nvml is None:
                nvml = self._load()
                nvml.nvmlInit()
                self._nvml = nvml
            return question(self._nvml)
        except ImportError:
            self.reason = "the NVIDIA binding is not installed (pip install nvidia-ml-py)"
        except Exception as error:  # noqa: BLE001 - NVMLError is known only once the library is loaded
            if _is(error, *_ABSENT):
                self.reason = "no NVIDIA driver on this machine"
            else:
                self._faults.append(f"the NVIDIA driver does not answer: {_words(error)}")
        self._nvml = None
        return ()

    def _gpus(self, nvml: Any) -> Iterator[Gpu]:
        for device, name in self._chosen(nvml):
            try:
                total, used = self._memory(nvml, device)
            except Exception as error:  # noqa: BLE001 - as in `_ask`
                self._faults.append(f"GPU {device.index} does not answer: {_words(error)}")
                continue
            rates = _answer(partial(nvml.nvmlDeviceGetUtilizationRates, device.handle), None)
            yield Gpu(
                index=device.index,
                name=_text(_answer(partial(nvml.nvmlDeviceGetName, device.handle), f"GPU {device.index}")),
                memory_total=total,
                memory_used=used,
                # GPUs that do not tell (MIG slices, some drivers) read as idle, never as a fault.
                utilization=0.0 if rates is None else float(rates.gpu) / 100.0,
                at=self._clock(),
                cuda_name=name,
            )

    def _chosen(self, nvml: Any) -> list[tuple[_Device, str]]:
        """(device, its name for CUDA) of those that CUDA_VISIBLE_DEVICES shows."""
        every, lost = _devices(nvml)
        if self._visible.names is None:
            self._faults += lost.values() if every or lost else ["the NVIDIA driver shows no GPU"]
            return [(device, _cuda_name(device)) for device in every]
        chosen = dict[_Device, str]()
        for name in self._visible.names:
            device = next((each for each in every if str(each.index) == name), None) or _by_uuid(name, every)
            if device is None:  # CUDA ignores this name and all that follow it
                unknown = f"CUDA_VISIBLE_DEVICES={self._visible.text}: {name} is no GPU of this box"
                self._faults += [lost[name]] if name in lost else [unknown, *lost.values()]
                break
            if device in chosen:  # CUDA then shows no GPU at all
                self._faults.append(f"CUDA_VISIBLE_DEVICES={self._visible.text} names GPU {device.index} twice")
                return []
            chosen[device] = _cuda_name(device) if name.isdecimal() else name
        return list(chosen.items())

    def _memory(self, nvml: Any, device: _Device) -> tuple[int, int]:
        """(all, used) bytes. A GPU that shares the machine's memory has none of its own, and says "Not Supported"."""
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(device.handle)
        except Exception as error:
            if not _is(error, "NotSupported", "Not Supported"):
                raise
            return self._system()
        return int(memory.total), int(memory.used)


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

    @property
    def faults(self) -> tuple[str, ...]:
        return ("the NVIDIA driver does not answer",) if self.hung else self._probe.faults

    async def read(self, timeout_s: float = 10.0) -> tuple[Gpu, ...]:
        """A fresh reading; () if the driver does not answer in time. A reading still under way is shared."""
        if self._reading is None or self._reading.done():
            self._reading = in_daemon_thread(self._probe.read, "gpu reading")
        await asyncio.wait((self._reading,), timeout=timeout_s)
        self.hung = not self._reading.done()
        return () if self.hung else self._reading.result()

    async def processes(self, timeout_s: float = 10.0) -> tuple[GpuProcess, ...]:
        """The processes that hold GPU memory; () if the driver hangs or does not answer in time."""
        if self.hung:
            return ()
        asked = in_daemon_thread(self._probe.processes, "gpu processes")
        await asyncio.wait((asked,), timeout=timeout_s)
        return asked.result() if asked.done() else ()


@dataclass(frozen=True, slots=True)
class GpuSurvey:
    """One look at the GPUs, for a command that ends. The fields are those of a `GpuProbe`."""

    gpus: tuple[Gpu, ...]
    processes: tuple[GpuProcess, ...]
    reason: str | None
    faults: tuple[str, ...]


def survey(probe: GpuProbe, timeout_s: float = 30.0) -> GpuSurvey:
    """Blocks for `timeout_s` at most: without persistence mode a driver initializes every GPU first, some seconds each.

    Outside of an event loop.
    """

    async def look() -> GpuSurvey:
        reader = GpuReader(probe)
        gpus = await reader.read(timeout_s)
        work = await reader.processes(timeout_s) if gpus else ()
        return GpuSurvey(gpus, work, reader.reason, reader.faults)

    return asyncio.run(look())


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


def _devices(nvml: Any) -> tuple[list[_Device], dict[str, str]]:
    """The GPUs NVML gives a handle for, or the MIG slices of those cut into slices; and by number, why it gives none."""
    found, lost = list[_Device](), dict[str, str]()
    for index in range(min(nvml.nvmlDeviceGetCount(), _MOST_GPUS)):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except Exception as error:  # noqa: BLE001 - one lost GPU does not hide the others
            lost[str(index)] = f"GPU {index} does not answer: {_words(error)}"
            continue
        found += _slices(nvml, index, handle) or [_Device(index, handle, _uuid(nvml, handle))]
    return found, lost


def _slices(nvml: Any, index: int, parent: Any) -> list[_Device]:
    """The MIG slices of a GPU; none where it is not cut, or where the driver does not know of slices."""
    found = list[_Device]()
    cut = _answer(lambda: nvml.nvmlDeviceGetMigMode(parent)[0], 0)
    most = _answer(lambda: int(nvml.nvmlDeviceGetMaxMigDeviceCount(parent)), 0) if cut else 0
    for number in range(min(most, _SLICES)):
        handle = _answer(partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, parent, number), None)
        if handle is not None:
            found.append(_Device(_SLICES * (index + 1) + number, handle, _uuid(nvml, handle)))
    return found


def _by_uuid(name: str, devices: Sequence[_Device]) -> _Device | None:
    """A UUID may be shortened as long as one device alone begins with it."""
    found = [device for device in devices if device.uuid.startswith(name)] if name.startswith(("GPU-", "MIG-")) else []
    return found[0] if len(found) == 1 else None


def _cuda_name(device: _Device) -> str:
    return device.uuid if device.index >= _SLICES and device.uuid else str(device.index)


def _uuid(nvml: Any, handle: Any) -> str:
    return _answer(lambda: _text(nvml.nvmlDeviceGetUUID(handle)), "")


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _answer(question: Callable[[], T], otherwise: T) -> T:
    """A figure the driver may not know: each is asked for by itself."""
    try:
        return question()
    except Exception:  # noqa: BLE001 - NVMLError is known only once the library is loaded
        return otherwise


def _is(error: Exception, *marks: str) -> bool:
    """True if an NVML error is of a kind: its subclasses are made at import, so they are known by name and text."""
    return any(mark in str(error) or mark in type(error).__name__ for mark in marks)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
