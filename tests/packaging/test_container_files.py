"""The Dockerfile and the compose file, held against the tools that read them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.install import ROOT

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(700)]  # the tools are installed on first use
COMPOSE = ROOT / "docker" / "compose.yaml"


def test_the_linter_finds_nothing(image_tools: Path) -> None:
    """All three targets."""
    command = [str(image_tools / "hadolint"), str(ROOT / "docker" / "Dockerfile")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def config(tools: Path, file: Path, *profiles: str) -> subprocess.CompletedProcess[str]:
    """`docker compose config`. The program itself, since its Python wrapper swallows the exit code."""
    (program,) = tools.parent.glob("lib/python*/site-packages/compose/docker-compose")
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    command = [str(program), "-f", str(file), *chosen, "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", ["core", "cpu", "cuda"])
def test_compose_accepts_every_profile(image_tools: Path, profile: str) -> None:
    """Each has one service, read-only, without capabilities, and with time to end."""
    shown = config(image_tools, COMPOSE, profile)
    assert shown.returncode == 0, shown.stderr
    services = json.loads(shown.stdout)["services"]
    assert list(services) == [profile]
    service = services[profile]
    assert (service["image"], service["build"]["target"]) == (f"hearth-runtime:{profile}", profile)
    assert (service["read_only"], service["cap_drop"], service["stop_grace_period"]) == (True, ["ALL"], "1m30s")


def test_monitoring_stands_beside_any_of_them(image_tools: Path) -> None:
    """On this machine's loopback alone, at pinned images, with files that are there, and without an account to log in with."""
    shown = config(image_tools, COMPOSE, "core", "monitoring")
    assert shown.returncode == 0, shown.stderr
    services = json.loads(shown.stdout)["services"]
    assert sorted(services) == ["core", "grafana", "prometheus"]
    assert services["core"]["networks"]["default"]["aliases"] == ["hearth"]
    for name in ("grafana", "prometheus"):
        service = services[name]
        assert "@sha256:" in service["image"] and [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert all(Path(each["source"]).exists() for each in service["volumes"] if each["type"] == "bind")
    assert services["grafana"]["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_a_misspelt_key_is_an_error(image_tools: Path, tmp_path: Path) -> None:
    """So that the acceptance above means something."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period:", "stop_grace:"))
    assert config(image_tools, wrong, "core").returncode != 0
