"""Why an engine ended, read off the last lines it wrote: a sentence that says what to do, and whether a retry can help.

Pure. The table is ordered: the first row that any of the lines fits names the cause, so the particular stands above the
general. Texts are vLLM 0.32.0's (captured ones are the tests' data), PyTorch's, the CUDA driver's and the hub's. What
vLLM says last ("Engine core initialization failed. … Failed core proc(s): {}") is never a cause, nor is what its front
logs of single requests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LINES = 400  # from the end: an engine that served for days logged other things before
_WORDS_MOST = 300  # characters of vLLM's own words


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """deterministic: the same start on the same box would end the same way, so it is not to be retried."""

    cause: str
    deterministic: bool


@dataclass(frozen=True, slots=True)
class _Row:
    pattern: re.Pattern[str]
    cause: str  # {0}, {1}: the pattern's groups
    deterministic: bool


def _row(pattern: str, cause: str, *, deterministic: bool = True) -> _Row:
    return _Row(re.compile(pattern), cause, deterministic)


_ARGS = "correct [engine] args"
_FIT = "`hearth models fit` shows what fits"
_REINSTALL = "install it anew: `hearth engine remove`, then `hearth engine install`"
_MORE_KV = "give the engine more memory (gpu_memory_utilization; VLLM_CPU_KVCACHE_SPACE on a CPU)"
_KV_SHORT = (
    r"max seq len \((\d+)\), \(?([\d.]+ GiB) KV cache is needed, which is larger than the available KV cache memory "
    r"\(([\d.]+ GiB)\)"
)

_TABLE: tuple[_Row, ...] = (
    # The command line.
    _row(r"error: unrecognized arguments: (.+)", f"vLLM does not know {{0}}: {_ARGS}"),
    _row(r"error: argument (\S+?)(?:/\S+)?: (.+)", f"vLLM refuses {{0}} ({{1}}): {_ARGS}"),
    _row(r"^\S+(?: serve)?: error: (.+)", f"vLLM refuses its command line ({{0}}): {_ARGS}"),
    _row(r"KeyError: 'invalid (tool call|reasoning) parser: (\S+)", f"vLLM has no {{0}} parser named {{1}}: {_ARGS}"),
    # The context and the KV cache.
    _row(
        r"User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \(\w+=(\d+)",
        "a context of {0} tokens is more than the model's own {1}: set [engine] max_model_len to {1} or less",
    ),
    _row(
        rf"{_KV_SHORT}\. Based on the available memory, the estimated maximum model length is (\d+)",
        "a context of {0} tokens needs {1} of KV cache and {2} are there: set [engine] max_model_len to {3} or less, "
        f"or {_MORE_KV}",
    ),
    _row(
        _KV_SHORT,
        "a context of {0} tokens needs {1} of KV cache and {2} are there: set a smaller [engine] max_model_len, "
        f"or {_MORE_KV}",
    ),
    _row(
        r"No available memory for the cache blocks",
        "the weights leave no memory for the KV cache: raise [engine] gpu_memory_utilization or take a smaller model; "
        + _FIT,
    ),
    # Memory.
    _row(
        r"Free memory on device \S* ?\(([\d.]+)/([\d.]+) GiB\) on startup is less than .*?\(([\d.]+), ([\d.]+) GiB\)",
        "only {0} of the GPU's {1} GiB are free and gpu_memory_utilization {2} asks for {3}: end what else uses it "
        "(`hearth doctor` lists that), or lower [engine] gpu_memory_utilization",
        deterministic=False,  # the other one may go
    ),
    _row(
        r"Available memory on node \d+ \(([\d.]+)/([\d.]+) GiB\) on kv cache allocation is less than "
        r"requested memory for kv \(([\d.]+ GiB)\)",
        "the KV cache asks for {2} and {0} of this box's {1} GiB are free: lower VLLM_CPU_KVCACHE_SPACE",
    ),
    _row(
        r"OutOfMemoryError: CUDA out of memory\. Tried to allocate ([\d.]+ \w+)",
        "the GPU ran out of memory (the last {0} were not to be had): lower [engine] gpu_memory_utilization or "
        f"max_model_len, or take a smaller model; {_FIT}",
    ),
    _row(
        r"OutOfMemoryError|CUDA out of memory",
        f"the GPU ran out of memory: lower [engine] gpu_memory_utilization, or take a smaller model; {_FIT}",
    ),
    _row(
        r"DefaultCPUAllocator: can't allocate memory: you tried to allocate (\d+) bytes",
        f"this box ran out of memory (the last {{0}} bytes were not to be had): take a smaller model; {_FIT}",
    ),
    _row(r"^MemoryError", f"this box ran out of memory: take a smaller model; {_FIT}"),
    # The weights.
    _row(
        r"HFValidationError: Repo id must .*: '([^']*)'",
        "there is no model folder {0}: name a folder with weights, a hub id or a catalogue name as [engine] model",
    ),
    _row(
        r"Cannot find any model weights with `([^`]+)`",
        "{0} holds no weights: remove it and run `hearth models pull` again",
    ),
    _row(
        r"GatedRepoError|Access to model (\S+) is restricted|Cannot access gated repo",
        "the model's makers ask for a consent: accept the licence on its hub page and set HF_TOKEN",
    ),
    _row(
        r"RepositoryNotFoundError|is not a valid model identifier",
        "the hub knows no such model, or it is private: correct [engine] model, or set HF_TOKEN",
    ),
    _row(
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled",
        "the model is not on this box and nothing may be downloaded: run `hearth models pull` while online",
    ),
    _row(
        r"SafetensorError|HeaderTooLarge|InvalidHeaderDeserialization|Error while deserializing header",
        "the weights are damaged: remove them and run `hearth models pull` again",
    ),
    _row(
        r"Model architectures \['([^']+)'\] are not supported",
        "this vLLM does not know the architecture {0}: take another model, or a newer vLLM",
    ),
    _row(
        r"model type `([^`]+)` but Transformers does not recognize this architecture",
        "this vLLM does not know the architecture {0}: take another model, or a newer vLLM",
    ),
    # The GPU and its driver.
    _row(
        r"The NVIDIA driver on your system is too old \(found version (\d+)\)",
        "the NVIDIA driver (CUDA {0}) is too old for this vLLM: update the driver",
    ),
    _row(
        r"CUDA driver version is insufficient for CUDA runtime version",
        "the NVIDIA driver is too old for this vLLM: update the driver",
    ),
    _row(
        r"no kernel image is available for execution on the device",
        "this vLLM is not built for this GPU: it is too old for it, or too new",
    ),
    _row(
        r"Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver",
        "vLLM sees no GPU: see whether `nvidia-smi` does; `hearth doctor` looks closer",
    ),
    _row(
        r"(?:NCCL error|ncclSystemError|ncclUnhandledCudaError)",
        "the GPUs cannot talk to each other (NCCL): try [engine] args with --disable-custom-all-reduce, or one GPU",
        deterministic=False,
    ),
    _row(
        r"CUDA error: (?!out of memory)([^\n]+)",
        "the GPU failed ({0}): `nvidia-smi -q` and `dmesg` may show a hardware fault",
        deterministic=False,
    ),
    # The box.
    _row(
        r"No space left on device",
        "the disk is full: free some space, in the cache folder and in /dev/shm",
        deterministic=False,
    ),
    _row(
        r"Address already in use",
        "another process holds the engine's address: end it, or set another HEARTH_STATE_DIR",
        deterministic=False,
    ),
    _row(r"Too many open files", "the limit of open files is too low: raise it (`ulimit -n 65536`)"),
    _row(r"operator torchvision::nms does not exist", f"the engine's torchvision does not fit its torch: {_REINSTALL}"),
    _row(r"^(?:ModuleNotFound|Import)Error: (.+)", f"the engine's Python is broken ({{0}}): {_REINSTALL}"),
    _row(r"No module named '?([\w.]+)'?$", f"the engine's Python lacks {{0}}: {_REINSTALL}"),
    # Any other setting vLLM checks before it loads anything.
    _row(r"^Value error, (.+?)(?: \[type=.*)?$", "vLLM refuses its settings: {0}"),
)

# Said of every death, explaining none.
_EMPTY = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|died unexpectedly"
    r"|EngineDeadError|CancelledError"
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)(?:: .+|$)")
_KILLED = re.compile(r"proc \S+ died unexpectedly|EngineDeadError")
_PREFIX = re.compile(r"^(?:\([^()]*pid=\d+\) ?)?(?:(?:ERROR|CRITICAL) \S+ \S+ \[[^\]]*\] ?)?")
_CHATTER = re.compile(r"^(?:\([^()]*pid=\d+\) ?)?(?:INFO|DEBUG|WARNING)\b|^\(Api ?Server[^()]*\) ?ERROR", re.IGNORECASE)


def diagnose(lines: Sequence[str]) -> Diagnosis | None:
    """The cause of death according to the log lines of one run, oldest first; None if they do not tell."""
    last = lines[-_LINES:]
    said = [_PREFIX.sub("", line, count=1).strip() for line in last if not _CHATTER.match(line)]
    found = _known(said) or _last_exception(said)
    if found is None and any(map(_KILLED.search, last)):
        cause = "vLLM's engine core was killed: `dmesg` tells whether this box ran out of memory"
        return Diagnosis(cause, deterministic=False)
    return found


def _known(said: Sequence[str]) -> Diagnosis | None:
    for row in _TABLE:
        for line in reversed(said):
            if (found := row.pattern.search(line)) is not None:
                words = [_short(group or "") for group in found.groups()]
                return Diagnosis(row.cause.format(*words), row.deterministic)
    return None


def _last_exception(said: Sequence[str]) -> Diagnosis | None:
    """The last exception with a message. It may or may not come again."""
    for line in reversed(said):
        if _EXCEPTION.match(line) and not _EMPTY.search(line):
            return Diagnosis(f"vLLM failed: {_short(line)}", deterministic=False)
    return None


def _short(words: str) -> str:
    words = words.strip()
    return words if len(words) <= _WORDS_MOST else f"{words[:_WORDS_MOST]}…"
