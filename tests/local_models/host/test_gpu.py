"""The GPU probe, on a fake NVML."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from local_models.host.gpu import GpuProcess, GpuReader, NoGpu, NvmlProbe, memory_back, survey
from runtime.contract.engine import Gpu

GIB = 1 << 30


class NVMLError(Exception):
    pass


class NotSupportedError(NVMLError):
    pass


class FakeNvml:
    """Two GPUs. fault: raised by every question; the other faults by one question each. slices: MIG slices of GPU 1."""

    NVMLError = NVMLError
    NVMLError_NotSupported = NotSupportedError

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.handle_faults: dict[int, Exception] = {}
        self.memory_faults: dict[int, Exception] = {}
        self.utilization_fault: Exception | None = None
        self.slices = 0
        self.begun = self.ended = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self._ask()
        self.begun += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.ended += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index in self.handle_faults:
            raise self.handle_faults[index]
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"MIG-{handle}" if handle >= 10 else ("GPU-aa11", "GPU-aa22")[handle]

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802
        return [int(handle == 1 and self.slices > 0), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, number: int) -> int:  # noqa: N802
        if number >= self.slices:
            raise NVMLError("Not Found")
        return 10 + number

    def nvmlDeviceGetName(self, handle: int) -> bytes | str:  # noqa: N802
        return b"NVIDIA L4" if handle == 0 else "NVIDIA H100"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        self._ask()
        if handle in self.memory_faults:
            raise self.memory_faults[handle]
        return SimpleNamespace(total=10 * GIB if handle >= 10 else 24 * GIB, used=min(handle, 1) * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        if self.utilization_fault is not None:
            raise self.utilization_fault
        return SimpleNamespace(gpu=40)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        if handle in self.memory_faults:
            raise self.memory_faults[handle]
        return [SimpleNamespace(pid=100 + handle, usedGpuMemory=None if handle else GIB)]

    def _ask(self) -> None:
        if self.fault is not None:
            raise self.fault


def probe(nvml: FakeNvml, visible: str | None = None) -> NvmlProbe:
    return NvmlProbe(lambda: 5.0, visible, load=lambda: nvml, system=lambda: (128 * GIB, 20 * GIB))


def test_reads_every_gpu() -> None:
    """Name, memory in bytes, utilisation as a share."""
    gpus = probe(FakeNvml()).read()
    assert gpus[0] == Gpu(0, "NVIDIA L4", 24 * GIB, 0, 0.4, 5.0, "0")
    assert gpus[1] == Gpu(1, "NVIDIA H100", 24 * GIB, GIB, 0.4, 5.0, "1")


def test_lists_who_holds_memory() -> None:
    """A driver that does not tell the amount still tells the process."""
    assert probe(FakeNvml()).processes() == (GpuProcess(0, 100, GIB), GpuProcess(1, 101, None))


@pytest.mark.parametrize("words", ["NVML Shared Library Not Found", "Driver Not Loaded"])
def test_no_driver_is_a_reason(words: str) -> None:
    """A CPU box reads as no GPUs, without a fault."""
    nvml = FakeNvml()
    nvml.fault = NVMLError(words)
    looked = probe(nvml)
    assert looked.read() == ()
    assert (looked.reason, looked.faults) == ("no NVIDIA driver on this machine", ())


@pytest.mark.parametrize("words", ["Driver/library version mismatch", "Unknown Error", "Insufficient Permissions"])
def test_a_driver_that_does_not_answer_is_a_fault(words: str) -> None:
    """It is not a box without a GPU."""
    nvml = FakeNvml()
    nvml.fault = NVMLError(words)
    looked = probe(nvml)
    assert looked.read() == ()
    assert looked.faults == (f"the NVIDIA driver does not answer: {words}",)


@pytest.mark.parametrize("where", ["handle_faults", "memory_faults"])
def test_a_lost_gpu_does_not_hide_the_others(where: str) -> None:
    """It is named; once it is back it is seen again, in a new session of the driver."""
    nvml = FakeNvml()
    getattr(nvml, where)[0] = NVMLError("GPU is lost")
    looked = probe(nvml)
    assert [gpu.index for gpu in looked.read()] == [1]
    assert (looked.reason, looked.faults) == (None, ("GPU 0 does not answer: GPU is lost",))
    assert [process.gpu for process in looked.processes()] == [1]
    getattr(nvml, where).clear()
    assert [gpu.index for gpu in looked.read()] == [0, 1]
    assert looked.faults == ()


def test_a_box_whose_only_gpus_are_lost_is_no_box_without_gpus() -> None:
    """No GPU is left, and the faults say why."""
    nvml = FakeNvml()
    nvml.handle_faults = {0: NVMLError("GPU is lost"), 1: NVMLError("Unknown Error")}
    looked = probe(nvml)
    assert looked.read() == ()
    assert looked.faults == ("GPU 0 does not answer: GPU is lost", "GPU 1 does not answer: Unknown Error")


def test_a_gpu_without_memory_of_its_own_shares_the_machines() -> None:
    """Unified memory (GB10): NVML says "Not Supported"."""
    nvml = FakeNvml()
    nvml.memory_faults[0] = NotSupportedError("Not Supported")
    looked = probe(nvml)
    assert [(gpu.memory_total, gpu.memory_used) for gpu in looked.read()] == [
        (128 * GIB, 20 * GIB),
        (24 * GIB, GIB),
    ]
    assert looked.faults == ()


@pytest.mark.parametrize(
    ("visible", "indices", "names"),
    [
        ("0", [0], ["0"]),
        ("1,0", [1, 0], ["1", "0"]),
        ("GPU-aa2", [1], ["GPU-aa2"]),
        ("GPU-aa11,1", [0, 1], ["GPU-aa11", "1"]),
        ("1,-1,0", [1], ["1"]),
    ],
)
def test_only_visible_gpus_are_read(visible: str, indices: list[int], names: list[str]) -> None:
    """By number or UUID, in the order of the variable."""
    looked = probe(FakeNvml(), visible)
    gpus = looked.read()
    assert [gpu.index for gpu in gpus] == indices
    assert [gpu.cuda_name for gpu in gpus] == names
    assert [process.gpu for process in looked.processes()] == indices
    assert looked.faults == ()


@pytest.mark.parametrize("visible", ["", "-1"])
def test_gpus_hidden_on_purpose_are_a_reason(visible: str) -> None:
    """The driver is not even asked, so that its faults do not matter."""
    nvml = FakeNvml()
    nvml.fault = NVMLError("Driver/library version mismatch")
    looked = probe(nvml, visible)
    assert looked.read() == ()
    assert (looked.reason, looked.faults) == (f"CUDA_VISIBLE_DEVICES={visible} hides every GPU", ())


@pytest.mark.parametrize(
    ("visible", "words"),
    [("7", "7 is no GPU"), ("GPU-aa", "GPU-aa is no GPU"), ("0,0", "names GPU 0 twice"), ("gpu0", "gpu0 is no GPU")],
)
def test_a_name_without_a_gpu_is_a_fault_that_names_the_variable(visible: str, words: str) -> None:
    """An index too high, a prefix of two UUIDs, a GPU twice."""
    looked = probe(FakeNvml(), visible)
    assert looked.read() == ()
    (fault,) = looked.faults
    assert fault.startswith(f"CUDA_VISIBLE_DEVICES={visible}")
    assert words in fault


def test_a_lost_gpu_that_is_not_visible_is_no_fault() -> None:
    """Nobody wanted to use it; one that is wanted is named."""
    nvml = FakeNvml()
    nvml.handle_faults[0] = NVMLError("GPU is lost")
    looked = probe(nvml, "1")
    assert [gpu.index for gpu in looked.read()] == [1]
    assert looked.faults == ()
    wanted = probe(nvml, "0,1")
    assert wanted.read() == ()
    assert wanted.faults == ("GPU 0 does not answer: GPU is lost",)


def test_slices_are_gpus_of_their_own() -> None:
    """Each MIG slice has its own memory and name; the GPU it is cut from is not used as a whole."""
    nvml = FakeNvml()
    nvml.slices = 2
    assert [(gpu.index, gpu.memory_total, gpu.cuda_name) for gpu in probe(nvml).read()] == [
        (0, 24 * GIB, "0"),
        (200, 10 * GIB, "MIG-10"),
        (201, 10 * GIB, "MIG-11"),
    ]
    assert [gpu.cuda_name for gpu in probe(nvml, "MIG-11").read()] == ["MIG-11"]


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
    assert nvml.ended == 1


@pytest.mark.parametrize("error", [NotSupportedError("Not Supported"), NVMLError("Unknown Error")])
def test_a_gpu_that_does_not_tell_its_utilisation_is_still_a_gpu(error: Exception) -> None:
    """It reads as idle."""
    nvml = FakeNvml()
    nvml.utilization_fault = error
    looked = probe(nvml)
    assert [gpu.utilization for gpu in looked.read()] == [0.0, 0.0]
    assert looked.faults == ()


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


def test_a_command_does_not_hang_with_the_driver() -> None:
    """`doctor` and `models fit` get a fault in time."""
    probe = HeldProbe()
    seen = survey(probe, 0.01)
    probe.let_go.set()
    assert (seen.gpus, seen.processes) == ((), ())
    assert seen.faults == ("the NVIDIA driver does not answer",)


def test_a_survey_is_what_the_probe_reads() -> None:
    """GPUs, processes, faults."""
    nvml = FakeNvml()
    nvml.handle_faults[0] = NVMLError("GPU is lost")
    seen = survey(probe(nvml))
    assert [gpu.index for gpu in seen.gpus] == [1]
    assert [process.pid for process in seen.processes] == [101]
    assert seen.faults == ("GPU 0 does not answer: GPU is lost",)
