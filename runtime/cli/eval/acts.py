"""`hearth eval accept`, `demote`, `promote`, `hold`: a person's word on a target, recorded; no run changes it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from runtime.cli.client import asked
from runtime.cli.eval.runtime_of import PATH, Json, Url, runtime_at
from runtime.cli.settings_file import ConfigOption
from runtime.quality.values import QualityEvent

TargetName = Annotated[str, typer.Argument(help="A target's name, `local`, or PROVIDER/MODEL.")]
OfSet = Annotated[str, typer.Option("--set", help="Of this golden set alone; left out: of every one.")]
Note = Annotated[str, typer.Option(help="A reason, kept with the act.")]


class ActEvents(msgspec.Struct):
    """The events that followed from an act."""

    events: list[QualityEvent]


def accept(
    target: TargetName,
    golden: OfSet = "",
    note: Note = "",
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Take a target as it is now: a change of its quality was wanted, and its next five runs are the new reference.

    \b
    Examples:
      hearth eval accept claude --note "a new system prompt"
    """
    _acted("accept", target, golden, note, url, config, as_json=as_json)


def demote(
    target: TargetName,
    golden: OfSet = "",
    note: Note = "",
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Put a target behind all others, until `hearth eval promote`. No run brings it back.

    \b
    Examples:
      hearth eval demote claude --set invoices --note "wrong totals since Monday"
    """
    _acted("demote", target, golden, note, url, config, as_json=as_json)


def promote(
    target: TargetName,
    golden: OfSet = "",
    note: Note = "",
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Put a target back among the others. The detector starts anew and may demote it again.

    \b
    Examples:
      hearth eval promote claude
    """
    _acted("promote", target, golden, note, url, config, as_json=as_json)


def hold(
    target: TargetName,
    golden: OfSet = "",
    note: Note = "",
    release: Annotated[bool, typer.Option("--release", help="End the hold: runs decide again.")] = False,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Keep a target as it is, demoted or not, whatever runs say, until --release, promote or demote.

    \b
    Examples:
      hearth eval hold claude --note "the set is being rewritten"
      hearth eval hold claude --release
    """
    _acted("release" if release else "hold", target, golden, note, url, config, as_json=as_json)


def _acted(kind: str, target: str, golden: str, note: str, url: Url, config: ConfigOption, *, as_json: bool) -> None:
    body = {"kind": kind, "target": target, "set": golden, "note": note}
    for event in asked(runtime_at(url, config), "POST", f"{PATH}/acts", ActEvents, body).events:
        typer.echo(
            msgspec.json.encode(event).decode() if as_json else f"{event.target} {event.set} {event.words}".strip()
        )
