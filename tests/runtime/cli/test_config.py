"""`hearth config`, as it is typed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runtime.cli.config import app
from runtime.cli.exits import CommandError, Exit

SECRET = "sk-live-0123456789"
FILE = """\
[server]
port = 9000

[escalation]
complexity = 0.5

[targets.cloud]
provider = "openai"
model = "big"
key = "env:MY_KEY"

[targets.other]
provider = "openai"
model = "small"
key = "env:NO_KEY"
"""


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and a user without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MY_KEY", SECRET)
    for name in ("XDG_CONFIG_HOME", "HEARTH_ENGINE_PYTHON"):
        monkeypatch.delenv(name, raising=False)


def hearth_config(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_init_writes_a_file_that_check_accepts() -> None:
    """Two commands from nothing to a checked file."""
    assert "hearth.toml written" in hearth_config("init").output
    assert hearth_config("check").output.endswith("hearth.toml: fine\n")


def test_init_makes_the_folder_and_keeps_what_is_there(tmp_path: Path) -> None:
    """Only --force writes over a file."""
    path = tmp_path / "a/b/mine.toml"
    assert hearth_config("init", str(path)).exit_code == 0
    path.write_text("# mine")
    refused = hearth_config("init", str(path)).exception
    assert isinstance(refused, CommandError)
    assert "is there already" in str(refused)
    assert path.read_text() == "# mine"
    assert hearth_config("init", str(path), "--force").exit_code == 0
    assert tomllib.loads(path.read_text()).keys() >= {"server", "engine"}


def test_init_says_why_it_cannot_write(tmp_path: Path) -> None:
    """In the system's words."""
    refused = hearth_config("init", "/dev/null/hearth.toml").exception
    assert isinstance(refused, CommandError)
    assert "cannot be written: " in str(refused)


def test_check_without_a_file_checks_the_environment() -> None:
    """The defaults are fine, and it says that there is no file."""
    result = hearth_config("check")
    assert result.exit_code == 0
    assert result.stdout == "no file: every setting is a default, or from the environment: fine\n"


def test_check_tells_every_problem_and_fails(tmp_path: Path) -> None:
    """On the error stream, one a line."""
    (tmp_path / "hearth.toml").write_text("[server]\nprot = 1\nhost = 2")
    result = hearth_config("check")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert [line.split("hearth.toml", 1)[1] for line in result.stderr.splitlines()] == [
        ':2:1: server.prot: unknown key; did you mean "port"?',
        ":3:1: server.host: must be text in quotes, not 2",
    ]


@pytest.mark.parametrize("command", ["check", "show"])
def test_the_path_may_stand_alone(command: str, tmp_path: Path) -> None:
    """With or without --config, and not both."""
    (tmp_path / "mine.toml").write_text("[server]\nport = 1234\n")
    alone, named = hearth_config(command, "mine.toml"), hearth_config(command, "--config", "mine.toml")
    assert alone.output == named.output
    assert "mine.toml" in alone.output
    both = hearth_config(command, "mine.toml", "--config", "other.toml").exception
    assert isinstance(both, CommandError)
    assert both.exit is Exit.USAGE


def test_check_notes_what_has_no_effect(tmp_path: Path) -> None:
    """Targets that are absent, and keys that are not in force, are no faults."""
    (tmp_path / "mine.toml").write_text(FILE)
    result = hearth_config("check", "--config", "mine.toml")
    assert result.exit_code == 0
    assert result.stdout == "mine.toml: fine\n"
    assert "note: targets.other is not used: its key env:NO_KEY holds no value" in result.stderr


def test_check_answers_programs(tmp_path: Path) -> None:
    """One JSON object, whichever way it goes."""
    (tmp_path / "good.toml").write_text(FILE)
    good = json.loads(hearth_config("check", "--json", "--config", "good.toml").stdout)
    assert (good["ok"], good["problems"], good["file"]) == (True, [], "good.toml")
    assert good["absent"] == {"other": "its key env:NO_KEY holds no value"}
    (tmp_path / "bad.toml").write_text("[server]\nprot = 1")
    result = hearth_config("check", "--json", "--config", "bad.toml")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "source": "bad.toml",
                "key": "server.prot",
                "message": 'unknown key; did you mean "port"?',
                "line": 2,
                "column": 1,
            }
        ],
    }


def test_show_says_where_each_value_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file with its line, a variable, or the default; secrets by reference, with whether they hold something."""
    (tmp_path / "hearth.toml").write_text(FILE)
    monkeypatch.setenv("HEARTH_SERVER__DRAIN", "5")
    lines = {line.split(" = ")[0]: line for line in hearth_config("show").stdout.splitlines()}
    assert lines["server.port"].split() == ["server.port", "=", "9000", "#", "hearth.toml:2"]
    assert lines["server.drain"].endswith("# HEARTH_SERVER__DRAIN")
    assert lines["server.host"].endswith("# default")
    assert lines["targets.cloud.key"].endswith("# hearth.toml:10, has a value")
    assert lines["targets.other.key"].endswith("# hearth.toml:15, empty")


def test_what_show_prints_is_toml_that_means_the_same(tmp_path: Path) -> None:
    """It can be kept as a file."""
    (tmp_path / "hearth.toml").write_text(FILE)
    printed = hearth_config("show").stdout
    (tmp_path / "printed.toml").write_text(printed)
    assert hearth_config("show", "--json", "--config", "printed.toml").exit_code == 0
    again = json.loads(hearth_config("show", "--json", "--config", "printed.toml").stdout)["settings"]
    assert again == json.loads(hearth_config("show", "--json").stdout)["settings"]


def test_show_answers_programs_without_secrets(tmp_path: Path) -> None:
    """References, sources and remarks."""
    (tmp_path / "hearth.toml").write_text(FILE)
    result = hearth_config("show", "--json")
    shown = json.loads(result.stdout)
    assert shown["settings"]["targets"]["cloud"]["key"] == "env:MY_KEY"
    assert shown["sources"]["server.port"] == "hearth.toml:2"
    assert shown["sources"]["engine.model"] == "default"
    assert SECRET not in result.output + hearth_config("show").output


def test_show_refuses_settings_that_cannot_be_used(tmp_path: Path) -> None:
    """With the problems, and the exit code of bad settings."""
    (tmp_path / "hearth.toml").write_text("port = 1")
    result = hearth_config("show")
    assert result.exit_code == Exit.SETTINGS
    assert "it belongs in [server]" in result.stderr


def test_nothing_is_coloured_in_a_pipe(tmp_path: Path) -> None:
    """Escape sequences are for terminals."""
    (tmp_path / "hearth.toml").write_text(FILE)
    assert "\x1b" not in hearth_config("show").output


@pytest.mark.parametrize("command", ["init", "check", "show"])
def test_help_has_examples(command: str) -> None:
    """One that can be copied."""
    assert f"hearth config {command}" in hearth_config(command, "--help").output
