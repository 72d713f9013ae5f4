"""Does a model fit these GPUs, and why not: arithmetic over published facts. Pure; asks no GPU and opens no file.

    need of one GPU = weights / tensor parallel + cache of the wanted sequences + overhead
    budget          = memory of one GPU x the share the engine may use

Weights and cache follow from the model's own files. The overhead (CUDA context, graphs, activations, communication) is
an estimate, meant to be high rather than low; vLLM measures its own at start, and has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from local_models.facts.architecture import Architecture
from local_models.replica import batch_size

GIB = 1 << 30
WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1}
MOST_GPUS = 64

_BLOCK = 16  # tokens: vLLM hands the cache out in blocks
_LARGE_GPU = 70 * GIB  # from here on vLLM prefills 8,192 tokens at once, below 2,048
_SEQUENCES = batch_size.DEFAULT["cuda"]  # whose logits are held at once
_CONTEXT = GIB  # CUDA context, kernels' workspaces and graphs
_NCCL = GIB // 4


@dataclass(frozen=True, slots=True)
class Footprint:
    """The size and shape of a model. weights: bytes, in `dtype`. kv_dtype: the type of the cache's numbers."""

    name: str
    architecture: Architecture
    weights: int
    dtype: str
    kv_dtype: str = "bf16"


@dataclass(frozen=True, slots=True)
class Box:
    """The hardware. memory: bytes of one GPU, or of the machine if `cpu`. share: the part the engine may use."""

    memory: int
    gpus: int = 1
    share: float = 0.9
    cpu: bool = False

    @property
    def budget(self) -> int:
        return int(self.memory * self.share)


@dataclass(frozen=True, slots=True)
class Wish:
    """Tokens of one sequence, prompt and answer together, and how many sequences at once."""

    context: int
    concurrency: int


USUAL = Wish(context=8192, concurrency=4)
"""What a model of the catalogue is sized for."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on one GPU."""

    weights: int
    cache: int
    overhead: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.overhead


@dataclass(frozen=True, slots=True)
class FitVerdict:
    """tensor_parallel: the GPUs judged. Bytes are of one of them.

    max_context: tokens at the wanted concurrency; max_concurrency: sequences of the wanted context; 0: not one.
    smallest: the fewest GPUs of this memory that would do, None where no number up to 64 does.
    reasons: sentences; the first is the verdict itself.
    """

    fits: bool
    tensor_parallel: int
    need: Need
    budget: int
    max_context: int
    max_concurrency: int
    smallest: int | None
    reasons: tuple[str, ...]


def judge(model: Footprint, box: Box, wish: Wish) -> FitVerdict:
    """The fewest GPUs of the box that do, else the most of them that the model can be split over."""
    sizes = splits(model.architecture)
    fitting = None if box.cpu else first_fit(model, box, wish, sizes)
    size = fitting if fitting and fitting <= box.gpus else max(s for s in sizes if s <= box.gpus)
    need = needed(model, box, wish, size)
    in_context = wish.context <= model.architecture.context
    fits = need.total <= box.budget and in_context
    room = box.budget - need.weights - need.overhead
    verdict = FitVerdict(
        fits=fits,
        tensor_parallel=size,
        need=need,
        budget=box.budget,
        max_context=longest(model, wish.concurrency, size, room),
        max_concurrency=max(0, room) // _cache(model, wish.context, size),
        smallest=fitting if in_context else None,
        reasons=(),
    )
    reasons = (_headline(verdict, model, box, wish), *_parts(verdict, model, wish), *_advice(verdict, model, box, wish))
    return replace(verdict, reasons=reasons)


def splits(architecture: Architecture) -> list[int]:
    """Numbers of GPUs this model can be split over, ascending."""
    return [size for size in range(1, MOST_GPUS + 1) if architecture.divides(size)]


def first_fit(model: Footprint, box: Box, wish: Wish, sizes: Iterable[int]) -> int | None:
    return next((size for size in sizes if needed(model, box, wish, size).total <= box.budget), None)


def needed(model: Footprint, box: Box, wish: Wish, tensor_parallel: int) -> Need:
    return Need(
        weights=-(-model.weights // tensor_parallel),
        cache=wish.concurrency * _cache(model, wish.context, tensor_parallel),
        overhead=overhead(model.architecture, box, tensor_parallel),
    )


def overhead(shape: Architecture, box: Box, tensor_parallel: int) -> int:
    """Bytes on one GPU beside weights and cache: an estimate.

    A step holds, for each token of its batch, a few copies of the hidden state and the inner width of the feed-forward
    (split over the GPUs), 2 bytes each, and for each sequence its logits twice in fp32. On a CPU: no context, no graphs.
    """
    batch = 8192 if box.memory >= _LARGE_GPU and not box.cpu else 2048
    activations = batch * (4 * shape.hidden + 3 * shape.widest // tensor_parallel) * 2
    logits = _SEQUENCES * shape.vocab * 4 * 2
    fixed = 0 if box.cpu else _CONTEXT
    return fixed + activations + logits + (_NCCL if tensor_parallel > 1 else 0)


def longest(model: Footprint, concurrency: int, tensor_parallel: int, room: int) -> int:
    """The most tokens each of `concurrency` sequences can have in `room` bytes, no more than the model's own context."""
    low, high = 0, model.architecture.context // _BLOCK
    while low < high:
        middle = (low + high + 1) // 2
        if concurrency * _cache(model, middle * _BLOCK, tensor_parallel) <= room:
            low = middle
        else:
            high = middle - 1
    return low * _BLOCK


def _cache(model: Footprint, tokens: int, tensor_parallel: int) -> int:
    blocks = -(-max(tokens, 1) // _BLOCK)
    return model.architecture.kv_bytes(blocks * _BLOCK, tensor_parallel, WIDTHS[model.kv_dtype])


def _headline(verdict: FitVerdict, model: Footprint, box: Box, wish: Wish) -> str:
    own = model.architecture.context
    if wish.context > own:
        return f"{model.name} cannot: {wish.context:,} tokens are more than the {own:,} it was made for"
    where = "this machine's memory" if box.cpu else _gpus(verdict.tensor_parallel)
    each = "" if verdict.tensor_parallel == 1 else " on each"
    need, allowed = gib(verdict.need.total), f"{gib(verdict.budget)} ({box.share:.0%} of {gib(box.memory)})"
    if verdict.fits:
        return f"{model.name} fits {where}: it needs {need} of {allowed}{each}"
    short = gib(verdict.need.total - verdict.budget)
    return f"{model.name} does not fit {where}: it needs {need}{each} and may use {allowed}, {short} too little"


def _parts(verdict: FitVerdict, model: Footprint, wish: Wish) -> tuple[str, ...]:
    size = verdict.tensor_parallel
    split = f", a share of {gib(verdict.need.weights)} on each of {size} GPUs" if size > 1 else ""
    per_token = verdict.need.cache / max(1, wish.concurrency * wish.context)
    each = " on each GPU" if size > 1 else ""
    wanted = f"{wish.concurrency:,} x {wish.context:,} tokens"
    parts = (
        f"weights: {gib(model.weights)} in {model.dtype}{split}",
        f"cache: {gib(verdict.need.cache)} for {wanted}, {per_token:,.0f} bytes a token{each}",
        f"overhead: about {gib(verdict.need.overhead)} (context, graphs, activations; an estimate)",
    )
    return (*parts, *_peculiarities(model, size))


def _peculiarities(model: Footprint, size: int) -> tuple[str, ...]:
    said = []
    if model.architecture.shared and size > 1:
        said.append("its attention has one cache for all heads: every GPU keeps all of it")
    if not model.architecture.shared and size > model.architecture.kv_heads:
        said.append(
            f"{size} GPUs share {model.architecture.kv_heads} key-value heads, so heads are kept more than once"
        )
    reach = max((group.reach or 0 for group in model.architecture.kv), default=0)
    if reach and not model.architecture.shared:
        said.append(f"some of its layers keep only the last {reach:,} tokens")
    return tuple(said)


def _advice(verdict: FitVerdict, model: Footprint, box: Box, wish: Wish) -> tuple[str, ...]:
    said = []
    if verdict.max_context and verdict.max_context < model.architecture.context:
        said.append(f"longest context for {wish.concurrency:,} at once: {verdict.max_context:,} tokens")
    at_once = batch_size.DEFAULT["cpu" if box.cpu else "cuda"]
    if verdict.fits:
        said.append(
            f"the engine is started with at most {at_once} sequences at once (--max-num-seqs), and with fewer where speeds "
            "measured in earlier runs need it to keep [escalation] ttft_ms"
        )
    if verdict.max_concurrency:
        said.append(f"most at once with {wish.context:,} tokens each: {verdict.max_concurrency:,}")
    if verdict.fits or wish.context > model.architecture.context:
        return tuple(said)
    if verdict.need.weights + verdict.need.overhead > verdict.budget:
        said.append("the weights alone leave no room for a cache")
    if not box.cpu:
        more = (
            f"{_gpus(verdict.smallest)} of this size would do"
            if verdict.smallest
            else "no number of GPUs of this size does"
        )
        said.append(more)
    return tuple(said)


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def gib(size: int) -> str:
    """Bytes in words: GiB with one decimal, MiB below one."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / (1 << 20):,.0f} MiB"
