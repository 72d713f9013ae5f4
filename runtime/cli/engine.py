"""`hearth engine`: vLLM's own environment, made from the locks inside the package, listed and removed.

The environment lives in the user's cache and is shared by every installation of one version of Hearth.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psutil
import typer

from local_models.installer import places
from local_models.installer.install import UnfitBoxError, install_engine, only_one
from local_models.installer.places import EngineEnvironment
from local_models.installer.progress import StepFailedError
from local_models.replica.environment import VARIABLE, ask_python
from local_models.weights.cache import cache_home
from runtime.cli.exits import CommandError, Exit
from runtime.cli.launch import HELP
from runtime.cli.paint import amount, columns, paint_for
from runtime.settings import environment

DEVICE = "HEARTH_ENGINE__DEVICE"

app = typer.Typer(
    name="engine",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Install, list and remove vLLM's own environments.\n\n"
    "\b\nExamples:\n  hearth engine install\n  hearth engine list\n  hearth engine remove --older",
)


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    NONE = "none"


@app.command()
def install(
    device: Annotated[
        Device | None,
        typer.Option(help=f"Which vLLM; left out: ${DEVICE}, else what fits this box. none: nothing is installed."),
    ] = None,
) -> None:
    """Install the engine (vLLM), by hash, unless it is there. Some minutes and 3.4 GB for a CPU, 10 GB for CUDA.

    An interrupted installation continues with the same command where it stopped.

    \b
    Examples:
      hearth engine install
      hearth engine install --device cpu
    """
    env = environment()
    wanted = device or Device(env.get(DEVICE) or "auto")
    if wanted is Device.NONE:
        return
    if named := env.get(VARIABLE):
        typer.echo(f"{VARIABLE} names {named}: nothing is installed beside it")
        return
    try:
        made = install_engine(wanted, cache_home(env))
    except (UnfitBoxError, StepFailedError) as fault:
        raise CommandError(f"the engine was not installed\n{fault}") from fault
    except OSError as fault:
        raise CommandError(f"the engine was not installed: {fault}") from fault
    except KeyboardInterrupt:
        raise CommandError("interrupted; the same command continues where it stopped", Exit.INTERRUPTED) from None
    typer.echo(f"the {made.device} engine is in {made.folder}", err=True)


@app.command("list")
def list_engines(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")] = False,
) -> None:
    """Show the engine environments on this box, the one of this version first."""
    found = [_facts(each) for each in places.environments(cache_home(environment()))]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found:
        typer.echo("no engine is installed: hearth engine install")
        return
    head = [(word, "dim") for word in ("name", "vLLM", "size", "", "python")]
    rows = [[(str(each[key]), "") for key in ("name", "vllm", "disk", "state", "python")] for each in found]
    typer.echo("\n".join(columns([head, *rows], paint_for(sys.stdout, environment()), indent="")))


@app.command()
def remove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="As `hearth engine list` names them.")
    ] = None,
    older: Annotated[
        bool, typer.Option("--older", help="Those of other versions of Hearth, and unfinished ones.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Remove engine environments. One whose processes run is kept, and so is everything else then.

    \b
    Examples:
      hearth engine remove --older
      hearth engine remove engine-cpu-cf7113a3328e
    """
    found = {each.folder.name: each for each in places.environments(cache_home(environment()))}
    if unknown := [name for name in names or () if name not in found]:
        there = f"there are {', '.join(found)}" if found else "none is installed"
        raise CommandError(f"no engine environment is called {', '.join(unknown)}; {there}", Exit.USAGE)
    if not (names or older or everything):
        raise CommandError("name the environments to remove, or use --older or --all", Exit.USAGE)
    chosen = [
        each
        for name, each in found.items()
        if everything or name in (names or ()) or (older and not (each.current and each.complete))
    ]
    users = {each.folder.name: pids for each in chosen if (pids := running_from(each.folder))}
    if users:
        words = "; ".join(f"{name} is in use by {', '.join(map(str, pids))}" for name, pids in users.items())
        raise CommandError(f"{words}: stop Hearth first; nothing was removed")
    for each in chosen:
        size = each.size()
        with only_one(each.lock):
            each.remove()
        typer.echo(f"removed {each.folder} ({amount(size)})")
    if not chosen:
        typer.echo("nothing to remove")


def running_from(folder: Path) -> list[int]:
    """The processes whose program or first argument lies in the folder."""
    inside = f"{folder}/"
    return [
        process.pid
        for process in psutil.process_iter(["exe", "cmdline"])
        if any(word.startswith(inside) for word in (process.info["exe"] or "", *(process.info["cmdline"] or ())[:2]))
    ]


def _facts(each: EngineEnvironment) -> Mapping[str, object]:
    """One environment for `list`. state: whole, of another version, or unfinished."""
    found = ask_python(each.python) if each.complete else None
    whole = "of this version" if each.current else "of another version"
    size = each.size()
    return {
        "name": each.folder.name,
        "device": each.device,
        "vllm": found.vllm_version if found else None,
        "current": each.current,
        "complete": each.complete,
        "state": whole if found else "does not run" if each.complete else "unfinished",
        "bytes": size,
        "disk": amount(size),
        "python": str(each.python),
    }
