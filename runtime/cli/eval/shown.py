"""A run's report in the words of a terminal, of Markdown and of JUnit. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import comb
from xml.etree import ElementTree

from runtime.cli.paint import Paint, columns, duration
from runtime.quality.golden.sets import ENOUGH_CASES
from runtime.quality.runs.report import ADVICE, Compared, EvalReport, Flip, StreamReport, has_verdict
from runtime.quality.values import CaseResult, Grade
from runtime.record.cost_report import usd

_MOST_FLIPS = 20
_WIDTH = 46  # of one answer, two side by side
_LINES = 8  # of an answer
_CONTROLS = [code for code in (*range(32), *range(127, 160)) if code not in (9, 10, 13)]
_NOT_IN_XML = dict.fromkeys([*(each for each in _CONTROLS if each < 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF])
_SPELT = {code: f"\\x{code:02x}" for code in _CONTROLS}  # a model's answer gives a terminal no orders


def report_lines(found: EvalReport, paint: Paint) -> list[str]:
    """The whole report for a person."""
    lines = [f"{found.run.id}, {found.run.kind}" + (", cancelled" if found.run.cancelled else ""), ""]
    rows = [tuple((name, "dim") for name in ("target", "set", "passed", "95 % of", "before", "latency", "cost"))]
    for each in found.streams:
        style = "green" if each.passed == each.verdicts == each.total else "" if each.enough else "yellow"
        rows.append(
            (
                (each.target, "bold"),
                (each.set, ""),
                (passed(each), style),
                ("-" if each.rate is None else "{:.0%} to {:.0%}".format(*each.bars), "dim"),
                (_before(each), "dim"),
                ("-" if each.latency_ms is None else duration(each.latency_ms / 1000), ""),
                (_cost(each), ""),
            )
        )
    lines += columns(rows, paint)
    for each in found.streams:
        if each.grew:
            grown = ", ".join(f"{name}: {before} -> {now}" for name, before, now in each.grew)
            lines.append(paint(f"  {each.target} on {each.set} got worse: {grown}", "yellow"))
        for name, count in each.over.items():
            lines.append(f"  {each.target} on {each.set}: {count} answers beyond their {name}")
    if found.flips:
        lines += ["", paint(f"{len(found.flips)} cases flipped", "bold")]
        for flip in found.flips[:_MOST_FLIPS]:
            words = flip.words.translate(_SPELT)
            style, edited = (
                "green" if flip.now is Grade.PASS else "red",
                "  (the case was edited)" if flip.edited else "",
            )
            lines += [
                "",
                f"{paint(flip.case, 'bold')}  {flip.target}  {flip.before} -> {paint(flip.now, style)}  {words}{edited}",
            ]
            lines += side_by_side(flip.answer_before, flip.answer, paint)
        if len(found.flips) > _MOST_FLIPS:
            lines.append(f"and {len(found.flips) - _MOST_FLIPS} more: --json names them all")
    flipped = {(each.target, each.set, each.case, each.repeat) for each in found.flips}
    rest = [each for each in found.failing if (each.target, each.set, each.case, each.repeat) not in flipped]
    if rest:
        lines += ["", paint(f"{len(rest)} other cases without a pass", "bold")]
        lines += [
            f"  {each.case}  {each.target}  {each.cause or each.grade}  {each.words.translate(_SPELT)}"
            for each in rest[:_MOST_FLIPS]
        ]
        if len(rest) > _MOST_FLIPS:
            lines.append(f"  and {len(rest) - _MOST_FLIPS} more")
    return lines


def passed(each: StreamReport) -> str:
    """ "74 of 80", with those that have no verdict, and beside it the open-ended ones."""
    missing, parts = each.total - each.verdicts - each.advised, []
    if each.total:
        parts.append(f"{each.passed} of {each.verdicts}")
    if missing:
        parts.append(f"{missing} without a verdict")
    if each.advised:
        parts.append(f"{each.advised} by advice alone")
    if each.open_ended:
        parts.append(f"{each.open_ended} open-ended")
    if each.versus is not None:
        parts.append(f"{each.versus:.0%} against its earlier answers")
    return ", ".join(parts)


def _before(each: StreamReport) -> str:
    return "-" if each.passed_before is None else f"{each.passed_before} of {each.verdicts_before}"


def side_by_side(old: str, new: str, paint: Paint) -> list[str]:
    """Two answers, the earlier one on the left."""
    left, right = (_folded(text) for text in (old, new))
    longest = max(len(left), len(right), 1)
    sides = [side + [""] * (longest - len(side)) for side in (left, right)]
    return [f"    {paint(a.ljust(_WIDTH), 'dim')} | {b}".rstrip() for a, b in zip(*sides, strict=True)]


def _folded(text: str) -> list[str]:
    lines = [part for line in text.translate(_SPELT).splitlines() for part in (textwrap.wrap(line, _WIDTH) or [""])]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"]


def markdown(found: EvalReport) -> str:
    """The report for a pull request."""
    lines = ["| target | set | passed | before | latency | cost |", "| --- | --- | --- | --- | --- | --- |"]
    for each in found.streams:
        latency = "-" if each.latency_ms is None else duration(each.latency_ms / 1000)
        cells = (each.target, each.set, passed(each), _before(each), latency, _cost(each))
        lines.append(f"| {' | '.join(cells)} |")
    if found.flips:
        lines += ["", f"{len(found.flips)} cases flipped:", ""]
        lines += [
            "| case | target | before | now | why | old answer | new answer |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += [_flip_row(each) for each in found.flips]
    flipped = {(each.target, each.set, each.case, each.repeat) for each in found.flips}
    rest = [each for each in found.failing if (each.target, each.set, each.case, each.repeat) not in flipped]
    if rest:
        lines += [
            "",
            f"{len(rest)} other cases without a pass:",
            "",
            "| case | target | class | why |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {each.case} | {each.target} | {each.cause or each.grade} | {_cell(each.words)} |" for each in rest
        ]
    return "\n".join(lines)


def _flip_row(each: Flip) -> str:
    cells = (each.case, each.target, each.before, each.now, *map(_cell, (each.words, each.answer_before, each.answer)))
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    short = text if len(text) <= 200 else text[:199] + "…"
    return short.replace("|", "\\|").replace("\n", "<br>")


def junit(found: EvalReport, answers: Sequence[CaseResult]) -> str:
    """JUnit XML: a suite for each target and set, a failure for each answer that does not pass, skipped without a verdict.

    Advice, and an open-ended answer that fails its other checks, are skipped too: they are in no pass rate.
    """
    root = ElementTree.Element("testsuites", name=found.run.id)
    for stream in found.streams:
        own = [each for each in answers if (each.key.target, each.key.set) == (stream.target, stream.set)]
        counted = [each for each in own if has_verdict(each) or (each.open_ended and each.grade is Grade.PASS)]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_plain(f"{stream.set} on {stream.target}"),
            tests=str(len(own)),
            failures=str(sum(each.grade is not Grade.PASS for each in counted)),
            errors="0",
            skipped=str(len(own) - len(counted)),
            time=f"{sum(each.measures.latency_ms or 0.0 for each in own) / 1000:.3f}",
        )
        for each in own:
            seconds = (each.measures.latency_ms or 0.0) / 1000
            name = f"{each.key.case}#{each.key.repeat}" if found.run.repeats > 1 else each.key.case
            case = ElementTree.SubElement(
                suite,
                "testcase",
                name=_plain(name),
                classname=_plain(f"{stream.set}.{stream.target}"),
                time=f"{seconds:.3f}",
            )
            if each not in counted:
                why = each.cause or ("open-ended" if each.open_ended else ADVICE)
                ElementTree.SubElement(case, "skipped", message=_plain(f"{why}: {each.words}"))
            elif each.grade is not Grade.PASS:
                failure = ElementTree.SubElement(case, "failure", type=each.grade, message=_plain(each.words))
                failure.text = _plain(each.answer)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    return text.translate(_NOT_IN_XML)


def conclusion(found: Compared) -> str:
    """One sentence: how many more cases the new model passes, what it costs, and how fast it is, beside the old one.

    A difference in passes counts from p < .05 on, by the exact test of signs over the cases that one of the two passes alone.
    """
    if not found.cases:
        return "no case has a verdict from both: nothing can be said"
    lost, won = len(found.only_old), len(found.only_new)
    tail = sum(comb(lost + won, each) for each in range(min(lost, won) + 1)) / 2 ** (lost + won)
    sure = 2 * tail < 0.05
    if lost == won:
        quality = "passes as many" + (f" of only {found.cases} cases" if found.cases < ENOUGH_CASES else "")
    else:
        quality = (
            f"passes {abs(won - lost)} {'more' if won > lost else 'fewer'}{'' if sure else ', which may be chance'}"
        )

    def beside(old: float | None, new: float | None, less: str, more: str) -> str:
        if old is None or new is None or not old:
            return ""
        share = new / old - 1
        return f", {abs(share):.0%} {more if share > 0 else less}" if abs(share) >= 0.01 else ""

    cost = beside(found.usd_per_1000_old, found.usd_per_1000_new, "cheaper", "dearer")
    pace = beside(found.latency_ms_old, found.latency_ms_new, "faster", "slower")
    return f"{found.new} {quality}{cost}{pace}"


def _cost(each: StreamReport) -> str:
    """ "$0.0021, judge $0.0104"."""
    return _dollars(each.usd) if each.judge_usd == 0 else f"{_dollars(each.usd)}, judge {_dollars(each.judge_usd)}"


def _dollars(value: float | None) -> str:
    return "-" if value is None else usd(value)


def compared_lines(found: Compared, change: Sequence[str], paint: Paint) -> list[str]:
    """Two models side by side, and the lines of the settings to change."""

    def ms(value: float | None) -> str:
        return "-" if value is None else duration(value / 1000)

    rows = [
        (("", ""), (found.old, "bold"), (found.new, "bold")),
        (("passed", ""), (f"{found.passed_old} of {found.cases}", ""), (f"{found.passed_new} of {found.cases}", "")),
        (("passed by this one alone", ""), (str(len(found.only_old)), ""), (str(len(found.only_new)), "")),
        (("1,000 answers", ""), (_dollars(found.usd_per_1000_old), ""), (_dollars(found.usd_per_1000_new), "")),
        (("latency, median", ""), (ms(found.latency_ms_old), ""), (ms(found.latency_ms_new), "")),
        (("first token, median", ""), (ms(found.ttft_ms_old), ""), (ms(found.ttft_ms_new), "")),
    ]
    lines = [*columns(rows, paint), "", conclusion(found)]
    for label, causes in ((found.old, found.unknown_old), (found.new, found.unknown_new)):
        if causes:
            named = ", ".join(f"{cause}: {count}" for cause, count in causes.items())
            lines.append(paint(f"{label} has no verdict on some cases, which do not count ({named})", "yellow"))
    for flip in found.answers[:_MOST_FLIPS]:
        lines += ["", f"{paint(flip.case, 'bold')}  {flip.before} -> {flip.now}  {flip.words.translate(_SPELT)}"]
        lines += side_by_side(flip.answer_before, flip.answer, paint)
    return [*lines, "", "To change over, in the settings:", "", *change] if change else lines
