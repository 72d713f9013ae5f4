"""The footprint of a model on a GPU, from the catalogue, a folder, or the hub.

Finds the facts; the arithmetic over them is `fit.py`'s. Knows no GPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_models.facts.architecture import read
from local_models.facts.catalogue import Entry
from local_models.facts.config import UnknownArchitectureError, packing_of, text_fields
from local_models.facts.fit import WIDTHS, Box, Footprint, Wish, judge
from local_models.weights import hub
from local_models.weights.errors import NotAModelError
from local_models.weights.shards import weight_bytes
from local_models.weights.weights import Builtin, Folder, Hub, resolve
from runtime.contract.guard import Guard

_NAMES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float8_e4m3fn": "fp8"}


async def footprint(
    model: str, *, guard: Guard, environ: Mapping[str, str], dtype: str | None = None, kv_dtype: str = "bf16"
) -> Footprint:
    """dtype: if served in another type than published. Asks the hub for what is not known. Raises WeightsError."""
    match resolve(model):
        case Builtin(entry=entry) | Hub(entry=Entry() as entry):
            return of_entry(entry, dtype, kv_dtype)
        case Folder(path=path) as folder:
            return _of_files(folder.name, _config(path), weight_bytes(path), dtype, kv_dtype)
        case Hub(repo=repo):
            config, weights = await hub.facts(repo, guard=guard, environ=environ)
            return _of_files(repo, config, weights, dtype, kv_dtype)


def split_args(folder: Path, boxes: Sequence[Box], wish: Wish) -> tuple[str, ...]:
    """vLLM's flag for a model that one GPU cannot hold; () where one is enough, or nothing is known of it.

    boxes: the kinds of GPUs to choose from, the first that does is taken. Where none does, the model is split over as many
    as it can be of the kind with the most memory: the engine's own error says what is missing. Blocking: reads the
    folder's config and the size of its weights.
    """
    try:
        model = _of_files(folder.name, _config(folder), weight_bytes(folder), None, "bf16")
    except NotAModelError:
        return ()
    wish = Wish(min(wish.context, model.architecture.context), wish.concurrency)
    verdicts = [(judge(model, box, wish), box) for box in boxes]
    if not verdicts:
        return ()
    fitting = (verdict for verdict, _ in verdicts if verdict.fits)
    most, _ = max(verdicts, key=lambda pair: pair[0].tensor_parallel * pair[1].memory)
    size = next(fitting, most).tensor_parallel
    return ("--tensor-parallel-size", str(size)) if size > 1 else ()


def of_entry(entry: Entry, dtype: str | None = None, kv_dtype: str = "bf16") -> Footprint:
    if dtype is None or dtype == entry.dtype:
        return Footprint(entry.name, entry.architecture, entry.weight_bytes, entry.dtype, kv_dtype)
    return Footprint(entry.name, entry.architecture, entry.parameters * WIDTHS[dtype], dtype, kv_dtype)


def _of_files(name: str, config: Any, weights: int, dtype: str | None, kv_dtype: str) -> Footprint:
    """Raises NotAModelError for a config that cannot be judged, whatever is in it."""
    try:
        text, architecture = text_fields(config), read(config)
    except UnknownArchitectureError as error:
        raise NotAModelError(
            f"{name} cannot be judged: {error}", "vLLM itself says at start whether it fits"
        ) from error
    plain = str(text.get("dtype") or text.get("torch_dtype") or "bfloat16")
    published = packing_of(text.get("quantization_config")) or _NAMES.get(plain, plain)
    if dtype and dtype != published:
        if published not in WIDTHS:
            raise NotAModelError(f"{name} is published in {published}", f"it cannot be reckoned in {dtype}")
        weights = weights * WIDTHS[dtype] // WIDTHS[published]
    return Footprint(name, architecture, weights, dtype or published, kv_dtype)


def _config(folder: Path) -> Any:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotAModelError(f"{folder / 'config.json'} cannot be read: {error}", "fetch the model again") from error
