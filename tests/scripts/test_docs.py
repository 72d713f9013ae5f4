"""What is made from the code is current, and every page is in the index."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.server.pages.static import assets
from scripts.docs import commands
from scripts.docs.pages import CHANGES, DOCS, chapters, stale, summary
from scripts.docs.site import foreign


def test_the_pages_are_as_the_code_has_them() -> None:
    """`python -m scripts.docs` writes them."""
    assert stale() == []


def test_every_page_is_in_the_index() -> None:
    """And every name in the index is a page with a title and a sentence."""
    listed = [name for _, names in chapters() for name in names]
    assert len(listed) == len(set(listed))
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    assert pages - {"index"} - {each for each in pages if each.startswith("decisions/0")} == set(listed) - {CHANGES}
    assert all(all(summary(name)) for name in listed)


def test_commands_are_told_with_their_options() -> None:
    """Also those below another command."""
    page = commands.page()
    assert "### hearth keys create" in page and "| `--first-answer` |" in page and "(default: `auto`)" in page


def test_every_page_of_the_dashboard_has_its_pictures() -> None:
    """In both colour schemes, none is left over, and all are small; `python -m scripts.docs pictures` takes them."""
    pages = {name.removeprefix("pages/").removesuffix(".js") for name in assets() if name.startswith("pages/")}
    wanted = {f"{page}-{scheme}.webp" for page in (*pages, "decision") for scheme in ("light", "dark")}
    kept = {each.name: each.stat().st_size for each in (DOCS / "pictures").iterdir()}
    assert set(re.findall(r"\]\(pictures/([^)]+)\)", (DOCS / "screenshots.md").read_text())) == wanted == set(kept)
    assert sum(kept.values()) <= 1_500_000


def test_what_a_page_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    """A link that a reader may follow is none of it."""
    good = '<a href="https://example.com">x</a><script src="_static/a.js"></script>'
    (tmp_path / "a.html").write_text(good)
    assert foreign(tmp_path) == []
    (tmp_path / "b.html").write_text(good + '<script async src="//cdn.example.com/x.js"></script>')
    assert len(foreign(tmp_path)) == 1
