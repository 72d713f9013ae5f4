"""The GPU probe, on a fake NVML."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from local_models.host.gpu import GpuProcess, GpuReader, NoGpu, NvmlProbe, memory_back
from runtime.contract.engine import Gpu

GIB = 1 << 30


class NVMLError(Exception):
    pass


class NotSupportedError(NVMLError):
    pass


class FakeNvml:
    """Two GPUs; `fault` is raised by every question, `mig` GPUs do not tell their utilisation."""

    NVMLError = NVMLError
    NVMLError_NotSupported = NotSupportedError

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.mig = False
        self.begun = self.ended = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self._ask()
        self.begun += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.ended += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:  # noqa: N802
        return b"NVIDIA L4" if handle == 0 else "NVIDIA H100"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        self._ask()
        return SimpleNamespace(total=24 * GIB, used=handle * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        if self.mig:
            raise NotSupportedError("Not Supported")
        return SimpleNamespace(gpu=40)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=100 + handle, usedGpuMemory=None if handle else GIB)]

    def _ask(self) -> None:
        if self.fault is not None:
            raise self.fault


def probe(nvml: FakeNvml) -> NvmlProbe:
    return NvmlProbe(lambda: 5.0, load=lambda: nvml)


def test_reads_every_gpu() -> None:
    """Name, memory in bytes, utilisation as a share."""
    gpus = probe(FakeNvml()).read()
    assert gpus[0] == Gpu(0, "NVIDIA L4", 24 * GIB, 0, 0.4, 5.0)
    assert gpus[1] == Gpu(1, "NVIDIA H100", 24 * GIB, GIB, 0.4, 5.0)


def test_lists_who_holds_memory() -> None:
    """A driver that does not tell the amount still tells the process."""
    assert probe(FakeNvml()).processes() == (GpuProcess(0, 100, GIB), GpuProcess(1, 101, None))


def test_no_driver_is_a_reason() -> None:
    """A CPU box reads as no GPUs."""
    nvml = FakeNvml()
    nvml.fault = NVMLError("NVML Shared Library Not Found")
    looked = probe(nvml)
    assert looked.read() == ()
    assert looked.reason == "no NVIDIA driver on this machine"


def test_no_binding_is_a_reason() -> None:
    """Neither is a missing package a fault."""

    def absent() -> Any:
        raise ModuleNotFoundError("No module named 'pynvml'")

    looked = NvmlProbe(lambda: 0.0, load=absent)
    assert looked.read() == ()
    assert "nvidia-ml-py" in str(looked.reason)


def test_a_driver_that_fails_is_asked_again() -> None:
    """A GPU that fell off the bus and came back is seen again, and the reason goes."""
    nvml = FakeNvml()
    looked = probe(nvml)
    assert len(looked.read()) == 2
    nvml.fault = NVMLError("GPU is lost")
    assert looked.read() == ()
    assert "GPU is lost" in str(looked.reason)
    nvml.fault = None
    assert len(looked.read()) == 2
    assert looked.reason is None
    assert nvml.begun == 2


def test_a_slice_that_does_not_tell_its_utilisation_is_still_a_gpu() -> None:
    """MIG slices have memory and no utilisation."""
    nvml = FakeNvml()
    nvml.mig = True
    assert [gpu.utilization for gpu in probe(nvml).read()] == [0.0, 0.0]


def test_close_lets_the_driver_go() -> None:
    """Once, however often it is called."""
    nvml = FakeNvml()
    looked = probe(nvml)
    looked.read()
    looked.close()
    looked.close()
    assert nvml.ended == 1


def test_no_gpu_says_why() -> None:
    """The probe of a run that is not to use one."""
    assert NoGpu("device is cpu").read() == ()
    assert NoGpu("device is cpu").reason == "device is cpu"
    assert NoGpu().processes() == ()


def used(*gib: float) -> tuple[Gpu, ...]:
    return tuple(Gpu(i, "g", 24 * GIB, int(g * GIB), 0.0, 0.0) for i, g in enumerate(gib))


def test_memory_is_back_when_the_engines_gpus_are_as_before() -> None:
    """Others' GPUs do not matter, little growth of others' work neither."""
    assert memory_back(used(1, 1), used(1.5, 20), [0])
    assert not memory_back(used(1, 1), used(1.5, 20), [0, 1])
    assert memory_back(used(1), used(20), [])


def test_a_gpu_that_cannot_be_read_holds_nothing_back() -> None:
    """The engine's own check says more than a probe that fails."""
    assert memory_back(used(1), (), [0])
    assert memory_back((), used(20), [0])


class HeldProbe(NoGpu):
    """A probe whose reading returns once a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.let_go = threading.Event()

    def read(self) -> tuple[Gpu, ...]:
        self.calls += 1
        self.let_go.wait()
        return (Gpu(0, "H100", 80 * GIB, 0, 0.0, 0.0),)


async def test_a_hung_driver_costs_one_thread() -> None:
    """Readings that time out start no second call; once it returns, its result is the next reading's."""
    probe = HeldProbe()
    reader = GpuReader(probe)
    assert [await reader.read(0.01) for _ in range(5)] == [()] * 5
    assert (probe.calls, reader.hung, reader.reason) == (1, True, "the NVIDIA driver does not answer")
    probe.let_go.set()
    assert [gpu.name for gpu in await reader.read()] == ["H100"]
    assert (reader.hung, reader.reason) == (False, "no GPU was looked for")
