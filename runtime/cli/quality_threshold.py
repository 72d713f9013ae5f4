"""`hearth calibrate --quality`: the highest complexity threshold that keeps a wanted share of the local answers good enough.

Knows where labels are and the texts for the user; the arithmetic is in `runtime.quality.kept_quality`. Labels are the judge's
weeks (STATE/judged.json) and the local model's answers to golden cases (STATE/quality.sqlite3). Asks no model.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, columns, paint_for
from runtime.cli.threshold import Wanted, in_words, own_traffic, write_complexity
from runtime.compose.runtime import load_settings
from runtime.compose.targets import offline_planner
from runtime.life.planning import IdleFleet, IdlePlanner
from runtime.quality.judge.watch import FILE as JUDGED_FILE
from runtime.quality.judge.watch import JudgedWeeks
from runtime.quality.kept_file import KeptFile
from runtime.quality.kept_quality import (
    FoundWinners,
    QualityLabel,
    QualityProposal,
    TooFewLabelsError,
    TriedThreshold,
    kept_quality,
)
from runtime.quality.runs.database import FILE as RUNS_FILE
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.thresholds import Free, ShareInterval, costs, ends, placed, seen, tasks_off
from runtime.quality.values import GoldenCase, Grade
from runtime.routing.facts.hints import BadHint
from runtime.routing.plan.names import AUTO
from runtime.settings import Escalation, SettingsError
from runtime.settings.commented import toml
from runtime.settings.environment import state_dir

_RUNS = 100  # the latest, in which golden answers are looked for
_CHAT = "openai_chat"


class FoundLabels(NamedTuple):
    """judge: None where no week can be believed. unusable: the others, by why they do not count."""

    labels: list[QualityLabel]
    judge: FoundWinners | None
    unusable: Counter[str]


class ProposedQuality(NamedTuple):
    """A proposal with what its threshold would do to the recorded traffic; `traffic` is None where there is none."""

    found: QualityProposal
    complexity: float | dict[str, float] | None
    unusable: Mapping[str, int]
    traffic: ShareInterval | None
    now: ShareInterval | None
    usd: tuple[float | None, float | None]


def propose_quality(wanted: Wanted, env: Mapping[str, str], *, as_json: bool) -> None:
    """Prints the proposal, and writes it where that is wanted. Raises CommandError."""
    try:
        loaded = load_settings(wanted.config, env, keyless=True)
    except SettingsError as error:
        raise CommandError(str(error), Exit.SETTINGS) from error
    if not loaded.settings.targets:
        raise CommandError("no target is configured: nothing can leave the box", Exit.SETTINGS)
    planner, folder = offline_planner(loaded.settings, keyless=True), state_dir(env)
    known = _judged(folder, planner)
    known.labels.extend(_golden(folder, planner, known.unusable))
    try:
        found = kept_quality(wanted.share, known.labels, known.judge)
    except TooFewLabelsError as few:
        raise CommandError(f"{few}{_others(known.unusable)}\n{_how(few, loaded.settings.quality.weekly)}") from few
    made = _proposed(found, known.unusable, own_traffic(wanted, planner, folder)[0], planner.planner.policy.escalation)
    written = None
    if wanted.write and made.complexity is not None:
        written = write_complexity(made.complexity, loaded, env)
    if as_json:
        sys.stdout.write(msgspec.json.encode({**made._asdict(), "written": written and str(written)}).decode() + "\n")
    else:
        sys.stdout.write(described_quality(made, written, paint_for(sys.stdout, env)))
    if made.complexity is None:
        raise CommandError(f"no threshold keeps {wanted.share:g} of the answers on the box good enough")


def _judged(folder: Path, planner: IdlePlanner) -> FoundLabels:
    """Labels of the weeks whose judge agrees with the anchors: of each request one, bad if any other arm was clearly better."""
    found: dict[str, QualityLabel] = {}
    unusable: Counter[str] = Counter()
    winners: list[FoundWinners] = []
    assert isinstance(planner.fleet, IdleFleet)
    local, off = planner.fleet.local.label, tasks_off(planner.planner.policy.escalation)
    for week in KeptFile(folder / JUDGED_FILE, JudgedWeeks, "the judged weeks").read().weeks:
        if not week.believed:
            unusable["its judge does not agree with the anchors, or its week is void"] += len(week.labels)
            continue
        if week.labels:
            winners.append(week.winners)
        for each in week.labels:
            if each.local != local:
                unusable["another local model answered it"] += 1
            elif each.task in off:
                unusable["no score moves its task"] += 1
            else:
                earlier = found.get(each.id)
                bad = each.worse or (earlier is not None and earlier.bad)
                found[each.id] = QualityLabel(each.id, each.score, bad, judged=True)
    # The same anchors are judged each week: as many observations as the fullest week has.
    most = max((each.anchors for each in winners), default=0)
    share = sum(each.found for each in winners) / max(1, sum(each.anchors for each in winners))
    return FoundLabels(list(found.values()), FoundWinners(int(share * most), most) if winners else None, unusable)


def _golden(folder: Path, planner: IdlePlanner, unusable: Counter[str]) -> list[QualityLabel]:
    """The latest verdict on each golden case that the local model was asked, and that a score moves."""
    if not (folder / RUNS_FILE).exists():
        return []
    assert isinstance(planner.fleet, IdleFleet)
    local, policies = planner.fleet.local.label, ends(planner.planner.policy)
    cases: dict[tuple[str, str], tuple[GoldenCase, bool]] = {}
    try:
        database = QualityDatabase(folder)
        try:
            for run in [each for each in database.runs(_RUNS) if each.counts and each.closed_at is not None]:
                known = {(one.name, case.id): case for one in database.goldens(run.id) for case in one.cases}
                for row in database.results(run.id):
                    case = known.get(row.key[1:3])
                    # A judge errs, and these labels count as certain.
                    certain = row.grade is not Grade.NO_VERDICT and case is not None and not case.judged
                    if row.key.target == local and case is not None and certain:
                        cases.setdefault(row.key[1:3], (case, row.grade is not Grade.PASS))
        finally:
            database.close()
    except (sqlite3.Error, OSError) as error:
        raise CommandError(f"{folder / RUNS_FILE} cannot be read: {error}") from error
    found = []
    for (name, id), (case, bad) in cases.items():
        try:
            query = planner.planner.read(_CHAT, {**case.body, "model": AUTO}, {})
        except BadHint:
            continue
        inputs = planner.planner.inputs(query, planner.fleet, 0.0, look=True)
        place = placed(lambda policy, inputs=inputs: inputs._replace(policy=policy).plan(), policies)  # type: ignore[misc]
        if isinstance(place, str) or place.score is not None:
            unusable["a golden case whose place no score decides"] += 1
        else:
            found.append(QualityLabel(f"{name}/{id}", query.score, bad))
    return found


def _proposed(found: QualityProposal, unusable: Counter[str], traffic: list[Free], now: Escalation) -> ProposedQuality:
    if found.threshold is None:
        return ProposedQuality(found, None, unusable, None, seen(traffic, now) if traffic else None, (None, None))
    off = tasks_off(now)
    value = {"default": found.threshold, **off} if off else found.threshold
    then = now.model_copy(update={"complexity": value if isinstance(value, dict) else {"default": value}})
    if not traffic:
        return ProposedQuality(found, value, unusable, None, None, (None, None))
    priced = costs(traffic, now, then)
    usd = priced.get("cost_usd_now"), priced.get("cost_usd_proposed")
    return ProposedQuality(found, value, unusable, seen(traffic, then), seen(traffic, now), usd)


def _others(unusable: Mapping[str, int]) -> str:
    return "".join(f"\n  not counted, {count:,}: {why}" for why, count in unusable.items() if count)


def _how(few: TooFewLabelsError, weekly: int) -> str:
    """The ways to more labels."""
    weeks = -(-(few.needed - few.have) // max(1, weekly))
    return (
        f"more come from the judge (set quality.judge and quality.sample.keep = true: up to {weekly} requests a week, so about "
        f"{weeks} week{'s' if weeks > 1 else ''}), or at once from golden cases (hearth eval run --target local)"
    )


def described_quality(made: ProposedQuality, written: Path | None, paint: Paint) -> str:
    """The proposal for a person."""
    found = made.found
    golden = found.requests - found.judged
    lines = [f"{found.requests:,} requests have a label: {found.judged:,} judged, {golden:,} golden cases"]
    lines += [paint(each.strip(), "dim") for each in _others(made.unusable).splitlines() if each]
    if found.judge is not None:
        named = f"{found.judge.found} of {found.judge.anchors}"
        lines.append(
            f"the judge names the winner of {named} anchors in both orders; rates are corrected for the others"
        )
    lines.append("")
    if made.complexity is not None and found.chosen_on is not None and found.held_out is not None:
        value = paint(f"complexity = {toml(made.complexity)}", "bold")
        rest = found.held_out
        lines += [
            f"to keep {found.wanted:.1%} of the answers on the box good enough: {value}",
            f"  chosen on two thirds, drawn at random: {_kept(found.chosen_on)}",
            f"  seen on the rest: {rest.quality:.1%} of {rest.kept:,} good enough",
        ]
        if made.traffic is None or made.now is None:
            lines.append(f"  {found.chosen_on.leaves:.1%} of the labelled requests leave")
        else:
            before = in_words(made.now, interval=False)
            lines.append(f"  of the recorded traffic {in_words(made.traffic)} leave; now, by the settings: {before}")
        if None not in made.usd:
            lines.append(f"  cost by the recorded prices: ${made.usd[0]:.4f} now, ${made.usd[1]:.4f} then")
        lines.append("")
    rows = [
        (
            (f"{each.threshold:.3f}", "bold" if each.threshold == found.threshold else ""),
            (f"{each.kept:,} kept", ""),
            (f"{each.quality:.1%} good", ""),
            (f"at least {each.low:.1%}", "" if each.holds else "yellow"),
            (f"{each.leaves:.1%} leave", "dim"),
        )
        for each in found.curve
    ]
    lines += [
        f"thresholds tried (the first that is not sure of {found.wanted:.1%} ends the search)",
        *columns(rows, paint),
    ]
    if made.complexity is not None:
        lines += ["", f"written to {written}" if written else "put it into [escalation], or repeat with --write"]
    return "\n".join(lines) + "\n"


def _kept(tried: TriedThreshold) -> str:
    return f"{tried.quality:.1%} of {tried.kept:,} good enough, with 95 % certainty at least {tried.low:.1%}"
