"""docs/pictures: every page of the dashboard in both colour schemes, taken by a browser test of a box in use.

    python -m scripts.docs pictures

They are WebP, because the browser writes it and a picture is a third of a PNG. docs/screenshots.md shows all of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from scripts.docs.pages import DOCS

ROOT = DOCS.parent
TAKEN = ROOT / "build" / "screenshots" / "documentation"
_TEST = "tests/browser/test_documentation.py"


class PicturesError(Exception):
    """The pictures could not be taken; the sentence says why."""


def make_pictures(folder: Path) -> int:
    """Takes the pictures and copies them into a folder; their number. Raises PicturesError."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", _TEST], cwd=ROOT, check=False
    )
    found = sorted(TAKEN.glob("*.webp"))
    if done.returncode or not found:
        raise PicturesError(f"{_TEST} took no pictures: it needs Chromium, `python -m scripts.browser` installs it")
    folder.mkdir(exist_ok=True)
    for each in found:
        shutil.copyfile(each, folder / each.name)
    return len(found)
