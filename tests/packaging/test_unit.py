"""The systemd unit, held against systemd's own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli.unit import NAME, ServiceWish, unit

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(700)]  # the tools are installed on first use


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not here: apt install systemd")
    return found


def written(folder: Path, user: str | None) -> Path:
    """The unit of a program that exists."""
    program = folder / "a folder" / "hearth"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    file = folder / NAME
    file.write_text(unit(ServiceWish(program, Path("/etc/hearth/hearth.toml"), user, Path("/root/.cache"), 90)))
    return file


@pytest.mark.parametrize("user", ["root", None])
def test_systemd_has_nothing_to_say(analyze: str, user: str | None, tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent, for the system's unit and for a user's."""
    file = written(tmp_path, user)
    command = [analyze, "verify", *([] if user else ["--user"]), str(file)]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_a_wrong_line_is_noticed(analyze: str, tmp_path: Path) -> None:
    """So that the silence above means something."""
    file = written(tmp_path, "root")
    file.write_text(file.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    ended = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True, check=False)
    assert "NoNewPrivilege" in ended.stderr


def test_its_exposure_is_bounded(analyze: str, tmp_path: Path) -> None:
    """systemd's own measure of a unit's restrictions, 10 without any."""
    command = [analyze, "security", "--offline=true", "--threshold=50", str(written(tmp_path, "root"))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-200:]
