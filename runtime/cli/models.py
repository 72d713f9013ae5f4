"""`hearth models`: the catalogue, the fit of a model on this box, its download and its removal. Thin, over `local_models`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from local_models.facts import fit
from local_models.facts.catalogue import Entry, catalogue
from local_models.facts.footprint import footprint, of_entry
from local_models.host import visible
from local_models.host.gpu import NvmlProbe, survey
from local_models.replica import command, environment
from local_models.replica.prepared import PreparedModel, PrepareError
from local_models.weights import disk, hub, weights
from runtime.cli import adapters, loading
from runtime.cli.exits import CommandError, Exit
from runtime.cli.guard import GUARD
from runtime.cli.paint import amount, columns, paint_for

T = TypeVar("T")

app = typer.Typer(
    name="models",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List, fetch, size and remove the models this box could serve.\n\n"
    "\b\nExamples:\n  hearth models list\n  hearth models fit llama-3.1-8b --context 16384 --concurrency 8\n"
    "  hearth models pull llama-3.1-8b\n  hearth models remove llama-3.1-8b",
)

# The boxes that "needs" is looked for in, smallest first.
BOXES = tuple(
    fit.Box(memory=size * fit.GIB, gpus=gpus)
    for gpus, size in ((1, 8), (1, 16), (1, 24), (1, 48), (1, 80), (2, 80), (4, 80), (8, 80), (8, 141), (8, 180))
)


class Dtype(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP8 = "fp8"


Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]
Model = Annotated[str, typer.Argument(metavar="NAME", help="A name of `hearth models list`, a hub id, or a folder.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """Show the models Hearth knows by name; any other hub id (org/name) or folder can be served too.

    \b
    "needs" is for 4 requests of 8,192 tokens at once: GPUs and the memory of each. `hearth models fit` says more.
    "on disk" is what its files take here; `hearth models remove` gives it back. Other models in the hub's cache stand last.

    \b
    Examples:
      hearth models list
      hearth models list --json
    """
    entries, kept = catalogue().entries, {model.name: model for model in disk.every(os.environ)}
    sizes = {name: model.size() for name, model in kept.items()}
    others = [model for name, model in kept.items() if name not in {entry.name for entry in entries}]
    if as_json:
        known = [_facts(entry) | _kept(kept.get(entry.name), sizes) for entry in entries]
        unknown = [dict.fromkeys(known[0]) | {"name": m.name, "hub": m.name} | _kept(m, sizes) for m in others]
        typer.echo(json.dumps([*known, *unknown], indent=2, ensure_ascii=False))
        return
    paint = paint_for(sys.stdout, os.environ)
    head = [(word, "dim") for word in ("name", "size", "weights", "context", "needs", "tools", "licence", "on disk")]
    rows = [head]
    for entry in entries:
        box = _smallest(entry)
        texts = (
            entry.name,
            _size(entry.parameters) + (f" ({_size(entry.active)} active)" if entry.active else ""),
            amount(entry.weight_bytes),
            f"{entry.context:,}",
            f"{box.gpus} x {box.memory // fit.GIB} GiB" if box else "more than 8 GPUs",
            "yes" if entry.tools else "with a template" if entry.tool_parser else "no",
            entry.licence + ("*" if entry.gated else ""),
            _on_disk(kept.get(entry.name), sizes),
        )
        rows.append([(text, "") for text in texts])
    rows += [[(text, "") for text in (model.name, *[""] * 6, _on_disk(model, sizes))] for model in others]
    for line in columns(rows, paint, indent=""):
        typer.echo(line)
    if kept:
        typer.echo(paint(f"on disk: {amount(sum(sizes.values()))} in {len(kept)} models", "dim"))
    typer.echo(paint("* gated: accept the licence on the hub and set HF_TOKEN before `hearth models pull`", "dim"))


@app.command()
def pull(
    name: Model,
    offline: Annotated[bool, typer.Option("--offline", help="Touch no network: only say whether it is here.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a model so that `hearth serve` starts without the network. Run again, it resumes where it stopped.

    \b
    Examples:
      hearth models pull smollm2-135m
      HF_TOKEN=hf_... hearth models pull llama-3.1-8b
      hearth models pull Qwen/Qwen3-8B
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as bar:
        prepared = _run(_pull(name, offline, None if bar.disable else bar))
    if as_json:
        facts = {"name": prepared.name, "path": str(prepared.path), "engine_args": list(prepared.args)}
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        typer.echo(str(prepared.path))


@app.command()
def remove(
    name: Model,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a model's files from this disk. Refused while an engine or a download uses them.

    What Hearth fetched from the hub lies in the hub's own cache: other programs that use it there lose it too.

    \b
    Examples:
      hearth models remove llama-3.1-8b
      hearth models remove Qwen/Qwen3-8B --yes
    """
    try:
        model = disk.kept(name, os.environ)
        if model is None:
            raise CommandError(f"{name} is not on this disk; hearth models list shows what is")
        size = model.size()
        if not yes:
            if as_json or sys.stdin is None or not sys.stdin.isatty():
                raise CommandError(f"{name} has {amount(size)} in {model.folder}: say --yes to remove it", Exit.USAGE)
            typer.echo(f"Remove {name}, {amount(size)} in {model.folder}? [y/N] ", nl=False, err=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise CommandError("nothing was removed")
        disk.remove(model)
    except PrepareError as error:
        raise CommandError(error.cause) from error
    facts = {"name": model.name, "path": str(model.folder), "freed_bytes": size}
    typer.echo(
        json.dumps(facts, ensure_ascii=False) if as_json else f"{model.name} removed: {amount(size)} are free again"
    )


@app.command("fit")
def fit_model(
    name: Model,
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a request, prompt and answer together; left out: up to 8192.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs; left out: those of this box.")] = None,
    memory: Annotated[float | None, typer.Option(min=0.1, help="GiB of one GPU; left out: this box's.")] = None,
    utilization: Annotated[float, typer.Option(min=0.05, max=1.0, help="Share the engine may use.")] = 0.9,
    dtype: Annotated[Dtype | None, typer.Option(help="Weights in another type than published.")] = None,
    kv_dtype: Annotated[Dtype, typer.Option(help="Type of the cache.")] = Dtype.BF16,
    as_json: Json = False,
) -> None:
    """Say whether a model fits the GPUs, and why not. Exit code 0: it fits; 1: it does not.

    \b
    Examples:
      hearth models fit llama-3.1-8b
      hearth models fit llama-3.3-70b --gpus 4 --memory 80 --context 32768 --concurrency 16
      hearth models fit ./my-model --memory 24 --json
    """
    model = _run(footprint(name, guard=GUARD, environ=os.environ, dtype=dtype, kv_dtype=kv_dtype))
    box, about = _box(gpus, memory, utilization)
    wish = fit.Wish(context or min(fit.USUAL.context, model.architecture.context), concurrency)
    verdict = fit.judge(model, box, wish)
    if as_json:
        typer.echo(json.dumps(_verdict(model, box, verdict, about), indent=2, ensure_ascii=False))
    else:
        paint = paint_for(sys.stdout, os.environ)
        first, *rest = verdict.reasons
        lines = [paint(about, "dim")] if about else []
        lines += [paint(first, "green" if verdict.fits else "red"), *(f"  {reason}" for reason in rest)]
        typer.echo("\n".join(lines))
    raise typer.Exit(Exit.OK if verdict.fits else Exit.FAILED)


app.command("load")(loading.load)
app.command("unload")(loading.unload)
app.command("swap")(loading.swap)
app.command("adapters")(adapters.adapters)
app.command("load-adapter")(adapters.load_adapter)
app.command("unload-adapter")(adapters.unload_adapter)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except PrepareError as error:
        raise CommandError(error.cause) from error
    except KeyboardInterrupt:
        raise CommandError("stopped; the same command resumes from here", Exit.INTERRUPTED) from None


async def _pull(name: str, offline: bool, bar: Progress | None) -> PreparedModel:
    task = bar.add_task(name, total=None, visible=False) if bar else None

    def notice(line: str) -> None:
        if bar:
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(line, err=True)

    def show(at: hub.DownloadProgress) -> None:
        if bar and task is not None:
            bar.update(task, completed=at.done, total=at.total, visible=True)

    python = await asyncio.to_thread(_engine_python, name)
    return await weights.prepare(
        name,
        guard=GUARD,
        notice=notice,
        engine_python=python,
        offline=offline,
        refresh=not offline,
        progress=show if bar else None,
        environ=os.environ,
    )


def _engine_python(name: str) -> str | None:
    """The interpreter that converts the built-in model; nothing else needs one."""
    if not isinstance(weights.resolve(name), weights.Builtin):
        return None
    seen = survey(_probe())
    found = environment.find_engine("auto", seen.gpus, seen.reason, env=os.environ, faults=seen.faults)
    return None if isinstance(found, environment.NotFound) else str(found.python)


def _box(gpus: int | None, memory: float | None, share: float) -> tuple[fit.Box, str]:
    """The box to judge by, and a sentence on the source of its figures."""
    if memory is not None:
        return fit.Box(int(memory * fit.GIB), gpus or 1, share), ""
    seen = survey(_probe())
    if seen.gpus:
        kinds = command.equal_gpus(seen.gpus)
        kind = max(kinds, key=lambda kind: sum(gpu.memory_total for gpu in kind))
        others = len(seen.gpus) - len(kind)
        about = f"this box has {len(kind)} x {kind[0].name}" + (
            f" (and {others} of other sizes, left out)" * bool(others)
        )
        return fit.Box(min(gpu.memory_total for gpu in kind), gpus or len(kind), share), "; ".join(
            (about, *seen.faults)
        )
    if seen.faults:
        raise CommandError(f"{'; '.join(seen.faults)}: say how much memory a GPU has with --memory GIB")
    if gpus is not None:
        raise CommandError(f"{seen.reason}: say how much memory each has with --memory GIB", Exit.USAGE)
    about = f"{seen.reason}: judged by this machine's memory, for an engine on the CPU; --memory GIB judges a GPU"
    return fit.Box(psutil.virtual_memory().total, 1, share, cpu=True), about


def _probe() -> NvmlProbe:
    return NvmlProbe(time.monotonic, os.environ.get(visible.VARIABLE))


def _verdict(model: fit.Footprint, box: fit.Box, verdict: fit.FitVerdict, about: str) -> dict[str, Any]:
    need = verdict.need
    return {
        "name": model.name,
        "fits": verdict.fits,
        "tensor_parallel": verdict.tensor_parallel,
        "need_bytes": {
            "weights": need.weights,
            "cache": need.cache,
            "overhead": need.overhead,
            "total": need.total,
        },
        "budget_bytes": verdict.budget,
        "memory_bytes": box.memory,
        "device": "cpu" if box.cpu else "cuda",
        "max_context": verdict.max_context,
        "max_concurrency": verdict.max_concurrency,
        "smallest_gpus": verdict.smallest,
        "reasons": [*verdict.reasons, *([about] if about else [])],
    }


def _size(parameters: int) -> str:
    billions = parameters / 1e9
    return f"{parameters / 1e6:.0f}M" if billions < 1 else f"{billions:.1f}B" if billions < 10 else f"{billions:.0f}B"


def _smallest(entry: Entry) -> fit.Box | None:
    model = of_entry(entry)
    return next((box for box in BOXES if fit.judge(model, box, fit.USUAL).fits), None)


def _on_disk(model: disk.KeptModel | None, sizes: Mapping[str, int]) -> str:
    """The size of a model's files in words; "" for one that is not here."""
    if model is None:
        return ""
    return amount(sizes[model.name]) + ("" if model.whole else " (unfinished)")


def _kept(model: disk.KeptModel | None, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The same for programs. path: the folder to serve, None for one that is not here or unfinished."""
    if model is None:
        return {"path": None, "disk_bytes": 0}
    return {"path": str(model.whole) if model.whole else None, "disk_bytes": sizes[model.name]}


def _facts(entry: Entry) -> dict[str, Any]:
    box = _smallest(entry)
    return {
        "name": entry.name,
        "title": entry.title,
        "hub": entry.hub,
        "parameters": entry.parameters,
        "active_parameters": entry.active or entry.parameters,
        "weights_bytes": entry.weight_bytes,
        "dtype": entry.dtype,
        "context": entry.context,
        "cache_bytes_per_token": round(entry.architecture.kv_bytes(fit.USUAL.context) / fit.USUAL.context),
        "licence": entry.licence,
        "gated": entry.gated,
        "modalities": sorted(entry.modalities),
        "tools": entry.tools,
        "tool_parser": entry.tool_parser,
        "tool_template": entry.tool_template,
        "reasoning_parser": entry.reasoning_parser,
        "engine_args": list(entry.engine_args),
        "needs": {"gpus": box.gpus, "memory_gib": box.memory // fit.GIB} if box else None,
        "notes": list(entry.notes),
        "source": entry.source,
    }
