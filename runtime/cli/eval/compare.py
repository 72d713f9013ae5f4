"""`hearth eval compare`: a model and the one that is to follow it, on the same golden sets, with the line to change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.client import asked, settings_from
from runtime.cli.eval.runtime_of import RUNS, Json, Url, Yes, agreed, followed, runtime_at, sets_of
from runtime.cli.eval.shown import compared_lines
from runtime.cli.paint import paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.quality.runs.report import Compared
from runtime.settings.environment import environment


def compare(
    old: Annotated[str, typer.Argument(help="The model in use: a target's name or PROVIDER/MODEL.")],
    new: Annotated[str, typer.Argument(help="The model to follow it; it need not be configured, if its provider is.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILES]", help="Files of golden sets.")] = None,
    *,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="Ask each case so often.")] = 1,
    yes: Yes = False,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Put two models side by side on the golden sets: quality, cost and latency, and what to change.

    \b
    Examples:
      hearth eval compare claude anthropic/claude-sonnet-6
    """
    wanted: dict[str, Any] = {"targets": [old, new], "repeats": repeats}
    if files:
        wanted["sets"] = msgspec.to_builtins(sets_of(files))
    address = runtime_at(url, config)
    agreed(address, wanted, yes=yes)
    state = followed(address, wanted)
    found = asked(address, "GET", f"{RUNS}/{state.id}/compare", Compared)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    line = _line(old, found, config)
    typer.echo("\n".join(compared_lines(found, line, paint_for(sys.stdout, environment()))))


def _line(old: str, found: Compared, config: Path | None) -> str:
    """The line of the settings that makes the new model take the old one's place; "" where no target has the old one."""
    provider, _, model = found.new.partition("/")
    for name, target in settings_from(config, environment()).targets.items():
        if old in (name, found.old) and f"{target.provider}/{target.model}" == found.old:
            more = "" if target.provider == provider else f'\nprovider = "{provider}"'
            return f'To change over, in the settings:\n\n[targets.{name}]{more}\nmodel = "{model}"'
    return ""
