""".ci/run tells the truth: non-zero when anything failed or nothing ran, and pytest's closing line last."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parents[2] / ".ci" / "run"
FAST = "======= 40 passed, 1 skipped in 9.87s ======="
ENGINE = "======= 7 passed, 40 deselected in 301.20s (0:05:01) ======="


def run(folder: Path, check: str, test: str, packaging: str = "exit 0") -> subprocess.CompletedProcess[str]:
    """The script with a `make` that runs the given shell lines instead."""
    fake = folder / "make"
    fake.write_text(
        f'#!/bin/sh\ncase "$1" in\ncheck) {check} ;;\ntest) {test} ;;\ntest-packaging) {packaging} ;;\nesac\n'
    )
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(["bash", str(CI)], capture_output=True, text=True, check=False, env=env)


def test_green_ends_with_the_closing_line_of_the_last_run(tmp_path: Path) -> None:
    """Both parts passed: exit 0."""
    ended = run(tmp_path, "exit 0", f"echo '{FAST}'; echo '{ENGINE}'; echo 'warnings after it'")
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, ENGINE)


@pytest.mark.parametrize("code", [1, 2, 5])
def test_a_failing_test_run_fails(tmp_path: Path, code: int) -> None:
    """pytest's own exits, 5 (no test collected) included, are failures; the closing line is still the last."""
    closing = "======= 1 failed, 39 passed in 9.87s ======="
    ended = run(tmp_path, "exit 0", f"echo '{closing}'; exit {code}")
    assert (ended.returncode != 0, ended.stdout.splitlines()[-1]) == (True, closing)


def test_a_failing_check_fails_although_the_tests_pass(tmp_path: Path) -> None:
    """The tests are run all the same, so that one run shows both."""
    ended = run(tmp_path, "exit 2", f"echo '{FAST}'")
    assert (ended.returncode != 0, ended.stdout.splitlines()[-1]) == (True, FAST)


def test_a_failing_package_fails_although_the_tests_pass(tmp_path: Path) -> None:
    """Its own closing line does not count for the tests' one."""
    ended = run(tmp_path, "exit 0", f"echo '{ENGINE}'", f"echo '{FAST}'; exit 1")
    assert (ended.returncode != 0, ended.stdout.splitlines()[-1]) == (True, ENGINE)


def test_a_run_without_tests_fails(tmp_path: Path) -> None:
    """Green needs a closing line."""
    ended = run(tmp_path, "exit 0", "exit 0")
    assert (ended.returncode != 0, ended.stdout.splitlines()[-1]) == (True, "No test ran.")
