"""Writes runtime/routing/facts/reference.py: the quantiles of the score's feature over the reference sample.

    python scripts/fit_reference.py [--data FOLDER]

Reads the open sets that may be trained on (FOLDER defaults to $HEARTH_SHARED/routing, and that to ../shared beside the
checkout), as many prompts of each so that none outweighs the others. The prompts themselves are not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "runtime" / "routing" / "facts" / "reference.py"
SETS = ("mmlu_open", "gsm8k_open", "mtbench_open", "ulab_train_open")
MOST_OF_ONE = 2_000
POINTS = 101
SEED = 1

sys.path.insert(0, str(ROOT))

from runtime.routing.facts.scan import bounded  # noqa: E402  (a script finds the checkout it stands in)


def prompts(folder: Path, name: str) -> list[str]:
    """At most MOST_OF_ONE prompts of a set, drawn with a fixed seed."""
    with (folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
        found = [str(json.loads(line)["prompt"]) for line in lines if line.strip()]
    return found if len(found) <= MOST_OF_ONE else random.Random(SEED).sample(found, MOST_OF_ONE)


def quantiles(values: list[float]) -> list[float]:
    """POINTS quantiles, the smallest and the largest value included; linear between neighbours."""
    ordered = sorted(values)
    places = [index * (len(ordered) - 1) / (POINTS - 1) for index in range(POINTS)]
    return [_at(ordered, place) for place in places]


def _at(ordered: list[float], place: float) -> float:
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def table(points: list[float], counts: dict[str, int]) -> str:
    """The module's text."""
    numbers = [f"{point:g}," for point in points]
    rows = "\n".join("    " + " ".join(numbers[start : start + 12]) for start in range(0, len(numbers), 12))
    sample = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return (
        '"""Quantiles of the number of words over the reference sample.\n\n'
        "Written by scripts/fit_reference.py; do not edit.\n"
        f"Prompts: {sample}.\n"
        '"""\n\nfrom __future__ import annotations\n\n'
        f"QUANTILES: tuple[float, ...] = (\n{rows}\n)  # fmt: skip\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--data", type=Path, default=shared / "routing", help="folder of the open sets")
    folder: Path = parser.parse_args().data
    sample = {name: prompts(folder, name) for name in SETS}
    features = [float(len(bounded(prompt).split())) for texts in sample.values() for prompt in texts]
    TABLE.write_text(table(quantiles(features), {name: len(texts) for name, texts in sample.items()}), encoding="utf-8")
    print(f"{TABLE.relative_to(ROOT)}: {len(features):,} prompts")


if __name__ == "__main__":
    main()
