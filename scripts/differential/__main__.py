"""Compares Hearth's translations with another translator's: `python -m scripts.differential [--json] [--own]`.

Every difference is excused by a reviewed rule (tests/cloud/differential_exceptions.toml) or reported as unexplained; a rule
that excuses nothing is an error too. The other translator is litellm, at the version the benchmarks pin, in its environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from scripts.bench.contenders import LITELLM, environment
from scripts.differential.answers import answers
from scripts.differential.cases import questions, recorded_answers, recorded_questions
from scripts.differential.exceptions import load
from scripts.differential.run import Report, ask, tell
from scripts.differential.translators import Theirs
from scripts.install import ROOT

EXCEPTIONS = ROOT / "tests" / "cloud" / "differential_exceptions.toml"


def compared(shared: Path | None, log: Path) -> Iterator[tuple[str, Report]]:
    """Each case's name when it is done, and the report so far. shared: the folder of recordings; None: without them."""
    report = Report(load(EXCEPTIONS))
    asked, told = questions(), answers()
    with Theirs(environment(f"bench-{LITELLM}") / "bin" / "python", log) as theirs:
        steps = [ask(theirs, asked, report), tell(theirs, told, report)]
        if shared is not None:
            steps += [
                ask(theirs, recorded_questions(shared), report),
                tell(theirs, recorded_answers(shared), report),
            ]
        for name in chain(*steps):
            yield name, report


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every difference is excused and every rule excuses one."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.differential", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--own", action="store_true", help="without recorded traffic; rules may be left over then")
    chosen = parser.parse_args(arguments)
    shared = Path(os.environ.get("HEARTH_SHARED") or ROOT.parent / "shared")
    report = Report(())
    with tempfile.TemporaryDirectory() as folder:
        steps = compared(shared if shared.is_dir() and not chosen.own else None, Path(folder) / "log")
        for count, (name, latest) in enumerate(steps, 1):
            report = latest
            if sys.stderr.isatty():
                print(f"\r{count} {name[:80]:80}", end="", file=sys.stderr)
    print(file=sys.stderr)
    _print_json(report) if chosen.json else _print_table(report)
    return 1 if report.unexplained or (report.unused and not chosen.own) else 0


def _print_table(report: Report) -> None:
    print(f"{'':10}{'':20}{'compared':>10}{'the same':>10}")
    for (of, whose), count in report.compared.items():
        print(f"{of:10}{whose:20}{count:>10}{report.agreeing[of, whose]:>10}")
    print("\nexcused:")
    for rule, count in report.excused.most_common():
        print(f"{count:>6}  {rule.of} {rule.wire} {rule.where}: {rule.why}")
    for found in report.unexplained:
        difference = found.difference
        print(f"\nunexplained: {found.of} {found.model} {found.case}: {difference.where}")
        print(f"    theirs: {difference.theirs[:300]}\n    ours:   {difference.ours[:300]}")
    for rule in report.unused:
        print(f"\nexcuses nothing: {rule.of} {rule.wire} {rule.where}: {rule.why}")
    print(f"\n{len(report.unexplained)} unexplained, {len(report.unused)} rules that excuse nothing")


def _print_json(report: Report) -> None:
    members = {
        "compared": {f"{of} {whose}": count for (of, whose), count in report.compared.items()},
        "agreeing": {f"{of} {whose}": count for (of, whose), count in report.agreeing.items()},
        "excused": [asdict(rule) | {"count": count} for rule, count in report.excused.most_common()],
        "unexplained": [
            {"of": found.of, "model": found.model, "case": found.case} | asdict(found.difference)
            for found in report.unexplained
        ],
        "unused": [asdict(rule) for rule in report.unused],
    }
    print(json.dumps(members, indent=1, default=str))


if __name__ == "__main__":
    sys.exit(main())
