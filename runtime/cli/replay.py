"""`hearth replay`: recorded traffic under other settings, before they are put in force. Asks no engine and no cloud."""

from __future__ import annotations

import sqlite3
import sys
import time
from typing import Annotated

import msgspec
import typer

from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, paint_for
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.compose.runtime import load_settings
from runtime.compose.targets import offline_planner
from runtime.life.planning import IdleFleet
from runtime.quality.replay import Report, report
from runtime.record.database import Query, read_many
from runtime.settings import Settings, SettingsError
from runtime.settings.environment import environment, state_dir

_SHOWN = 20


def replay(
    *,
    path: FilePath = None,
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many decisions.")] = 10_000,
    hours: Annotated[float | None, typer.Option(min=0, help="Only those of the last so many hours.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole report as JSON, every moved request in it.")
    ] = False,
) -> None:
    """Decide recorded requests again under other settings: what would leave the box, what it would cost, who would move.

    Examples:

      hearth replay --config other.toml

      hearth replay other.toml --hours 24 --json
    """
    env = environment()
    try:
        settings = load_settings(settings_file(path, config), env, keyless=True).settings
    except SettingsError as error:
        raise CommandError(str(error), Exit.SETTINGS) from error
    records = state_dir(env) / "decisions.sqlite3"
    unreadable: list[Exception] = []
    try:
        decisions = list(read_many(records, Query(limit), unreadable.append))
    except (sqlite3.Error, OSError) as error:
        raise CommandError(f"{records} cannot be read: {error}") from error
    if hours is not None:
        since = time.time() - hours * 3600
        decisions = [each for each in decisions if each.at >= since]
    if not decisions:
        raise CommandError(f"{records} holds no decisions to replay: serve some requests first")
    planner = offline_planner(settings, keyless=True)
    assert isinstance(planner.fleet, IdleFleet)
    found = report(decisions, planner.planner.policy, planner.fleet)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        paint = paint_for(sys.stdout, env)
        sys.stdout.write(described(found, paint) + _without_keys(found, settings, paint))
    if not found.replayed:
        raise CommandError("no recorded decision could be replayed under these settings")


def described(found: Report, paint: Paint) -> str:
    """The report for a person."""
    lines = [f"{found.replayed} of {found.decisions} recorded decisions made again"]
    if found.unkept:
        lines.append(paint(f"{found.unkept} are of an older Hearth and hold too little", "dim"))
    for why, count in sorted(found.unanswerable.items(), key=lambda pair: -pair[1]):
        lines.append(paint(f"{count} cannot be answered: the settings ask for {why}, which is not kept", "yellow"))
    rows = [
        ("leave the box", _share(found.share_before), _share(found.share_after)),
        ("cost", f"${found.cost_usd_before:.4f}", f"${found.cost_usd_after:.4f}"),
        ("first token, median", _ms(found.ttft_ms_before), _ms(found.ttft_ms_after)),
    ]
    lines += ["", f"{'':22}{'then':>12}{'now':>12}", *(f"{name:22}{then:>12}{now:>12}" for name, then, now in rows)]
    if found.unpriced:
        lines.append(paint(f"{found.unpriced} would go where no price is known", "yellow"))
    lines += ["", f"{len(found.moved)} would move" + (":" if found.moved else "")]
    for each in found.moved[:_SHOWN]:
        lines.append(
            f"  {each.id}  {each.before or 'refused'} ({each.reason_before}) -> "
            f"{paint(each.after or 'refused', 'bold')} ({each.reason_after})"
        )
    if len(found.moved) > _SHOWN:
        lines.append(paint(f"  and {len(found.moved) - _SHOWN} more: --json names them all", "dim"))
    return "\n".join(lines) + "\n"


def _without_keys(found: Report, settings: Settings, paint: Paint) -> str:
    """A line for each target that requests would move to and that has no key in this environment."""
    lines = []
    for name, why in settings.absent.items():
        wanted = settings.targets[name]
        if count := sum(each.after == f"{wanted.provider}/{wanted.model}" for each in found.moved):
            lines.append(f"{count} of them only if the runtime has a key for {name}: here {why}")
    return "".join(paint(line, "yellow") + "\n" for line in lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
