"""`hearth keys` on the state folder where no runtime runs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from runtime.cli.exits import CommandError, Exit
from runtime.cli.group import run
from runtime.cli.keys import seconds
from runtime.trust.key_store import KeyStore


def test_a_key_lives_and_ends_on_the_folder_where_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Created, listed without its secret, rotated under its id, and revoked once."""
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path))

    def keys(*arguments: str) -> tuple[int, str]:
        code = run(("keys", *arguments), io.StringIO(), io.StringIO())
        return code, capsys.readouterr().out

    code, out = keys("create", "web", "--scope", "generate", "--parallel", "3", "--expires", "30d", "--json")
    made = json.loads(out)
    assert code == Exit.OK and made["key"]["terms"]["parallel"] == 3 and made["key"]["terms"]["scopes"] == ["generate"]
    code, out = keys("list")
    assert made["key"]["id"] in out and "scopes generate, parallel 3" in out and made["secret"] not in out
    code, out = keys("rotate", "web", "--grace", "1h", "--json")
    assert json.loads(out)["key"]["id"] == made["key"]["id"] and json.loads(out)["secret"] != made["secret"]
    assert len(KeyStore(tmp_path, lambda: 0.0).admissions().by_digest) == 2
    assert keys("revoke", "web")[0] == Exit.OK and keys("revoke", "web")[0] == Exit.FAILED
    assert keys("create", "x", "--scope", "odd")[0] == Exit.USAGE


def test_a_length_of_time_is_read() -> None:
    """A number and a unit; anything else is an error."""
    assert [seconds(each) for each in ("90s", "10m", "12h", "30d")] == [90.0, 600.0, 43200.0, 2592000.0]
    for wrong in ("", "5", "-1h", "1w"):
        with pytest.raises(CommandError):
            seconds(wrong)
