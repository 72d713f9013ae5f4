"""Writes docs/drift.json, the rules' false alarms and delays, and prints them as a table.

python -m scripts.drift --models 200        minutes of one core
python -m scripts.drift.plot                docs/drift.png of it; needs matplotlib: the extra `score`
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

from scripts.drift.rules import OURS, RULES, alarms
from scripts.drift.worlds import Drop, WorldName
from scripts.drift.years import models, quantiles

DOCS = Path(__file__).resolve().parents[2] / "docs"
WORLDS: tuple[WorldName, ...] = ("mixed", "rough", "iid")
RATES = (0.85, 0.80, 0.70, 0.50)
DROPS: tuple[Drop, ...] = ("flip", "slide")
LOOKED = 90  # nights after a drop
YEAR = 365


def measured(name: str, count: int) -> dict[str, Any]:
    """One rule. false: alarms per model-year; delays: median and nine in ten, nights, None where more than LOOKED."""
    false: dict[str, float] = {}
    for world in WORLDS:
        years = [alarms(name, usual, usual, YEAR, random, latch=False) for usual, random in models(world, count)]
        false[world] = sum(map(len, years)) / count
    lower = [
        alarms(name, usual, usual.at(usual.rate - 0.02, "slide", random), YEAR, random, latch=False)
        for usual, random in models("mixed", count)
    ]
    false["two points lower"] = sum(map(len, lower)) / count
    delays = {}
    for rate in RATES:
        for drop in DROPS:
            found = []
            for usual, random in models("mixed", count, seed=9):
                first = list(islice(alarms(name, usual, usual.at(rate, drop, random), LOOKED, random, latch=True), 1))
                found.append(first[0] + 1.0 if first else float("inf"))
            delays[f"{rate:.0%} {drop}"] = [None if each > LOOKED else each for each in quantiles(found)]
    return {"rule": name, "false": {key: round(value, 3) for key, value in false.items()}, "delays": delays}


def table(rows: list[dict[str, Any]]) -> str:
    head = [
        "rule",
        *rows[0]["false"],
        *[f"92 -> {key.removesuffix(' flip')}" for key in rows[0]["delays"] if "flip" in key],
    ]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        delays = [value for key, value in row["delays"].items() if "flip" in key]
        shown = ["/".join("90+" if each is None else f"{each:.0f}" for each in pair) for pair in delays]
        cells = [row["rule"], *[f"{value:.2g}" for value in row["false"].values()], *shown]
        mark = "**" if row["rule"] == OURS else ""
        lines.append("| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=200, help="model-years for each figure")
    parser.add_argument("--out", type=Path, default=DOCS / "drift.json")
    options = parser.parse_args()
    rows = [measured(name, options.models) for name in (*RULES, OURS)]
    options.out.write_text(json.dumps({"models": options.models, "cases": 80, "rules": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
