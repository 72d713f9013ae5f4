"""What `hearth doctor` judges: facts of this box in, a verdict with what to do out. Pure; `box` reads the facts."""

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


class Row(msgspec.Struct, frozen=True):
    """verdict: ok | warn | fail. todo: what to do about it, "" where nothing is to be done."""

    check: str
    verdict: str
    words: str
    todo: str = ""


def python_row(version: tuple[int, int, int], system: str, machine: str) -> Row:
    words = f"{'.'.join(map(str, version))} on {system} {machine}"
    if version < (3, 11, 0):
        return Row("python", FAIL, words, "Hearth needs Python 3.11 or newer")
    if system != "Linux":
        return Row("python", FAIL, words, "the engine runs on Linux; attach to one elsewhere with [engine] url")
    if machine != "x86_64":
        return Row("python", WARN, words, "only x86-64 has been tried; vLLM must have a build for this machine")
    return Row("python", OK, words)


def gpu_rows(device: str, gpus: Sequence[Gpu], why_none: str | None, driver: str | None) -> Iterator[Row]:
    """driver: the NVIDIA kernel module's version, None where it is not loaded."""
    for gpu in gpus:
        free = amount(gpu.memory_total - gpu.memory_used)
        yield Row(
            f"gpu {gpu.index}", OK, f"{gpu.name}, {free} of {amount(gpu.memory_total)} free, driver {driver or '?'}"
        )
    if gpus:
        return
    why = why_none or "no GPU is seen"
    if device == "cuda":
        yield Row("gpu", FAIL, why, 'install the NVIDIA driver, or set [engine] device = "cpu"')
    elif driver:
        yield Row("gpu", FAIL, f"driver {driver} is loaded, but {why}", "make the GPU visible (container: --gpus all)")
    else:
        yield Row("gpu", OK, f"none ({why}): the engine runs on the CPU")


def other_work_rows(gpus: Sequence[Gpu], work: Sequence[GpuProcess], ours: Mapping[int, str]) -> Iterator[Row]:
    """ours: pid -> replica of the engines that Hearth started."""
    for gpu in gpus:
        others = [process for process in work if process.gpu == gpu.index and process.pid not in ours]
        held = sum(process.memory or 0 for process in others)
        if others and (held > gpu.memory_total * _BUSY_SHARE or not held):
            pids = ", ".join(str(process.pid) for process in others)
            todo = "stop them, or lower [engine] gpu_memory_utilization"
            yield Row(f"gpu {gpu.index} shared", WARN, f"others hold {amount(held)} (pids {pids})", todo)


def engine_row(found: Found | NotFound) -> Row:
    if isinstance(found, NotFound):
        return Row("engine", FAIL, found.reason, "")
    return Row("engine", OK, f"vLLM {found.vllm_version} for {found.kind}, {found.python}")


def attached_row(url: str, status: int | None, why: str) -> Row:
    """status: of GET /models there; None where nobody answered."""
    if status == 200:
        return Row("engine", OK, f"attached to {url}")
    if status in (401, 403):
        return Row("engine", FAIL, f"{url} answers {status}", "set [engine] key")
    return Row("engine", FAIL, f"{url}: {why or status}", "start that server, or correct [engine] url")


def weights_row(model: str, place: str | None, size: int | None, *, offline: bool) -> Row:
    """place: where they are, None where they are not here yet. size: bytes to fetch, None where unknown."""
    if place is not None:
        return Row("weights", OK, f"{model} is in {place}")
    how_much = f" ({amount(size)})" if size else ""
    if offline:
        todo = f"once, with network: hearth models pull {model}; or set [engine] offline = false"
        return Row("weights", FAIL, f"{model} is not here{how_much}, and [engine] offline is set", todo)
    words = f"{model} is not here{how_much}: the first start fetches it"
    return Row("weights", WARN, words, f"fetch it now: hearth models pull {model}")


def target_rows(
    targets: Mapping[str, str], absent: Mapping[str, str], mode: str, retiring: Iterable[str] = ()
) -> Iterator[Row]:
    """targets: name -> label of those that can be called; absent: name -> why not. retiring: sentences on ending models."""
    for line in retiring:
        yield Row("models", WARN, line, "set another model before that day")
    for name, label in targets.items():
        yield Row(f"target {name}", OK, label)
    for name, why in absent.items():
        yield Row(f"target {name}", WARN, why, "what would have gone there is answered on this box until then")
    if not targets and not absent and mode == "act":
        yield Row("targets", OK, "none: everything is answered on this box")


def port_row(address: str, *, free: bool, runtime: bool, holder: str | None) -> Row:
    """holder: who listens there, as far as may be seen. runtime: whether it answers like a Hearth."""
    if free:
        return Row("port", OK, f"{address} is free")
    if runtime:
        return Row("port", OK, f"a runtime answers at {address}")
    return Row("port", FAIL, f"{address} is taken by {holder or 'another process'}", "stop it, or set [server] port")


def state_row(folder: str, *, why_not: str | None, owner: str | None) -> Row:
    """why_not: why it cannot be written. owner: the living process that has locked it."""
    if why_not:
        return Row("state", FAIL, f"{folder} cannot be written: {why_not}", "change its owner, or set HEARTH_STATE_DIR")
    if owner:
        return Row("state", OK, f"{folder}, in use by the runtime with pid {owner}")
    return Row("state", OK, folder)


def disk_row(name: str, folder: str, free: int) -> Row:
    words = f"{amount(free)} free in {folder}"
    if free < _SCARCE_DISK:
        return Row(name, FAIL, words, "free some space")
    if free < _TIGHT_DISK:
        return Row(name, WARN, words, "a larger model will not fit: free some space")
    return Row(name, OK, words)


def shm_row(total: int | None, *, groups: bool) -> Row:
    """total: bytes of /dev/shm, None where there is none. groups: whether a model runs on several GPUs."""
    if total is None:
        return Row("shared memory", WARN, "there is no /dev/shm", "mount one: vLLM's processes talk through it")
    words = f"{amount(total)} in /dev/shm"
    if total >= _LEAST_SHM:
        return Row("shared memory", OK, words)
    return Row("shared memory", FAIL if groups else WARN, words, "container: --shm-size 1g or --ipc host")


def orphans_row(pids: Sequence[int]) -> Row:
    if not pids:
        return Row("orphans", OK, "no engine of a dead runtime is left")
    words = f"engine processes of a dead runtime: {', '.join(map(str, pids))}"
    return Row("orphans", WARN, words, "the next `hearth serve` ends them; or end them yourself with kill")
