"""The settings of the door as what it is built from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.compose import door
from runtime.compose.runtime import load_settings
from runtime.server import logs
from runtime.settings import Settings, SettingsError
from runtime.trust.admin_key import NAME
from runtime.trust.caller import Scope
from runtime.trust.key_store import KeyStore, KeyTerms
from runtime.wire.api_error import ApiError


def settings(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Settings:
    file = folder / "hearth.toml"
    file.write_text(text)
    return load_settings(file, {"HEARTH_STATE_DIR": str(folder), **(env or {})}).settings


def test_without_admin_keys_the_box_makes_its_own(tmp_path: Path) -> None:
    """It opens everything, and does not close the door to the others."""
    policy = door.access_policy(settings(tmp_path, ""), tmp_path)
    assert policy.keys.open
    key = (tmp_path / NAME).read_text().strip()
    assert policy.keys.admit({"x-api-key": key}).may(Scope.ADMIN)
    again = door.access_policy(settings(tmp_path, ""), tmp_path)
    assert again.keys.admit({"x-api-key": key}).may(Scope.ADMIN)


def test_configured_keys_and_names(tmp_path: Path) -> None:
    """Admin keys take the place of the box's own; hosts, origins, proxies and prefix reach the policy."""
    text = """[server]
keys = ["env:USER_KEY"]
admin_keys = ["env:ADMIN_KEY"]
hosts = ["box.example"]
cors = ["https://app.example"]
trusted_proxies = ["10.0.0.0/8", "unix"]
path_prefix = "/box"
"""
    policy = door.access_policy(
        settings(tmp_path, text, {"USER_KEY": "user-secret", "ADMIN_KEY": "admin-secret"}), tmp_path
    )
    assert not (tmp_path / NAME).exists() and not policy.keys.open
    assert not policy.keys.admit({"x-api-key": "user-secret"}).may(Scope.ADMIN)
    assert policy.keys.admit({"x-api-key": "admin-secret"}).may(Scope.ADMIN)
    policy.hosts.check("box.example:8000")
    with pytest.raises(ApiError):
        policy.hosts.check("evil.example")
    assert (
        policy.origins.check("https://app.example", "x")
        and policy.proxies.trusts("10.1.1.1")
        and policy.proxies.trusts(None)
    )
    assert policy.inside("/box/v1/models") == "/v1/models"


def test_a_folder_that_cannot_be_written_costs_the_admin_key_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The door opens all the same, and the log says what is missing."""
    policy = door.access_policy(settings(tmp_path, ""), tmp_path / "missing")
    assert policy.keys.open and "no admin key could be made" in caplog.text


def test_a_created_key_counts_for_listening_beyond_this_machine(tmp_path: Path) -> None:
    """Without one the address is refused; with one it is taken, and should the file then be lost, no door is open."""
    text = '[server]\nhost = "0.0.0.0"\n'
    with pytest.raises(SettingsError, match="lets other machines in"):
        settings(tmp_path, text)
    store = KeyStore(tmp_path, lambda: 0.0)
    store.create(KeyTerms(name="web"))
    made = settings(tmp_path, text)
    assert not door.access_policy(made, tmp_path).keys.open
    (tmp_path / "keys.sqlite3").unlink()
    policy = door.access_policy(made, tmp_path)
    assert not policy.keys.open and policy.keys.trouble


def test_limits_of_connections(tmp_path: Path) -> None:
    """Kilobytes become bytes; half of the connections may be idle, one at least."""
    text = "[server]\nmax_connections = 1\nmax_head_kb = 8\nhead_timeout = 3.0\nbody_timeout = 4.0\n"
    limits = door.connection_limits(settings(tmp_path, text))
    assert (limits.connections, limits.idle, limits.head_bytes, limits.head_s, limits.window_s) == (
        1,
        1,
        8192,
        3.0,
        4.0,
    )


def test_no_configured_secret_reaches_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys of the door, of the engine and of targets alike."""
    text = """[server]
keys = ["env:A"]
admin_keys = ["env:D"]
log_format = "json"
[engine]
url = ["http://127.0.0.1:1/v1"]
key = "env:B"
[targets.c]
provider = "openai"
model = "m"
key = "env:C"
[fleet]
key = "env:E"
"""
    env = {name: f"{name}-secret" for name in "ABCDE"}
    root, raises = logging.getLogger(), logging.raiseExceptions
    before = list(root.handlers)
    try:
        door.log(settings(tmp_path, text, env))
        logging.getLogger("library").warning("sent %s", " ".join(env.values()))
    finally:
        root.handlers[:], logging.raiseExceptions = before, raises
        root.setLevel(logging.WARNING)
        logging.getLogger(logs.OURS).setLevel(logging.NOTSET)
        logging.getLogger("hearth.access").setLevel(logging.NOTSET)
    shown = capsys.readouterr().err
    assert "sent *** *** *** *** ***" in shown and "secret" not in shown
