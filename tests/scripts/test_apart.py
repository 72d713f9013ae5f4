"""Environments beside Hearth's own: made once, never taken for whole when unfinished, and who lacks npm is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_models.installer import progress
from local_models.installer.install import UnfitBoxError
from scripts import apart


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package.json and its lock, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    (folder / "package-lock.json").write_text("{}")
    return folder


def npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a program called npm, and no other, on the PATH."""
    program = folder / "bin" / "npm"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_what_is_complete_is_not_made_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of npm, whatever is asked again."""
    npm(tmp_path, monkeypatch, f"echo run >> {tmp_path}/runs")
    folders = {apart.node_environment("some", source) for _ in range(2)}
    assert len(folders) == 1
    assert (tmp_path / "runs").read_text() == "run\n"


def test_another_lock_is_another_environment(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one stays for other checkouts."""
    npm(tmp_path, monkeypatch, "true")
    before = apart.node_environment("some", source)
    (source / "package-lock.json").write_text("{ }")
    after = apart.node_environment("some", source)
    assert before != after and before.is_dir()


def test_a_failed_installation_is_made_anew(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it left is gone."""
    npm(tmp_path, monkeypatch, 'touch "$8/left"; exit 1')
    with pytest.raises(progress.StepFailedError):
        apart.node_environment("some", source)
    npm(tmp_path, monkeypatch, "true")
    folder = apart.node_environment("some", source)
    assert sorted(path.name for path in folder.iterdir()) == [
        "complete",
        "install.log",
        "package-lock.json",
        "package.json",
    ]


def test_who_lacks_npm_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnfitBoxError, match="npm is missing"):
        apart.node_environment("some", source)
