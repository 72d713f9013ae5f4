"""`hearth config`: writes a commented file, checks one, shows the settings in force. Prints no secret."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from cloud.providers import NAMES
from runtime.cli.exits import CommandError, Exit
from runtime.cli.guard import GUARD
from runtime.cli.launch import HELP
from runtime.cli.paint import Paint, paint_for
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.compose.effect import without_effect
from runtime.compose.models import fitting
from runtime.compose.targets import unoffered
from runtime.settings import Loaded, Problem, Secret, SettingsError, environment, load
from runtime.settings.commented import commented_file, toml
from runtime.settings.faults import dotted
from runtime.settings.shape import leaves

app = typer.Typer(
    name="config",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Write, check and show the settings.\n\n"
    "\b\nExamples:\n  hearth config init\n  hearth config check hearth.toml\n  hearth config show --json",
)

Json = Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")]


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("hearth.toml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a file that shows every setting, its default and what it means.

    \b
    Examples:
      hearth config init
      hearth config init ~/.config/hearth/hearth.toml
    """
    if path.exists() and not force:
        raise CommandError(f"{path} is there already: name another file, or write over it with --force", Exit.USAGE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commented_file(), encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
        raise CommandError(message) from error
    typer.echo(f"{path} written. Change what you need, then: hearth config check {path}")


@app.command()
def check(path: FilePath = None, config: ConfigOption = None, as_json: Json = False) -> None:
    """Say what is wrong with the settings, and which of them have no effect on this box. Exit code 1 if they cannot be used.

    \b
    Examples:
      hearth config check
      HEARTH_SERVER__PORT=9000 hearth config check hearth.toml
    """
    loaded = _load(settings_file(path, config), as_json, Exit.FAILED)
    if as_json:
        typer.echo(json.dumps({"ok": True, "problems": [], **_remarks(loaded)}, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{_file(loaded)}: {_paint(sys.stdout)('fine', 'green')}")
    _print_remarks(loaded)


@app.command()
def show(path: FilePath = None, config: ConfigOption = None, as_json: Json = False) -> None:
    """Print every setting in force and where it comes from: the file with its line, a variable, or the default.

    \b
    Examples:
      hearth config show
      hearth config show --json
    """
    loaded = _load(settings_file(path, config), as_json, Exit.SETTINGS)
    if as_json:
        shown = {
            "settings": loaded.settings.model_dump(mode="json"),
            "sources": {dotted(key): loaded.sources.get(key, "default") for key, _ in leaves(loaded.settings)},
            **_remarks(loaded),
        }
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    # `server.port = 8000   # default`, the sources in one column.
    rows = []
    for key, value in leaves(loaded.settings):
        if value is not None and key[0] != "absent":
            secret = "" if not isinstance(value, Secret) else ", empty" if value.empty else ", has a value"
            rows.append((f"{dotted(key)} = {toml(value)}", f"{loaded.sources.get(key, 'default')}{secret}"))
    width = min(max(len(setting) for setting, _ in rows), 60)
    paint = _paint(sys.stdout)
    typer.echo(f"# {_file(loaded)}")
    for setting, source in rows:
        typer.echo(f"{setting:<{width}}  {paint(f'# {source}', 'dim')}")
    _print_remarks(loaded)


def _load(config: Path | None, as_json: bool, exit: Exit) -> Loaded:
    """The settings. If they cannot be used, prints every problem and ends the command with `exit`."""
    try:
        return load(config, environment(), NAMES)
    except SettingsError as error:
        problems = error.problems
    if as_json:
        found = [{name: getattr(problem, name) for name in Problem.__slots__} for problem in problems]
        typer.echo(json.dumps({"ok": False, "problems": found}, indent=2, ensure_ascii=False))
    for problem in () if as_json else problems:
        typer.echo(_paint(sys.stderr)(str(problem), "red"), err=True)
    raise typer.Exit(exit)


def _remarks(loaded: Loaded) -> dict[str, Any]:
    return {
        "file": str(loaded.file) if loaded.file else None,
        "warnings": [*loaded.warnings, *unoffered(loaded.settings)],
        "not_in_force": without_effect(loaded.settings, environment()),
        "absent": dict(loaded.settings.absent),
        "models": fitting(loaded.settings, environment(), GUARD),
    }


def _print_remarks(loaded: Loaded) -> None:
    remarks = _remarks(loaded)
    absent = [f"targets.{name} is not used: {why}" for name, why in remarks["absent"].items()]
    for remark in (*remarks["warnings"], *absent, *remarks["models"], *remarks["not_in_force"]):
        typer.echo(f"{_paint(sys.stderr)('note:', 'yellow')} {remark}", err=True)


def _file(loaded: Loaded) -> str:
    return str(loaded.file) if loaded.file else "no file: every setting is a default, or from the environment"


def _paint(stream: TextIO) -> Paint:
    return paint_for(stream, environment())
