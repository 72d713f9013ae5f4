"""The Dockerfile and the compose file, held against the tools that read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.install import ROOT

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(400)]  # the tools are installed on first use
COMPOSE = ROOT / "docker" / "compose.yaml"


def test_the_linter_finds_nothing(image_tools: Path) -> None:
    """All three targets."""
    command = [str(image_tools / "hadolint"), str(ROOT / "docker" / "Dockerfile")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def config(tools: Path, file: Path, profile: str) -> subprocess.CompletedProcess[str]:
    """`docker compose config`. The program itself, since its Python wrapper swallows the exit code."""
    (program,) = tools.parent.glob("lib/python*/site-packages/compose/docker-compose")
    command = [str(program), "-f", str(file), "--profile", profile, "config"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", ["core", "cpu", "cuda"])
def test_compose_accepts_every_profile(image_tools: Path, profile: str) -> None:
    """Each has one service, read-only and without capabilities."""
    shown = config(image_tools, COMPOSE, profile)
    assert shown.returncode == 0, shown.stderr
    assert f"image: hearth-runtime:{profile}" in shown.stdout
    assert shown.stdout.count("read_only: true") == 1
    assert shown.stdout.count("image: ") == 1


def test_a_misspelt_key_is_an_error(image_tools: Path, tmp_path: Path) -> None:
    """So that the acceptance above means something."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period:", "stop_grace:"))
    assert config(image_tools, wrong, "core").returncode != 0
