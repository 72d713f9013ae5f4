"""`hearth service`: shown before it is written, refused where it could not last, removed without the state."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runtime.cli import service
from runtime.cli.exits import CommandError, Exit
from runtime.cli.group import run
from runtime.cli.installation import Installation
from runtime.cli.unit import ServiceWish, quoted, unit

PROGRAM = Path(sys.executable).parent / "hearth"
WISH = ServiceWish(
    Path("/opt/hearth/bin/hearth"), Path("/etc/hearth.toml"), "someone", Path("/home/someone/.cache"), 75
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user's units lie; `systemctl` is a script that keeps what it was asked."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(service, "installation", lambda env: Installation("pip", "/venv", ""))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (tmp_path / "bin" / "hearth").touch()
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(("service", *arguments), sys.stdout, sys.stderr)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_unit_is_shown_before_it_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal and without --yes it is shown, and nothing changes."""
    code, out, err = said(capsys, "install")
    assert "Type=notify" in out
    assert "systemctl --user enable --now hearth.service" in out
    assert (code, "add --yes" in err) == (Exit.FAILED, True)
    assert not (folder / "systemd").exists()
    assert not (folder / "asked").exists()


def test_it_is_installed_and_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is what was shown, systemd is told, and removing leaves nothing of it."""
    code, out, _ = said(capsys, "install", "--yes")
    file = folder / "systemd" / "user" / "hearth.service"
    assert code == 0
    assert file.read_text() in out
    assert f"ExecStart={folder}/bin/hearth serve\n" in file.read_text()
    assert said(capsys, "remove", "--yes")[0] == 0
    assert not file.exists()
    assert (folder / "asked").read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --now hearth.service",
        "--user disable --now hearth.service",
        "--user daemon-reload",
    ]
    assert said(capsys, "remove", "--yes")[0] == Exit.FAILED


def test_a_failing_systemctl_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its words; the unit stays for another try."""
    (folder / "bin" / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
    code, _, err = said(capsys, "install", "--yes")
    assert (code, "Failed to connect to bus" in err) == (Exit.FAILED, True)
    assert (folder / "systemd" / "user" / "hearth.service").exists()


def test_an_environment_in_a_cache_is_no_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be gone one day; the sentence says what lasts."""
    monkeypatch.setattr(service, "installation", lambda env: Installation("uvx", "/cache", ""))
    with pytest.raises(CommandError, match="uv tool install hearth-runtime"):
        service.planned(dict(os.environ), None, system=False, run_as=None)


def test_a_file_found_here_is_named_in_the_unit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service runs in another folder, where it would not be found."""
    (folder / "hearth.toml").write_text("[server]\ndrain = 100.0\n[engine]\ndrain = 20.0\n")
    monkeypatch.chdir(folder)
    _, text = service.planned(dict(os.environ), None, system=False, run_as=None)
    assert f"ExecStart={folder}/bin/hearth serve --config {folder}/hearth.toml" in text.splitlines()
    assert "TimeoutStopSec=150" in text.splitlines()


def test_wrong_settings_make_no_service(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would only fail to start."""
    settings = folder / "hearth.toml"
    settings.write_text("[server]\nprot = 1\n")
    code, out, err = said(capsys, "install", "--yes", "--config", str(settings))
    assert (code, out) == (Exit.SETTINGS, "")
    assert "port" in err


def test_an_unknown_user_is_an_error(folder: Path) -> None:
    """With the command that makes one."""
    with pytest.raises(CommandError, match="useradd --system"):
        service.planned(dict(os.environ), None, system=True, run_as="nobody-of-this-name")


def test_a_system_service_can_write_its_own_folders_alone() -> None:
    """And has more time to end than both drains."""
    text = unit(WISH)
    for line in (
        "User=someone",
        "ProtectSystem=strict",
        "ReadWritePaths=-/home/someone/.cache",
        "Environment=HEARTH_STATE_DIR=/var/lib/hearth",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "TimeoutStopSec=75",
        "ExecStart=/opt/hearth/bin/hearth serve --config /etc/hearth.toml",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("word", "written"),
    [("/a/b", "/a/b"), ("/a b", '"/a b"'), ("100%", "100%%"), ("$x", "$$x"), ('a "b"', '"a \\"b\\""')],
)
def test_words_of_a_command_stay_themselves(word: str, written: str) -> None:
    """systemd expands % and $, and splits at spaces."""
    assert quoted(word) == written
