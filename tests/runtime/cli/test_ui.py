"""`hearth ui`: the address with the key behind the hash, and a browser that is not given it on its command line."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.cli import ui as command
from runtime.cli.exits import CommandError, Exit
from tests.runtime.cli.fake_runtime import as_json, fake_runtime


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was opened with."""
    seen: list[str] = []
    monkeypatch.setattr("webbrowser.open", seen.append)
    return seen


def port(url: str) -> str:
    return url.rpartition(":")[2]


def test_the_box_s_own_admin_key_is_behind_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is printed, and the browser gets a private file that leads there."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    (tmp_path / "admin.key").write_text("hearth-admin-x/y\n")
    with fake_runtime(lambda _: as_json({})) as runtime:
        config = tmp_path / "hearth.toml"
        config.write_text(f'[server]\nport = {port(runtime.url)}\npath_prefix = "/box"\n')
        command.ui(config=config)
        expected = f"http://127.0.0.1:{port(runtime.url)}/box/#key=hearth-admin-x%2Fy"
    assert capsys.readouterr().out.strip() == expected
    way = tmp_path / "ui.html"
    assert opened == [way.as_uri()] and expected in way.read_text()
    assert stat.S_IMODE(way.stat().st_mode) == 0o600 and "#" not in opened[0]


def test_a_configured_admin_key_goes_before_it_and_no_screen_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Over ssh the address alone is printed."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("ROOT_KEY", "configured")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "admin.key").write_text("hearth-admin-own\n")
    with fake_runtime(lambda _: as_json({})) as runtime:
        config = tmp_path / "hearth.toml"
        config.write_text(f'[server]\nport = {port(runtime.url)}\nadmin_keys = ["env:ROOT_KEY"]\n')
        command.ui(config=config)
    assert capsys.readouterr().out.strip().endswith("/#key=configured") and opened == []


def test_without_a_runtime_or_with_a_socket_it_says_so(tmp_path: Path, opened: list[str]) -> None:
    """Exit codes as of the other commands."""
    config = tmp_path / "hearth.toml"
    config.write_text("[server]\nport = 1\n")
    with pytest.raises(CommandError) as refused:
        command.ui(config=config)
    assert refused.value.exit is Exit.NO_RUNTIME
    config.write_text(f'[server]\nsocket = "{tmp_path}/h.sock"\n')
    with pytest.raises(CommandError, match="no browser opens") as refused:
        command.ui(config=config)
    assert refused.value.exit is Exit.USAGE and opened == []
