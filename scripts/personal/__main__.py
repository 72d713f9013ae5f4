"""Prints the tables of docs/compliance.md: recall and precision of the patterns on the labelled set.

python -m scripts.personal                  seconds of one core
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from runtime.trust.personal import kinds_in
from scripts.personal.measure import (
    HELD,
    PATTERNED,
    SHOWN,
    Found,
    false_alarms,
    labelled,
    precision,
    recall,
    searched,
)


def by_kind(halves: Mapping[str, Sequence[Found]], kinds: Sequence[str] = PATTERNED) -> str:
    """A table: recall and precision of each kind, and false alarms, of each half."""
    lines = [f"| kind |{''.join(f' recall, {name} | precision, {name} |' for name in halves)}"]
    lines.append("| --- |" + " --- |" * 2 * len(halves))
    for kind in kinds:
        cells = [str(each) for found in halves.values() for each in (recall(found, kind), precision(found, kind))]
        lines.append(f"| `{kind}` | {' | '.join(cells)} |")
    cells = [str(each) for found in halves.values() for each in (recall(found, within=kinds), "")]
    lines.append(f"| all | {' | '.join(cells)} |")
    cells = [str(each) for found in halves.values() for each in (false_alarms(found), "")]
    lines.append(f"| false alarms, of texts that hold none | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_country(halves: Mapping[str, Sequence[Found]], kinds: Sequence[str] = PATTERNED) -> str:
    """A table: recall over all kinds in each country, of each half."""
    countries = list(dict.fromkeys(each.row.country for found in halves.values() for each in found if each.row.country))
    lines = [f"| country |{''.join(f' recall, {name} |' for name in halves)}", "| --- |" + " --- |" * len(halves)]
    for country in countries:
        cells = [str(recall(found, country=country, within=kinds)) for found in halves.values()]
        lines.append(f"| {country} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measured() -> dict[str, list[Found]]:
    """The patterns on both halves."""
    rows = labelled()
    return {half: searched([row for row in rows if row.half == half], kinds_in) for half in (SHOWN, HELD)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    halves = measured()
    print(by_kind(halves), by_country(halves), sep="\n\n")


if __name__ == "__main__":
    main()
