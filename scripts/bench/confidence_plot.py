"""The plot of `docs/confidence.json`: `python -m scripts.bench.confidence_plot docs/confidence.json docs/confidence.png`.

Needs matplotlib, which is no dependency of the project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def main() -> None:
    figures = json.loads(Path(sys.argv[1]).read_text())
    drawing, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    counted = [each for each in figures["sources"] if each["counted"]]
    rows = [(each["name"], each["auroc"]) for each in counted] + [("all", figures["auroc"])]
    for place, (_, found) in enumerate(rows):
        low, high = found["interval"]
        left.plot([low, high], [place, place], color="0.5")
        left.plot(found["value"], place, "o", color="C0" if place < len(rows) - 1 else "C3")
    left.axvline(0.5, color="0.8", linestyle=":")
    left.set_yticks(range(len(rows)), [name for name, _ in rows])
    left.set_xlabel("AUROC of the score, with its 95 % interval")
    predicted, true = zip(*figures["reliability"], strict=True)
    right.plot([0, 1], [0, 1], color="0.8", linestyle=":")
    right.plot(predicted, true, "o-")
    right.set_xlabel("confidence, by a map of the other half")
    right.set_ylabel("share of right answers")
    right.set_title(f"calibration error {figures['calibration_error']:.3f}")
    drawing.suptitle(
        f"Early confidence of {figures['model']}: {figures['counted']} questions, {figures['right']} answered right"
    )
    drawing.tight_layout()
    drawing.savefig(sys.argv[2], dpi=110)


if __name__ == "__main__":
    main()
