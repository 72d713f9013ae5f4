"""`hearth eval status`: the sets in use, the runs under way, what the detector said, and the next night."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer

from runtime.cli.client import asked
from runtime.cli.eval.judge import judge_words
from runtime.cli.eval.runtime_of import PATH, Json, RunState, Url, runtime_at
from runtime.cli.paint import Paint, columns, paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.quality.judge.shown import JudgeView
from runtime.quality.values import QualityEvent
from runtime.settings.environment import environment

_MOST_EVENTS = 10


class _ListedSet(msgspec.Struct):
    name: str
    cases: int
    path: str
    task: str = ""
    warnings: list[str] = []


class _Warning(msgspec.Struct):
    words: str


class _Stream(msgspec.Struct):
    """One target on one set, as the detector sees it."""

    target: str
    set: str
    state: str
    evidence: float
    bar: float
    rate: float | None = None
    usual: float | None = None
    person: str = ""


class QualityOverview(msgspec.Struct):
    """`/hearth/quality`. next_night: unix seconds."""

    mode: str
    sets: list[_ListedSet]
    faults: list[str]
    running: list[RunState]
    events: list[QualityEvent]
    next_night: float
    spent_usd: float
    daily_usd: float
    judge: JudgeView
    warnings: list[_Warning]
    streams: list[_Stream] = []


def status(url: Url = None, config: ConfigOption = None, as_json: Json = False) -> None:
    """Show the golden sets, the state of each target on them, what runs now, the latest events and the next night.

    \b
    Examples:
      hearth eval status
    """
    address = runtime_at(url, config)
    if as_json:
        typer.echo(msgspec.json.encode(asked(address, "GET", PATH, Any)).decode())
        return
    found = asked(address, "GET", PATH, QualityOverview)
    paint = paint_for(sys.stdout, environment())
    rows = [
        ((each.name, "bold"), (f"{each.cases} cases", ""), (each.task or "all tasks", ""), (each.path, "dim"))
        for each in found.sets
    ]
    lines = columns(rows, paint) or ["no golden set: see docs/quality.md, or copy one of those that ship with Hearth"]
    lines += [paint(each, "red") for each in found.faults]
    lines += [paint(f"  {each.name}: {warning}", "yellow") for each in found.sets for warning in each.warnings]
    lines += stream_lines(found.streams, paint)
    lines += [f"running: {each.id}, {each.done} of {each.total}" for each in found.running]
    lines += [
        f"{datetime.fromtimestamp(each.at, UTC):%Y-%m-%d %H:%M}  {each.kind}  {each.target} {each.set}  {each.words}"
        for each in found.events[:_MOST_EVENTS]
    ]
    lines += [paint(f"everyday traffic: {each.words}", "yellow") for each in found.warnings[:_MOST_EVENTS]]
    if found.judge.judge:
        lines.append(f"judge: {judge_words(found.judge)}; weeks judged: {len(found.judge.weeks)}")
    lines += [paint(found.judge.trouble, "yellow")] if found.judge.trouble else []
    night = datetime.fromtimestamp(found.next_night, UTC)
    when = (
        "nothing runs by itself: quality.mode is off"
        if found.mode == "off"
        else f"next night: {night:%Y-%m-%d %H:%M} UTC"
    )
    lines.append(f"{when}; ${found.spent_usd:.4f} of ${found.daily_usd:g} are spent today")
    typer.echo("\n".join(lines))


def stream_lines(streams: Sequence[_Stream], paint: Paint) -> list[str]:
    """Each target on each set: its state, its latest rate against that of its reference, and the evidence."""
    style = {"demoted": "red", "held": "yellow"}
    rows = []
    for each in streams:
        state = f"{each.state} (a person's {each.person})" if each.person else each.state
        rates = ["-" if rate is None else f"{rate:.0%}" for rate in (each.rate, each.usual)]
        rows.append(
            (
                (each.target, "bold"),
                (each.set or "every set", ""),
                (state, style.get(each.state, "")),
                (" against ".join(rates), ""),
                (f"evidence {each.evidence:,.4g} of {each.bar:,.0f}" if each.bar else "", "dim"),
            )
        )
    return columns(rows, paint)
