"""The checks of `hearth doctor`: facts of this box in, a verdict and advice out. Pure; `box` reads the facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from local_models.host.gpu import GpuProcess
from local_models.replica.environment import Found, NotFound
from runtime.cli.paint import amount
from runtime.contract.engine import Gpu

OK, WARN, FAIL = "ok", "warn", "fail"

_GIB = 1 << 30
_SCARCE_DISK, _TIGHT_DISK = 1 * _GIB, 5 * _GIB
_LEAST_SHM = 1 * _GIB
_BUSY_SHARE = 0.05  # of a GPU's memory in use by others, above which it is worth a word


class CheckRow(msgspec.Struct, frozen=True):
    """verdict: ok | warn | fail. todo: what to do about it, or ""."""

    check: str
    verdict: str
    words: str
    todo: str = ""


def python_row(version: tuple[int, int, int], system: str, machine: str) -> CheckRow:
    words = f"{'.'.join(map(str, version))} on {system} {machine}"
    if version < (3, 11, 0):
        return CheckRow("python", FAIL, words, "Hearth needs Python 3.11 or newer")
    if system != "Linux":
        return CheckRow("python", FAIL, words, "the engine runs on Linux; attach to one elsewhere with [engine] url")
    if machine != "x86_64":
        return CheckRow("python", WARN, words, "only x86-64 has been tried; vLLM must have a build for this machine")
    return CheckRow("python", OK, words)


def gpu_fault_rows(device: str, faults: Sequence[str]) -> Iterator[CheckRow]:
    """The driver and the GPUs that do not answer. They do not matter to an engine that is set to the CPU."""
    for fault in faults:
        if "version mismatch" in fault:
            todo = "the driver was updated while it was loaded: reboot, or unload and load its kernel modules"
        elif "CUDA_VISIBLE_DEVICES" in fault:
            todo = "correct or unset CUDA_VISIBLE_DEVICES; `nvidia-smi -L` lists the GPUs"
        else:
            todo = 'see `nvidia-smi` and `dmesg | grep -i xid`; a reboot may help; or set [engine] device = "cpu"'
        yield CheckRow("gpu", WARN if device == "cpu" else FAIL, fault, todo)


def gpu_rows(
    device: str, gpus: Sequence[Gpu], why_none: str | None, driver: str | None, faults: Sequence[str] = ()
) -> Iterator[CheckRow]:
    """driver: the NVIDIA kernel module's version, None where it is not loaded. faults: reported by rows of their own."""
    for gpu in gpus:
        free = amount(gpu.memory_total - gpu.memory_used)
        yield CheckRow(
            f"gpu {gpu.index}", OK, f"{gpu.name}, {free} of {amount(gpu.memory_total)} free, driver {driver or '?'}"
        )
    if gpus or faults:
        return
    why = why_none or "no GPU is seen"
    if device == "cuda":
        yield CheckRow("gpu", FAIL, why, 'install the NVIDIA driver, or set [engine] device = "cpu"')
    elif driver and "hides every GPU" not in why:
        yield CheckRow(
            "gpu", FAIL, f"driver {driver} is loaded, but {why}", "make the GPU visible (container: --gpus all)"
        )
    else:
        yield CheckRow("gpu", OK, f"none ({why}): the engine runs on the CPU")


def other_work_rows(gpus: Sequence[Gpu], work: Sequence[GpuProcess], ours: Mapping[int, str]) -> Iterator[CheckRow]:
    """ours: pid -> replica of the engines that Hearth started."""
    for gpu in gpus:
        others = [process for process in work if process.gpu == gpu.index and process.pid not in ours]
        held = sum(process.memory or 0 for process in others)
        if others and (held > gpu.memory_total * _BUSY_SHARE or not held):
            pids = ", ".join(str(process.pid) for process in others)
            todo = "stop them, or lower [engine] gpu_memory_utilization"
            yield CheckRow(f"gpu {gpu.index} shared", WARN, f"others hold {amount(held)} (pids {pids})", todo)


def engine_row(found: Found | NotFound) -> CheckRow:
    if isinstance(found, NotFound):
        return CheckRow("engine", FAIL, found.reason, "")
    return CheckRow("engine", OK, f"vLLM {found.vllm_version} for {found.kind}, {found.python}")


def attached_row(url: str, status: int | None, why: str) -> CheckRow:
    """status: of GET /models there; None where nobody answered."""
    if status == 200:
        return CheckRow("engine", OK, f"attached to {url}")
    if status in (401, 403):
        return CheckRow("engine", FAIL, f"{url} answers {status}", "set [engine] key")
    return CheckRow("engine", FAIL, f"{url}: {why or status}", "start that server, or correct [engine] url")


def weights_row(model: str, place: str | None, size: int | None, *, offline: bool) -> CheckRow:
    """place: where they are, None where they are not here yet. size: bytes to fetch, None where unknown."""
    if place is not None:
        return CheckRow("weights", OK, f"{model} is in {place}")
    how_much = f" ({amount(size)})" if size else ""
    if offline:
        todo = f"once, with network: hearth models pull {model}; or set [engine] offline = false"
        return CheckRow("weights", FAIL, f"{model} is not here{how_much}, and [engine] offline is set", todo)
    words = f"{model} is not here{how_much}: the first start fetches it"
    return CheckRow("weights", WARN, words, f"fetch it now: hearth models pull {model}")


def target_rows(
    targets: Mapping[str, str], absent: Mapping[str, str], mode: str, retiring: Iterable[str] = ()
) -> Iterator[CheckRow]:
    """targets: name -> label of those that can be called; absent: name -> why not. retiring: sentences on ending models."""
    for line in retiring:
        yield CheckRow("models", WARN, line, "set another model before that day")
    for name, label in targets.items():
        yield CheckRow(f"target {name}", OK, label)
    for name, why in absent.items():
        yield CheckRow(f"target {name}", WARN, why, "what would have gone there is answered on this box until then")
    if not targets and not absent and mode == "act":
        yield CheckRow("targets", OK, "none: everything is answered on this box")


def port_row(address: str, *, free: bool, runtime: bool, holder: str | None) -> CheckRow:
    """holder: who listens there, as far as may be seen. runtime: whether it answers like a Hearth."""
    if free:
        return CheckRow("port", OK, f"{address} is free")
    if runtime:
        return CheckRow("port", OK, f"a runtime answers at {address}")
    return CheckRow(
        "port", FAIL, f"{address} is taken by {holder or 'another process'}", "stop it, or set [server] port"
    )


def state_row(folder: str, *, why_not: str | None, owner: str | None) -> CheckRow:
    """why_not: why it cannot be written. owner: the living process that has locked it."""
    if why_not:
        return CheckRow(
            "state", FAIL, f"{folder} cannot be written: {why_not}", "change its owner, or set HEARTH_STATE_DIR"
        )
    if owner:
        return CheckRow("state", OK, f"{folder}, in use by the runtime with pid {owner}")
    return CheckRow("state", OK, folder)


def disk_row(name: str, folder: str, free: int) -> CheckRow:
    words = f"{amount(free)} free in {folder}"
    if free < _SCARCE_DISK:
        return CheckRow(name, FAIL, words, "free some space")
    if free < _TIGHT_DISK:
        return CheckRow(name, WARN, words, "a larger model will not fit: free some space")
    return CheckRow(name, OK, words)


def shm_row(total: int | None, *, groups: bool) -> CheckRow:
    """total: bytes of /dev/shm, None where there is none. groups: whether a model runs on several GPUs."""
    if total is None:
        return CheckRow("shared memory", WARN, "there is no /dev/shm", "mount one: vLLM's processes talk through it")
    words = f"{amount(total)} in /dev/shm"
    if total >= _LEAST_SHM:
        return CheckRow("shared memory", OK, words)
    return CheckRow("shared memory", FAIL if groups else WARN, words, "container: --shm-size 1g or --ipc host")


def orphans_row(pids: Sequence[int]) -> CheckRow:
    if not pids:
        return CheckRow("orphans", OK, "no engine of a dead runtime is left")
    words = f"engine processes of a dead runtime: {', '.join(map(str, pids))}"
    return CheckRow("orphans", WARN, words, "the next `hearth serve` ends them; or end them yourself with kill")
