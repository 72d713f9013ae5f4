"""A release: what it writes, and what it refuses before anything is written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import release
from scripts.release import ReleaseError

LOG = "# Changes\n\nWords.\n\n## Unreleased\n\n- New.\n\n## 0.1.0 (2026-01-01)\n\n- Old.\n"
INIT = '"""Hearth."""\n\n__version__ = "0.1.0"\n'


def test_what_was_unreleased_gets_the_version() -> None:
    """With its day, above the older ones, and an empty place for what comes next."""
    text = release.changelog_of(LOG, "0.2.0", "2026-02-03")
    assert text.startswith("# Changes\n\nWords.\n\n## Unreleased\n\n## 0.2.0 (2026-02-03)\n\n- New.\n\n## 0.1.0")


@pytest.mark.parametrize("text", ["# Changes\n", LOG.replace("- New.\n", "")])
def test_a_release_without_news_is_refused(text: str) -> None:
    """Nobody would know why to take it."""
    with pytest.raises(ReleaseError, match="nothing under"):
        release.changelog_of(text, "0.2.0", "2026-02-03")


@pytest.mark.parametrize("version", ["1", "v1.2.3", "1.2.3rc1", "1.2"])
def test_a_version_has_three_numbers(version: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ReleaseError, match="no version"):
        release.numbers(version)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one release."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(release, "CHANGELOG", tmp_path / "CHANGELOG.md")
    monkeypatch.setattr(release, "INIT", tmp_path / "__init__.py")
    (tmp_path / "CHANGELOG.md").write_text(LOG)
    (tmp_path / "__init__.py").write_text(INIT)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (
        ("init", "-q"),
        ("add", "."),
        (*who, "commit", "-qm", "one"),
        (*who, "tag", "-a", "v0.1.0", "-m", "one"),
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_the_tree_gets_the_version(tree: Path) -> None:
    """In both files."""
    release.prepare("0.2.0")
    assert '__version__ = "0.2.0"' in (tree / "__init__.py").read_text()
    assert "## 0.2.0 (" in (tree / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9"])
def test_an_old_version_is_refused(tree: Path, version: str) -> None:
    """Before anything is changed."""
    with pytest.raises(ReleaseError, match="not newer than"):
        release.prepare(version)
    assert (tree / "__init__.py").read_text() == INIT


def test_a_tree_with_changes_is_refused(tree: Path) -> None:
    """They would be in the release and in no commit before it."""
    (tree / "__init__.py").write_text(INIT + "\n")
    with pytest.raises(ReleaseError, match="has changes"):
        release.prepare("0.2.0")
