"""The documents point at what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture import house
from tests.architecture.source import read

DOCUMENTS = [house.ROOT / "README.md", house.ROOT / "CHANGELOG.md", *sorted((house.ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)?(?:#([^)\s]+))?\)")


def anchors(document: Path) -> set[str]:
    """The ids that headings get: lower case, words joined by hyphens, signs left out."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    """Files exist, and so do the headings that are linked to."""
    broken = []
    for path, anchor in LINK.findall(document.read_text()):
        if path.startswith(("http://", "https://")):
            continue
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def test_documents_named_in_code_exist() -> None:
    """Pages named in docstrings exist."""
    named = {
        (path, name)
        for path, text in read(house.ROOT, (*house.PRODUCT, "scripts", "tests")).items()
        for name in re.findall(r"docs/[\w./-]+\.md", text)
    }
    assert [(path, name) for path, name in sorted(named) if not (house.ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_in_pages_exist(document: Path) -> None:
    """Source files named in a page exist, except in the changelog, which names old ones."""
    named = re.findall(
        r"`((?:runtime|local_models|cloud|tests|scripts)/[a-z0-9_/]+\.(?:py|toml|txt))`", document.read_text()
    )
    assert document.name == "CHANGELOG.md" or [name for name in named if not (house.ROOT / name).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    """No page is an orphan: following links from the README comes by all of them."""
    seen: set[Path] = set()
    ahead = [house.ROOT / "README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page in seen or not page.exists() or page.suffix in (".png", ".webp"):
            continue
        seen.add(page)
        ahead += (
            page.glob("*.md")
            if page.is_dir()
            else [page.parent / path for path, _ in LINK.findall(page.read_text()) if path]
        )
    assert [page.name for page in DOCUMENTS if page.resolve() not in seen] == []
