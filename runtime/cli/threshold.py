"""`hearth calibrate --cloud-share`: the complexity threshold that sends a wanted share away, from recorded or labelled traffic.

Knows the files and the texts for the user; the arithmetic is in `runtime.quality.thresholds`. Asks no engine and no cloud.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.cli.cases import BadLine, dialect_of, read_lines
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, columns, paint_for
from runtime.compose.runtime import load_settings
from runtime.compose.targets import offline_planner
from runtime.life.planning import IdleFleet, IdlePlanner
from runtime.quality.thresholds import (
    Free,
    Proposal,
    ShareInterval,
    TooFewRequestsError,
    ends,
    placed,
    proposal,
    recorded,
)
from runtime.record.database import Query, read_many
from runtime.routing.facts.hints import BadHint
from runtime.routing.plan.names import AUTO
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.plan import Plan, RoutingPolicy
from runtime.server.pages.settings import write
from runtime.settings import Loaded, SettingsError
from runtime.settings.commented import toml
from runtime.settings.environment import state_dir
from runtime.settings.splice import KeyChange, SettingsChange, edited

_VARIABLE = "HEARTH_ESCALATION__COMPLEXITY"


class Wanted(NamedTuple):
    """share: of the requests free to stay, those that are to leave; with --quality, the good ones of those that stay.
    labelled: a file; None: the recorded decisions.

    limit, hours: of those, the latest so many, and those of so many hours. by_task: thresholds by task. write: into the file.
    """

    share: float
    labelled: Path | None
    limit: int
    hours: float | None
    by_task: bool
    write: bool
    config: Path | None


class _Grades(msgspec.Struct, frozen=True):
    """Grades of a line: of the local model's answer and of a strong one's."""

    weak: float | None = None
    strong: float | None = None


def propose(wanted: Wanted, env: Mapping[str, str], *, as_json: bool) -> None:
    """Prints the proposal, and writes it where that is wanted. Raises CommandError."""
    try:
        loaded = load_settings(wanted.config, env, keyless=True)
    except SettingsError as error:
        raise CommandError(str(error), Exit.SETTINGS) from error
    planner = offline_planner(loaded.settings, keyless=True)
    if not loaded.settings.targets:
        raise CommandError("no target is configured: nothing can leave the box", Exit.SETTINGS)
    found, unusable = (
        _labelled(wanted.labelled, planner) if wanted.labelled else own_traffic(wanted, planner, state_dir(env))
    )
    try:
        proposed = proposal(
            wanted.share, found, planner.planner.policy.escalation, by_task=wanted.by_task, unusable=unusable
        )
    except TooFewRequestsError as few:
        others = "".join(f"\n  {count:,}: {why}" for why, count in unusable.most_common())
        more = f"; not counted:{others}" if others else ": serve more `auto` requests, or give --labelled FILE"
        raise CommandError(f"{few}{more}") from few
    written = write_complexity(proposed.complexity, loaded, env) if wanted.write else None
    if as_json:
        shown = {**msgspec.to_builtins(proposed), "written": written and str(written)}
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
    else:
        sys.stdout.write(described(proposed, written, paint_for(sys.stdout, env)))


def own_traffic(wanted: Wanted, planner: IdlePlanner, state: Path) -> tuple[list[Free], Counter[str]]:
    """The free requests among the recorded decisions, and why others do not count."""
    records = state / "decisions.sqlite3"
    unreadable: list[Exception] = []
    try:
        decisions = read_many(records, Query(wanted.limit), unreadable.append)
    except (sqlite3.Error, OSError) as error:
        raise CommandError(f"{records} cannot be read: {error}") from error
    since = time.time() - wanted.hours * 3600 if wanted.hours is not None else 0.0
    assert isinstance(planner.fleet, IdleFleet)
    found, unusable = recorded([each for each in decisions if each.at >= since], planner.planner.policy, planner.fleet)
    unusable["its record cannot be read"] += len(unreadable)
    return found, +unusable


def _labelled(file: Path, planner: IdlePlanner) -> tuple[list[Free], Counter[str]]:
    """The free requests among the lines of a file, on an idle box, and why others do not count."""
    found: list[Free] = []
    unusable: Counter[str] = Counter()
    policies = ends(planner.planner.policy)
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", Exit.USAGE) from error
    for case in read_lines(lines, AUTO):
        if isinstance(case, BadLine):
            unusable["its line cannot be read"] += 1
            continue
        try:
            grades = msgspec.json.decode(lines[case.number - 1].strip().removeprefix(b"\xef\xbb\xbf"), type=_Grades)
            query = planner.planner.read(dialect_of(case.body).name, case.body.data, {})
        except (BadHint, msgspec.ValidationError):
            unusable["its hints or grades cannot be used"] += 1
            continue
        inputs = planner.planner.inputs(query, planner.fleet, 0.0, look=True)

        def plan(policy: RoutingPolicy, inputs: Inputs = inputs) -> Plan:
            return inputs._replace(policy=policy).plan()

        place = placed(plan, policies)
        if isinstance(place, str):
            unusable[place] += 1
        else:
            score = query.score if place.score is None else place.score
            found.append(Free(0.0, query.task, score, weak=grades.weak, strong=grades.strong))
    return found, unusable


def write_complexity(value: float | dict[str, float], loaded: Loaded, env: Mapping[str, str]) -> Path:
    """Sets `complexity` in the settings file, whole or not at all."""
    if _VARIABLE in env:
        raise CommandError(f"{_VARIABLE} is set and goes before the file: nothing was written", Exit.USAGE)
    if loaded.file is None:
        raise CommandError("there is no settings file to write to: hearth config init makes one", Exit.USAGE)
    change = SettingsChange(set=(KeyChange(("escalation", "complexity"), value),))
    try:
        write(loaded.file, edited(loaded.file.read_bytes().decode(), change))
    except OSError as error:
        raise CommandError(f"{loaded.file} cannot be written: {error.strerror}") from error
    except ValueError as error:
        words = f"{loaded.file}: {error}; write it yourself: complexity = {toml(value)}"
        raise CommandError(words) from error
    return loaded.file


def described(found: Proposal, written: Path | None, paint: Paint) -> str:
    """The proposal for a person."""
    total = sum(found.unusable.values())
    lines = [f"{found.requests:,} requests were free to stay or to leave" + (f"; {total:,} others:" if total else "")]
    lines += [paint(f"  {count:,}: {why}", "dim") for why, count in sorted(found.unusable.items(), key=lambda n: -n[1])]
    parts = "the older two thirds" if found.split == "time" else "two thirds, drawn at random"
    lines += [
        "",
        f"to send {found.wanted:.1%} away: {paint(f'complexity = {toml(found.complexity)}', 'bold')}",
        f"  threshold {found.threshold:.3f}, 95 % interval {found.low:.3f} to {found.high:.3f} (by ranks)",
        f"  chosen on {parts}: {in_words(found.chosen_on, interval=False)} leave",
        f"  seen on the rest: {in_words(found.held_out)} leave",
        f"  now, by the settings: {in_words(found.now, interval=False)} leave",
    ]
    if not found.held_out.low <= found.wanted <= found.held_out.high:
        changed = "the traffic has changed" if found.split == "time" else "scores stand too close together"
        lines.append(paint(f"  the rest does not bear {found.wanted:.1%} out: {changed}", "yellow"))
    if found.cost_usd_now is not None:
        lines.append(
            f"  cost by the recorded prices: ${found.cost_usd_now:.4f} now, ${found.cost_usd_proposed:.4f} then"
        )
    if found.unpriced and found.cost_usd_now is not None:
        lines.append(paint(f"  {found.unpriced:,} have no recorded price and are not in it", "dim"))
    if found.grades is not None:
        marks = found.grades
        means = f"{marks.stays:.3f} if all stay, {marks.proposed:.3f} as proposed, {marks.leaves:.3f} if all leave"
        lines.append(f"  mean grade of the rest: {means} ({marks.requests:,} graded)")
    rows = [
        (
            (each.task, ""),
            (f"{each.threshold:.3f}", "bold"),
            (f"{each.low:.3f} to {each.high:.3f}", ""),
            (f"{each.requests:,} requests", "dim"),
            (f"of the rest {in_words(each.held_out)} leave" if each.held_out else "", ""),
        )
        for each in found.by_task
    ]
    if rows:
        lines += ["", "thresholds by task" + ("" if isinstance(found.complexity, dict) else " (taken with --by-task)")]
        lines += columns(rows, paint)
    lines += ["", f"written to {written}" if written else "put it into [escalation], or repeat with --write"]
    return "\n".join(lines) + "\n"


def in_words(seen: ShareInterval, *, interval: bool = True) -> str:
    words = f"{seen.left:,} of {seen.requests:,} ({seen.share:.1%}"
    return f"{words}, 95 % interval {seen.low:.1%} to {seen.high:.1%})" if interval else f"{words})"
