"""local_models/installer/find-python takes a Python that can do the work, and says how to get one where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FINDER = Path(__file__).resolve().parents[3] / "local_models" / "installer" / "find-python"
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


def find(folder: Path, *versions: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        [str(FINDER), *versions],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "HEARTH_PYTHON_PATH": str(folder), **env},
    )


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_fitting_python_is_printed(tmp_path: Path) -> None:
    """The path printed is the interpreter itself, whatever link led to it."""
    executable(tmp_path / f"python{THIS}", f'exec "{sys.executable}" "$@"')
    found = find(tmp_path, THIS, THIS)
    assert (found.returncode, found.stdout.strip(), found.stderr) == (0, sys.executable, "")


def test_one_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    """A shim that only complains is no Python; the next candidate counts."""
    executable(tmp_path / "python3.11", "exit 127")
    executable(tmp_path / "python3", f'exec "{sys.executable}" "$@"')
    assert find(tmp_path, "3.11", "3.14").stdout.strip() == sys.executable


def test_a_wrong_version_is_no_candidate(tmp_path: Path) -> None:
    """With only another version there, the answer is how to get the right one."""
    executable(tmp_path / "python3", f'exec "{sys.executable}" "$@"')
    found = find(tmp_path, "3.99", "3.99")
    assert found.returncode == 1
    assert found.stdout == ""
    assert "No Python 3.99 was found" in found.stderr
    assert "uv python install 3.99" in found.stderr


def test_debian_without_venv_gets_told_its_package(tmp_path: Path) -> None:
    """A Python that cannot make environments is named, with the package that is missing."""
    executable(tmp_path / "python3.11", "exit 4")
    found = find(tmp_path)
    assert found.returncode == 1
    assert f"{tmp_path}/python3.11 is the right version" in found.stderr
    assert "apt install python3-venv" in found.stderr


def test_a_named_python_is_the_only_candidate(tmp_path: Path) -> None:
    """$PYTHON that does not fit is an error, not a hint."""
    executable(tmp_path / "python3", f'exec "{sys.executable}" "$@"')
    assert find(tmp_path, PYTHON=sys.executable).stdout.strip() == sys.executable
    refused = find(tmp_path, PYTHON="/nowhere/python")
    assert refused.returncode == 1
    assert "PYTHON=/nowhere/python does not start" in refused.stderr


def test_folders_with_spaces_are_searched(tmp_path: Path) -> None:
    """A path is one path, spaces and all."""
    folder = tmp_path / "my tools"
    folder.mkdir()
    executable(folder / "python3", f'exec "{sys.executable}" "$@"')
    assert find(folder).stdout.strip() == sys.executable


def test_one_built_with_optimisation_comes_first(tmp_path: Path) -> None:
    """Whatever stands before it on the path; a slower one is taken where there is no other of that version."""
    slow, fast = tmp_path / "a", tmp_path / "b"
    for folder, code in ((slow, 5), (fast, 0)):
        folder.mkdir()
        executable(folder / "python3.11", f"echo {folder}/python; exit {code}")
    assert find(Path(f"{slow}:{fast}")).stdout.strip() == f"{fast}/python"
    assert find(slow).stdout.strip() == f"{slow}/python"
