"""`hearth eval replay`: the stored runs judged again, under another tolerance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from runtime.cli.client import asked
from runtime.cli.eval.runtime_of import PATH, Json, Url, runtime_at
from runtime.cli.settings_file import ConfigOption
from runtime.quality.values import QualityEvent


class _Replayed(msgspec.Struct):
    data: list[QualityEvent]


def replay(
    tolerance: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="The loss of quality that is accepted, such as 0.05.")
    ] = None,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Show when a target would have been demoted and let back, by the runs that are stored. Changes nothing.

    \b
    Examples:
      hearth eval replay --tolerance 0.05
    """
    query = "" if tolerance is None else f"?tolerance={tolerance}"
    found = asked(runtime_at(url, config), "GET", f"{PATH}/replay{query}", _Replayed).data
    for event in found:
        at = f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%d}"
        line = f"{at}  {event.kind}  {event.target} {event.set}  {event.words}"
        typer.echo(msgspec.json.encode(event).decode() if as_json else line)
    if not found and not as_json:
        typer.echo("nothing would have been demoted")
