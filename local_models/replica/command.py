"""The command line and the environment of one engine. Pure: what is inherited comes in, what is to be run goes out.

Every flag and variable was checked against vLLM 0.32.0 (tests/local_models/test_command.py asks the installed one).
Knows no process, no file and no model but what it is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_models.replica import batch_size
from local_models.replica.prepared import PreparedModel
from runtime.contract.engine import Gpu

CPU = "cpu"
CUDA = "cuda"
CPU_CONTEXT = 2048  # tokens, where nobody asked: prefill of a long prompt takes a CPU minutes
KEEP_ALIVE_S = 120  # vLLM's own 5 s races pooled clients

CPU_CACHE_GIB = 2
_ALIKE = 0.1  # share by which the memory of equal GPUs may differ
_GIB = 1 << 30

_MODULES: Mapping[str, tuple[str, ...]] = {
    # The module behind the `vllm` script. The CPU wheel's script dies of its own name (PackageNotFoundError: vllm); this older
    # module is the same server, for one process.
    CUDA: ("-m", "vllm.entrypoints.cli.main", "serve"),
    CPU: ("-m", "vllm.entrypoints.openai.api_server", "--model"),
}

# Arguments with which a user would take the engine out of Hearth's hands.
OURS = frozenset(
    {"--model", "--uds", "--host", "--port", "--served-model-name", "--api-key", "--ssl-keyfile", "--ssl-certfile"}
    | {"--root-path", "--headless", "--grpc"}
)

_SECRET = re.compile(r"^HEARTH_.*KEY|_API_KEY$|^HEARTH_.*(TOKEN|SECRET)")
_NOT_INHERITED = frozenset(
    {"PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    | {"LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}  # between the service manager and this process
)

_EVERY: Mapping[str, str] = {
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(KEEP_ALIVE_S),
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "PYTHONUNBUFFERED": "1",  # the last lines of a crash must not stay in a buffer
}
_OFFLINE: Mapping[str, str] = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


class EngineArgsError(ValueError):
    """A setting cannot be obeyed; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class EngineLaunch:
    """One engine to be started.

    device: "cuda" or "cpu". gpus: what CUDA_VISIBLE_DEVICES gets, as `cuda_names` gave it; () on CPU.
    max_num_seqs: sequences decoded together; None: a default by device. args: the user's, last and winning.
    environ: added to the child's environment over all else (the orphan marker). secrets: more names not inherited.
    loras: LoRA adapters in one batch, 0 for none, each of the rank `max_lora_rank` at most. sleeps: it may be sent to sleep.
    threads: of an engine on the CPU that shares it with others; 0: it has the machine to itself.
    """

    python: Path
    device: str
    model: PreparedModel
    socket: Path
    gpus: tuple[str, ...] = ()
    gpu_memory_utilization: float = 0.9
    max_num_seqs: int | None = None
    args: tuple[str, ...] = ()
    offline: bool = False
    loras: int = 0
    max_lora_rank: int = 16
    sleeps: bool = False
    threads: int = 0
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """The command line of the engine. env: the whole environment of the child, which may hold tokens."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)


def build(launch: EngineLaunch, inherited: Mapping[str, str]) -> EngineCommand:
    """inherited: this process's environment. Raises EngineArgsError for arguments the engine cannot be watched with."""
    taken = [name for name in map(_name, launch.args) if name in OURS]
    if taken:
        raise EngineArgsError(f"args may not hold {taken[0]}: Hearth sets it itself")
    if launch.sleeps and launch.device != CUDA:
        raise EngineArgsError("sleep_after is for engines on NVIDIA GPUs: vLLM's sleep mode is for CUDA alone")
    return EngineCommand(_argv(launch), _env(launch, inherited))


def gpus_per_replica(args: Sequence[str]) -> int:
    """GPUs one engine of these arguments runs on: tensor times pipeline parallel size, the last of each counts."""
    tensor = _last_number(args, "--tensor-parallel-size", "-tp") or 1
    return tensor * (_last_number(args, "--pipeline-parallel-size", "-pp") or 1)


def says_parallel(args: Sequence[str]) -> bool:
    """True if the arguments fix the number of GPUs the model is split over."""
    return _last_number(args, "--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp") is not None


def slots(args: Sequence[str]) -> int | None:
    """Sequences an engine of these arguments runs at a time, each of its cores as many; None where they do not say."""
    of_each = _last_number(args, "--max-num-seqs")
    return of_each and of_each * (_last_number(args, "--data-parallel-size", "-dp") or 1)


def _last_number(args: Sequence[str], *names: str) -> int | None:
    """The value of a flag under any of its names: the last one counts."""
    found = None
    for position, arg in enumerate(args):
        value = arg.partition("=")[2] or (args[position + 1] if position + 1 < len(args) else "")
        if _name(arg) in names and value.isdecimal():
            found = int(value)
    return found


def equal_gpus(gpus: Sequence[Gpu]) -> list[list[Gpu]]:
    """GPUs sorted into kinds of (nearly) equal memory, the largest first: a model is split over equal ones alone.

    A MIG slice is a kind by itself: a process sees one slice only.
    """
    kinds = list[list[Gpu]]()
    for gpu in sorted(gpus, key=lambda gpu: (-gpu.memory_total, gpu.index)):
        alike = len(kinds) > 0 and gpu.memory_total >= kinds[-1][0].memory_total * (1 - _ALIKE)
        if alike and not gpu.cuda_name.startswith("MIG-"):
            kinds[-1].append(gpu)
        else:
            kinds.append([gpu])
    return [sorted(kind, key=lambda gpu: gpu.index) for kind in kinds]


def group_gpus(
    gpus: Sequence[Gpu], replicas: int, per_replica: int, *, unequal: bool = False
) -> tuple[tuple[Gpu, ...], ...]:
    """One group of equal GPUs per replica, neighbours together, the largest GPUs first. Raises EngineArgsError.

    unequal: the user fixed the size of a group: if the equal ones are too few, unequal ones do as well.
    """
    kinds = equal_gpus(gpus)
    if unequal and sum(len(kind) // per_replica for kind in kinds) < replicas:
        kinds = [list(gpus)]
    groups = [
        tuple(kind[start : start + per_replica])
        for kind in kinds
        for start in range(0, len(kind) - per_replica + 1, per_replica)
    ]
    if replicas > len(groups):
        which = " of equal memory" if len(gpus) >= replicas * per_replica else ""
        raise EngineArgsError(
            f"{replicas} replica(s) of {per_replica} GPU(s) each need {replicas * per_replica}{which}, and {len(gpus)} "
            f"can be used: {', '.join(f'GPU {gpu.index} ({gpu.memory_total / _GIB:.0f} GiB)' for gpu in gpus) or 'none'}; "
            "lower [engine] replicas or the tensor parallel size, or look at CUDA_VISIBLE_DEVICES"
        )
    return tuple(groups[:replicas])


def cuda_names(group: Sequence[Gpu]) -> tuple[str, ...]:
    """The GPUs as CUDA_VISIBLE_DEVICES names them."""
    return tuple(gpu.cuda_name or str(gpu.index) for gpu in group)


def _argv(launch: EngineLaunch) -> tuple[str, ...]:
    model = launch.model
    argv = [str(launch.python), *_MODULES[launch.device], str(model.path)]
    argv += ["--uds", str(launch.socket), "--served-model-name", model.name]
    argv += ["--max-num-seqs", str(launch.max_num_seqs or batch_size.DEFAULT[launch.device])]
    argv += ["--disable-uvicorn-access-log", "--enable-prompt-tokens-details", "--scheduling-policy", "priority"]
    if not model.pools:
        argv += ["--enable-prefix-caching"]
    if launch.loras:
        argv += ["--enable-lora", "--max-loras", str(launch.loras), "--max-lora-rank", str(launch.max_lora_rank)]
    if launch.sleeps:
        argv += ["--enable-sleep-mode"]
    length = model.max_model_len
    if launch.device == CPU:
        # Eager, because the compiled path gives wrong text on CPUs and takes minutes to start. float32, because bfloat16
        # gives wrong text on CPUs with AMX (vLLM 0.32) and is 3 to 8 times slower on those without bfloat16 of their own.
        length = length or min(CPU_CONTEXT, model.capabilities.context_tokens or CPU_CONTEXT)
        argv += ["--enforce-eager", "--dtype", "float32", "--max-model-len", str(length)]
    else:  # "auto": the model's own context, or the longest that fits the GPU's memory
        argv += ["--gpu-memory-utilization", f"{launch.gpu_memory_utilization:g}"]
        argv += ["--max-model-len", str(length) if length is not None else "auto"]
    return (*argv, *model.args, *launch.args)


def _env(launch: EngineLaunch, inherited: Mapping[str, str]) -> dict[str, str]:
    withheld = launch.secrets | _NOT_INHERITED
    env = {name: value for name, value in inherited.items() if name not in withheld and not _SECRET.search(name)}
    env |= _EVERY
    # The engine's own tools first: its kernels are compiled with the ninja beside its interpreter.
    env["PATH"] = os.pathsep.join([str(launch.python.parent), inherited.get("PATH", os.defpath)])
    if launch.offline:
        env |= _OFFLINE
    if launch.sleeps:
        env["VLLM_SERVER_DEV_MODE"] = "1"  # more paths, on a socket that only this user reaches
    if launch.loras:  # two more paths, on a socket that only this user reaches
        env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if launch.device == CPU:
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
        env["CUDA_VISIBLE_DEVICES"] = ""
        if launch.threads:  # each would bind its threads to the same cores, and spin there
            env.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
            env.setdefault("OMP_NUM_THREADS", str(launch.threads))
    else:
        env.setdefault(
            "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
        )  # the order NVML counts in: a number names the GPU that was judged
        env["CUDA_VISIBLE_DEVICES"] = ",".join(launch.gpus)
    return env | dict(launch.environ)


def _name(arg: str) -> str:
    """An argument's name as vLLM reads it: `--max_model_len=5` is `--max-model-len`."""
    return arg.partition("=")[0].replace("_", "-") if arg.startswith("-") else ""
