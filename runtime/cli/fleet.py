"""`hearth fleet`: the other Hearths, through a running runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import typer

from runtime.cli.client import address_of, asked
from runtime.cli.launch import HELP
from runtime.cli.paint import Cell, Paint, columns, duration, paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.fleet.peers import ASKS, PROTOCOL, STORE, PeerStanding, PeerState, PeerSummary
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
_HEARD = {STORE: "through the store", ASKS: "asks this one"}


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
    """This Hearth and the others in columns with what is wrong below each, the engines they share, then the store."""
    own = report.own
    here = (own.name or "this Hearth", "bold"), ("here", ""), ("", ""), ("", ""), _engine(own)
    if not report.peers:
        yield f"{own.name or 'this Hearth'}: {_engine(own)[0]}"
        if not report.attached:
            yield "it is alone: [fleet] peers names no other Hearth, or there is no [fleet] key, and none was heard"
    else:
        first, *lines = columns([here, *map(_row, report.peers)], paint, indent="")
        yield first
        for each, line in zip(report.peers, lines, strict=True):
            yield line
            yield from (paint(f"  {words}", "yellow") for words in _faults(each, own))
    for engine in report.attached:
        yield paint(f"{engine.replica} at {engine.address}: {engine.words}", "yellow" if engine.assumed else "")
    if report.store is not None:
        yield ""
        yield paint(report.store.words, "green" if report.store.away_s is None else "red")


def _row(peer: PeerStanding) -> Sequence[Cell]:
    heard = "never heard" if peer.heard_ago_s is None else f"heard {_ago(peer.heard_ago_s)} ago"
    where = peer.address or _HEARD.get(peer.via, peer.via)
    said, style = _engine(peer.summary) if peer.summary is not None and peer.summary.protocol == PROTOCOL else ("", "")
    if said and peer.state is PeerState.STALE:
        said, style = f"it said last: {said}", "dim"
    name = peer.summary.name if peer.summary is not None else ""
    return (name or "-", "bold"), (str(peer.state), _COLOURS[peer.state]), (where, ""), (heard, "dim"), (said, style)


def _ago(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _faults(peer: PeerStanding, own: PeerSummary) -> Iterator[str]:
    """Sentences: the reason for which it is not asked, and each difference from this Hearth."""
    if peer.state is not PeerState.ALIVE:
        yield peer.trouble or "no answer"
    elif peer.trouble:
        yield f"it {peer.trouble}"
    if peer.state in (PeerState.STALE, PeerState.UNKNOWN):
        yield "no request is passed on to it, and what is stored there cannot be had"
    for name in peer.differs:
        words = f"{getattr(peer.summary, name) or 'none'} there, {getattr(own, name) or 'none'} here"
        if name == "settings":
            yield f"other settings ({words}): it may decide otherwise; compare `hearth config show`"
        else:
            yield f"another {name}: {words}"


def _engine(summary: PeerSummary) -> Cell:
    """The engine of a Hearth, in its own words."""
    if not summary.ready:
        return f"{summary.model}, the engine is not up" if summary.model else "the engine is not up", "yellow"
    wait = "" if summary.predicted_ttft_ms is None else f", first token in {duration(summary.predicted_ttft_ms / 1000)}"
    full = f", over its threshold of {summary.over}" if summary.over else ""
    return (
        f"{summary.model}, {summary.running} running, {summary.waiting} waiting{wait}{full}",
        "yellow" if full else "",
    )
