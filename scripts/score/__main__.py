"""Fits the score of expected gain and measures it.

    python -m scripts.score [--data FOLDER] [--check | --figures FILE --plot FILE]

Writes runtime/routing/facts/scores.json from the open sets in FOLDER ($HEARTH_SHARED/routing, else ../shared/routing);
with --check it only says whether the file would change. With --figures it writes no weights and measures those that are there,
as a table; --plot draws the curves. Needs numpy, scipy and matplotlib.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# One thread, so that sums are made in one order. Read when numpy is first imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from scripts.score.data import prompts  # noqa: E402
from scripts.score.report import Report, markdown  # noqa: E402
from scripts.score.train import TABLE, table  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--data", type=Path, default=shared / "routing", help="folder of the open sets")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the weights would change")
    parser.add_argument("--figures", type=Path, help="measure, and write the figures here")
    parser.add_argument("--plot", type=Path, help="with --figures: draw them here")
    given = parser.parse_args()
    if given.figures:
        report = Report(prompts(given.data))
        given.figures.write_text(markdown(report.figures()), encoding="utf-8")
        if given.plot:
            report.plot(given.plot)
        return 0
    written = table(prompts(given.data))
    same = TABLE.exists() and TABLE.read_bytes() == written
    print(f"{TABLE.relative_to(ROOT)}: {len(written):,} bytes, {'unchanged' if same else 'changed'}")
    if given.check:
        return 0 if same else 1
    TABLE.write_bytes(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
