"""`hearth eval sample`, `hearth eval forget`: the kept prompts and answers of `[quality.sample]`, shown and deleted."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from runtime.cli.eval.runtime_of import Json
from runtime.cli.exits import CommandError
from runtime.quality.sample.file import SampleFile
from runtime.settings.environment import environment, state_dir

_SHOWN = 100


def sample(
    most: Annotated[int, typer.Option("--most", min=1, help="Print this many of the latest.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what `[quality.sample]` keeps: redacted prompts and answers, for the judge and the calibration.

    \b
    Examples:
      hearth eval sample --json
    """
    rows = SampleFile(state_dir(environment())).rows()
    for row in rows[-most:]:
        at = f"{datetime.fromtimestamp(row.at, UTC):%Y-%m-%d %H:%M}"
        line = f"{row.id}  {at}  {row.target}  {row.task or ''}  {' '.join(row.text.split())[:_SHOWN]}"
        typer.echo(msgspec.json.encode(row).decode() if as_json else line)
    if not rows and not as_json:
        typer.echo("nothing is kept: see [quality.sample]")


def forget(
    decision: Annotated[str | None, typer.Argument(help="The id of one decision.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all that is kept.")] = False,
) -> None:
    """Delete kept prompts and answers: of one decision, or all.

    \b
    Examples:
      hearth eval forget dec_0cd9a1b2c3d4e5f6
      hearth eval forget --all
    """
    if (decision is None) != everything:
        raise CommandError("name one decision, or say --all")
    try:
        gone = SampleFile(state_dir(environment())).forget(decision)
    except (sqlite3.Error, OSError) as fault:
        raise CommandError(f"the sample cannot be changed: {fault}") from fault
    typer.echo(f"{gone} deleted")
