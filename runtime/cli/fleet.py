"""`hearth fleet`: the other Hearths, through a running runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from runtime.cli.client import address_of, asked
from runtime.cli.launch import HELP
from runtime.cli.paint import Paint, paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.fleet.peers import PeerState, PeerSummary
from runtime.server.pages.fleet import PATH, FleetReport
from runtime.settings.environment import environment

app = typer.Typer(
    name="fleet",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="The other Hearths of this one's fleet.\n\n\b\nExamples:\n  hearth fleet status\n  hearth fleet status --json",
)
_COLOURS = {PeerState.ALIVE: "green", PeerState.STALE: "yellow", PeerState.UNKNOWN: "red", PeerState.REFUSED: "red"}


@app.callback()
def fleet() -> None:
    """Makes `status` a command of its own, beside those that may follow."""


@app.command()
def status(
    *,
    url: Annotated[str | None, typer.Option(help="Where the runtime is; else as the settings say.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show which Hearths are alive, what each last said of its engine, and whose version or settings differ.

    \b
    Examples:
      hearth fleet status
      hearth fleet status --url http://b:8000 --json
    """
    env = environment()
    report = asked(address_of(url, config, env), "GET", PATH, FleetReport)
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
        return
    for line in fleet_lines(report, paint_for(sys.stdout, env)):
        typer.echo(line)


def fleet_lines(report: FleetReport, paint: Paint) -> Iterator[str]:
    yield f"{report.own.name or 'this Hearth'}: {_engine(report.own)}"
    for each in report.peers:
        name = f"{each.summary.name} at {each.address}" if each.summary and each.summary.name else each.address
        state = paint(str(each.state), _COLOURS[each.state])
        heard = "never heard" if each.heard_ago_s is None else f"heard {each.heard_ago_s:.1f} s ago"
        yield f"{name}: {state}, {heard}{f'; {_engine(each.summary)}' if each.summary else ''}"
        if each.differs:
            yield paint(f"  {each.difference} than here", "yellow")
        if each.trouble:
            yield f"  {each.trouble}"
    for engine in report.attached:
        yield paint(f"{engine.replica} at {engine.address}: {engine.words}", "yellow" if engine.assumed else "")
    if not report.peers and not report.attached:
        yield "it is alone: [fleet] peers names no other Hearth"
    if report.store is not None:
        yield paint(report.store.words, "green" if report.store.away_s is None else "red")


def _engine(summary: PeerSummary) -> str:
    if not summary.ready:
        return f"{summary.model}, the engine is not up"
    wait = "" if summary.predicted_ttft_ms is None else f", first token in {summary.predicted_ttft_ms:.0f} ms"
    full = f", over its threshold of {summary.over}" if summary.over else ""
    return f"{summary.model}, {summary.running} running, {summary.waiting} waiting{wait}{full}"
