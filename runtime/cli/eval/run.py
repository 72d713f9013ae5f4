"""`hearth eval run`: asks golden sets now, and reports. The exit code is 1 below `--fail-under`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from runtime.cli.client import Address, asked
from runtime.cli.eval.runtime_of import RUNS, Json, Targets, Url, Yes, agreed, followed, runtime_at, sets_of
from runtime.cli.eval.shown import junit, markdown, report_lines
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import paint_for
from runtime.cli.settings_file import ConfigOption
from runtime.quality.runs.report import EvalReport
from runtime.quality.values import CaseResult
from runtime.settings.environment import environment

FailUnder = Annotated[
    float | None, typer.Option(min=0, max=1, help="Exit code 1 if a target's pass rate on a set is below this share.")
]
Markdown = Annotated[bool, typer.Option("--markdown", help="The report in Markdown.")]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML for a CI server too.")]


class _Answers(msgspec.Struct):
    data: list[CaseResult]


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES]", help="Files of golden sets, which move no state; left out: the settings'."),
    ] = None,
    *,
    target: Targets = None,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="Ask each case so often.")] = 1,
    fail_under: FailUnder = None,
    markdown_too: Markdown = False,
    junit_file: Junit = None,
    yes: Yes = False,
    url: Url = None,
    config: ConfigOption = None,
    as_json: Json = False,
) -> None:
    """Ask golden sets of the targets now, through a running runtime, and show who passes what.

    \b
    Examples:
      hearth eval run
      hearth eval run golden/facts.toml --target local
      hearth eval run prompts/*.toml --fail-under 0.9 --junit results.xml --yes
    """
    if junit_file is not None and (junit_file.is_dir() or not junit_file.parent.is_dir()):
        raise CommandError(
            f"--junit: {junit_file} cannot be written: name a file in a folder that is there", Exit.USAGE
        )
    wanted: dict[str, Any] = {"targets": target or [], "repeats": repeats}
    if files:
        goldens = sets_of(files)
        for golden in goldens:
            for warning in golden.warnings:
                print(f"{golden.path}: {warning}", file=sys.stderr)
        wanted["sets"] = msgspec.to_builtins(goldens)
    address = runtime_at(url, config)
    agreed(address, wanted, yes=yes)
    state = followed(address, wanted)
    show(address, state.id, as_json=as_json, as_markdown=markdown_too, junit_file=junit_file, fail_under=fail_under)


def show(
    address: Address,
    id: str,
    *,
    as_json: bool,
    as_markdown: bool,
    junit_file: Path | None = None,
    fail_under: float | None = None,
) -> None:
    """Prints a run's report. Raises typer.Exit 1 below `fail_under`: also with too few verdicts, or without any rate."""
    found = asked(address, "GET", f"{RUNS}/{id}/report", EvalReport)
    if junit_file is not None:
        answers = asked(address, "GET", f"{RUNS}/{id}/results", _Answers).data
        junit_file.write_text(junit(found, answers), encoding="utf-8")
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    elif as_markdown:
        typer.echo(markdown(found))
    else:
        typer.echo("\n".join(report_lines(found, paint_for(sys.stdout, environment()))))
    if fail_under is None:
        return
    rated = [each for each in found.streams if each.total]
    if not rated:
        print("no case has a pass rate: they are open-ended, and compared with earlier answers", file=sys.stderr)
        raise typer.Exit(Exit.FAILED)
    low = [each for each in rated if not each.enough or (each.rate or 0.0) < fail_under]
    for each in low:
        rate = f"{each.passed} of {each.verdicts}"
        if not each.enough:
            advised = f", {each.advised} are by a judge that is not known to agree with people" if each.advised else ""
            rate = f"only {each.verdicts} of {each.total} have a verdict{advised}"
        print(f"{each.target} on {each.set}: {rate}, and {fail_under:g} is wanted", file=sys.stderr)
    if low:
        raise typer.Exit(Exit.FAILED)
