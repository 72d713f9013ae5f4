"""The outcome of each check and the report of them all, as Markdown and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

PASSED, FAILED, NOT_MEASURED = "passed", "failed", "not measured"
Figure = float | int | str | None


class AcceptanceCheck(msgspec.Struct, frozen=True):
    """words: one sentence. figures: name with its unit -> value. seconds: how long the check took."""

    name: str
    verdict: str
    words: str
    figures: Mapping[str, Figure] = {}
    seconds: float = 0.0


class AcceptanceReport(msgspec.Struct, frozen=True):
    """box: facts about the machine and the versions. at: UTC."""

    at: str
    box: Mapping[str, str]
    checks: tuple[AcceptanceCheck, ...]

    @property
    def ok(self) -> bool:
        return all(check.verdict != FAILED for check in self.checks)


class NotMeasuredError(Exception):
    """A check that this box or this model has no means for; the message says which."""


class TrialFailedError(Exception):
    """A check whose answer is no; the message says what was seen."""


def markdown(report: AcceptanceReport) -> str:
    """The report for an issue."""
    counts = dict.fromkeys((PASSED, FAILED, NOT_MEASURED), 0)
    for check in report.checks:
        counts[check.verdict] += 1
    lines = [
        "# Hearth on this box",
        "",
        f"{report.at}; " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {cell(value)} |" for name, value in report.box.items()),
        "",
        "| check | verdict | seen | s |",
        "| --- | --- | --- | --- |",
    ]
    for check in report.checks:
        figures = "; ".join(f"{name} {shown(value)}" for name, value in check.figures.items())
        seen = ". ".join(part for part in (check.words, figures) if part)
        verdict = f"**{check.verdict}**" if check.verdict == FAILED else check.verdict
        lines.append(f"| {check.name} | {verdict} | {cell(seen)} | {check.seconds:.0f} |")
    return "\n".join(lines) + "\n"


def shown(value: Figure) -> str:
    """A figure with three digits that count; unknown ones as a dash."""
    if value is None:
        return "–"
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def cell(text: str) -> str:
    """A text in one cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
