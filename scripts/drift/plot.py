"""docs/drift.png, of docs/drift.json: nights to find a drop, over false alarms a year, for each rule. Needs matplotlib."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).resolve().parents[2] / "docs"
LEAST = 0.003  # alarms a year that are drawn as none


def plot(rows: list[dict[str, Any]], out: Path) -> None:
    """rows: as docs/drift.json has them."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    for axis, world, title in ((axes[0], "iid", "temperature 1"), (axes[1], "rough", "noisy nights")):
        for number, row in enumerate(rows):
            ours = row is rows[-1]
            false = max(LEAST, row["false"][world])
            late = row["delays"]["80% flip"][1] or 90
            axis.scatter(false, late, s=90 if ours else 45, color="#c1440e" if ours else "#4a6d8c", zorder=3)
            side = "right" if false > 0.5 else "left"
            shift = (-7 if side == "right" else 7, 7 if number % 2 else -12)
            shown = {"xytext": shift, "textcoords": "offset points", "fontsize": 7.5, "ha": side}
            axis.annotate(row["rule"], (false, late), **shown)
        axis.set_xscale("log")
        axis.set_xlim(LEAST / 2, 400)
        axis.set_xlabel("false alarms per model and year (leftmost: none)")
        axis.set_title(f"a healthy model, {title}", fontsize=10)
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylim(0, 8)
    axes[0].set_ylabel("nights until 9 of 10 drops from 92 to 80 % are found")
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    plot(json.loads((DOCS / "drift.json").read_text())["rules"], DOCS / "drift.png")
