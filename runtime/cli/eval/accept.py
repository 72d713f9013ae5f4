"""`hearth eval accept`: drops a target's reference, so that its next runs become a new one."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from runtime.cli.client import asked
from runtime.cli.eval.runtime_of import PATH, Json, Url, runtime_at
from runtime.cli.settings_file import ConfigOption
from runtime.quality.values import QualityEvent


class ActEvents(msgspec.Struct):
    """The events that followed from an act."""

    events: list[QualityEvent]


def accept(
    target: Annotated[str, typer.Argument(help="A target's name, `local`, or PROVIDER/MODEL.")],
    golden: Annotated[str, typer.Option("--set", help="Of this set alone; left out: of every set.")] = "",
    note: Annotated[str, typer.Option(help="A reason, kept with the act.")] = "",
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Take a target as it is now: a change of its quality was wanted, and its next five runs are the new reference.

    \b
    Examples:
      hearth eval accept claude --note "a new system prompt"
    """
    body = {"kind": "accept", "target": target, "set": golden, "note": note}
    found = asked(runtime_at(url, config), "POST", f"{PATH}/acts", ActEvents, body)
    for event in found.events:
        typer.echo(
            msgspec.json.encode(event).decode() if as_json else f"{event.target} {event.set} {event.words}".strip()
        )
