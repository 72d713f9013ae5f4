"""`hearth eval report judge`: the judge's latest week, how far it may be believed, and the weeks before."""

from __future__ import annotations

import sys

import msgspec
import typer

from runtime.cli.client import Address, asked
from runtime.cli.eval.runtime_of import PATH
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, columns, paint_for
from runtime.quality.judge.shown import JudgeView, WeekView
from runtime.quality.judge.trust import Estimate
from runtime.settings.environment import environment

_HEADS = ("answer of", "against", "task", "wins", "corrected")
JUDGE = "judge"  # in the place of a run's id


class _Overview(msgspec.Struct):
    judge: JudgeView


def show_judge(address: Address, *, as_json: bool, as_markdown: bool, fail_under: float | None) -> None:
    """Prints the judge's report. Raises CommandError where there is no judge, typer.Exit 1 below `fail_under` of agreement."""
    found = asked(address, "GET", PATH, _Overview).judge
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    elif not found.judge:
        raise CommandError("no judge is set: see quality.judge")
    elif as_markdown:
        typer.echo("\n".join(judge_markdown(found)))
    else:
        typer.echo("\n".join(judge_lines(found, paint_for(sys.stdout, environment()))))
    if fail_under is not None:
        agreed = found.weeks[0].agreement if found.weeks else None
        if agreed is None or agreed.share < fail_under:
            seen = "nothing is known of it" if agreed is None else f"it is {agreed.share:.1%}"
            print(f"agreement with the anchors: {seen}, and {fail_under:g} is wanted", file=sys.stderr)
            raise typer.Exit(Exit.FAILED)


def judge_words(found: JudgeView) -> str:
    """The judge and the trust it has, in half a sentence."""
    if found.drifted:
        return f"{found.judge} has changed: its verdicts are void until it is accepted or replaced"
    return f"{found.judge} " + (
        "agrees with its anchors" if found.trusted else "is not known to agree with its anchors: advice alone"
    )


def judge_lines(found: JudgeView, paint: Paint) -> list[str]:
    """The report for a person."""
    lines = [paint(judge_words(found), "green" if found.trusted else "yellow")]
    lines += [paint(found.trouble, "yellow")] if found.trouble else []
    for week in found.weeks[:1]:
        lines += ["", paint(f"week {week.week}", "bold") + (f": void, {week.void}" if week.void else "")]
        lines += columns([((name, ""), (value, "")) for name, value in facts(week)], paint)
        table = [[(cell, "dim") for cell in _HEADS], *[[(cell, "") for cell in row] for row in rates(week)]]
        lines += ["", *columns(table, paint)] if week.rates else []
    if not found.weeks:
        lines.append("no week is judged yet")
    for week in found.weeks[1:]:
        agreed = "-" if week.agreement is None else f"{week.agreement.share:.0%} agreement"
        lines.append(f"{week.week}  {week.pairs} pairs  {agreed}  ${week.spent_usd:.2f}  {week.void}".rstrip())
    return lines


def judge_markdown(found: JudgeView) -> list[str]:
    """The report for a pull request or a page."""
    lines = [f"{judge_words(found)}.", *([found.trouble] if found.trouble else [])]
    for week in found.weeks[:1]:
        lines += ["", f"| week {week.week} | |", "| --- | --- |"]
        lines += [f"| {name} | {value} |" for name, value in facts(week)]
        lines += ["", f"| {' | '.join(_HEADS)} |", f"|{' --- |' * len(_HEADS)}"] if week.rates else []
        lines += [f"| {' | '.join(row)} |" for row in rates(week)]
    return lines


def facts(week: WeekView) -> list[tuple[str, str]]:
    """The facts known of the judge, by name."""
    bias, agreed, out = week.bias, week.agreement, week.outcomes
    judged = f"{week.pairs}, of {week.drawn} sampled answers: {out['a']} won, {out['b']} lost, {out['tie']} alike, "
    found = [
        ("pairs", f"{judged}{out['flipped']} flipped with the order, {out['no_verdict']} without a verdict"),
    ]
    if week.void:
        found.append(("void", week.void))
    if agreed is not None:
        people = "" if agreed.people is None else f"; people among themselves {agreed.people:.2f}"
        found.append(("agreement", f"{agreed.share:.0%} of {agreed.kappa.n} anchors"))
        found.append(("kappa", f"{between(agreed.kappa, percent=False)}; alpha {agreed.alpha:.2f}{people}"))
    flagged = {"first_slot": "first slot", "second_slot": "first slot", "length": "length", "own_family": "own family"}
    marked = {flagged[each] for each in bias.flagged}
    if bias.first_slot is not None:
        flips = "" if bias.first_share is None else f"; {bias.first_share.value:.0%} of the flips, p = {bias.p:.2g}"
        found.append(("first slot", f"taken for its place in {between(bias.first_slot)}{flips}"))
    found.append(("flip rate", f"{bias.flips:.0%}"))
    found.append(("no verdict", f"{bias.failed:.0%}"))
    if bias.length is not None:
        level = (
            "" if bias.at_equal_length is None else f"; at equal length the first wins {between(bias.at_equal_length)}"
        )
        found.append(("length", f"slope for each doubling {between(bias.length, percent=False)}{level}"))
    if bias.own_family is not None:
        found.append(("own family", f"scores {between(bias.own_family)} more"))
    if bias.repetition is not None:
        found.append(("repetition", f"{between(bias.repetition)} the same when asked again"))
    found = [(name, f"{value} (biased)" if name in marked else value) for name, value in found]
    found += [("skipped", f"{count}: {why}") for why, count in week.skipped.items()]
    return [*found, ("labels for calibration", str(week.labels)), ("spent", f"${week.spent_usd:.4f}")]


def rates(week: WeekView) -> list[tuple[str, ...]]:
    """Win rates, one a row: both sides, the task, the raw rate and the corrected one."""
    return [
        (
            each.a,
            each.b,
            each.task or "all",
            f"{between(each.rate)} of {each.rate.n}",
            "-" if each.corrected is None else f"{between(each.corrected)} by {each.by}",
        )
        for each in week.rates
    ]


def between(found: Estimate, *, percent: bool = True) -> str:
    """A value with its interval: "57 % (47 to 67)"."""
    if percent:
        return f"{found.value:.0%} ({100 * found.low:.0f} to {100 * found.high:.0f})"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
