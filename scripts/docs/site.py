"""The site: Sphinx over docs/, every warning an error, nothing from another origin."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts.apart import python_environment
from scripts.docs.pages import CHANGES, DOCS, page_text

_CONFIG = Path(__file__).parent / "sphinx"
_FOREIGN = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']+""")


class SiteError(Exception):
    """The site could not be built; the sentence says why."""


def build(folder: Path) -> None:
    """Builds the site anew. Raises SiteError with Sphinx's words, UnfitBoxError, StepFailedError."""
    python = python_environment("release-docs") / "bin" / "python"
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(python), "-m", "sphinx", "-b", "html", "-W", "-n", "--keep-going", "-q", "-c", str(_CONFIG)]
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(DOCS, copy, dirs_exist_ok=True)
        for page in (CHANGES, "operations"):
            (Path(copy) / f"{page}.md").write_text(page_text(page), encoding="utf-8")
        ended = subprocess.run([*command, copy, str(folder)], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SiteError(f"the site was not built:\n{ended.stderr.strip()}")
    shutil.copy(DOCS / "llms.txt", folder / "llms.txt")
    if found := foreign(folder):
        raise SiteError("\n".join(["the site loads from elsewhere:", *found]))


def foreign(folder: Path) -> list[str]:
    """Everything that a page of the site would load from another origin. Links that a reader follows are none."""
    return [
        f"{page.relative_to(folder)}: {tag}"
        for page in sorted(folder.rglob("*.html"))
        for tag in _FOREIGN.findall(page.read_text(encoding="utf-8"))
        if 'rel="canonical"' not in tag
    ]
