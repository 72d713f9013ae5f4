"""The group of commands: instant, complete, and helpful about slips."""

from __future__ import annotations

import io
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import __version__
from runtime.cli.group import COMMANDS, overview, run
from runtime.cli.paint import PLAIN, Paint

ROOT = Path(__file__).resolve().parents[3]


def said(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run(arguments, out, err), out.getvalue(), err.getvalue()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_command_with_a_line(arguments: tuple[str, ...]) -> None:
    """Asked for in any way, or not at all."""
    code, out, err = said(*arguments)
    assert (code, err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^  {command.name}\s+{re.escape(command.line)}$", out, re.M)


def test_the_version_is_told() -> None:
    """One line."""
    assert said("--version") == (0, f"hearth {__version__}\n", "")


@pytest.mark.parametrize(("typed", "meant"), [("stauts", "status"), ("clasify", "classify"), ("explian", "explain")])
def test_a_slip_suggests_the_nearest_command(typed: str, meant: str) -> None:
    """Exit code 2, on stderr."""
    code, out, err = said(typed)
    assert (code, out) == (2, "")
    assert f"did you mean `hearth {meant}`?" in err


def test_nonsense_points_to_the_help() -> None:
    """Neither a far-fetched guess nor a traceback."""
    code, _, err = said("zzzzzz")
    assert code == 2
    assert "`hearth --help` lists the commands" in err
    assert said("--nonsense")[0] == 2


def test_no_colour_where_there_is_no_terminal() -> None:
    """Text in a pipe is plain; on a terminal it is not."""
    assert "\x1b" not in said("--help")[1]
    assert "\x1b" in overview(Paint(True))
    assert "\x1b" not in overview(PLAIN)


def test_help_imports_no_command_and_is_instant() -> None:
    """Neither typer nor rich, httpx, pydantic or a command is there; the best of five runs takes below 0.3 s of a processor."""
    listing = (
        "import sys; from runtime.cli.group import run; run(['--help'], sys.stdout, sys.stderr); print(*sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert not loaded & {
        "typer",
        "rich",
        "httpx",
        "pydantic",
        "msgspec",
        "aiohttp",
        "runtime.compose.runtime",
        "runtime.cli.ask",
    }
    assert min(_seconds_of_help() for _ in range(5)) < 0.3


def _seconds_of_help() -> float:
    """Processor time, which other work on the machine hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "runtime.cli", "--help"], cwd=ROOT, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each module can be imported, is a command, and explains itself; `help NAME` is the same."""
    assert said(name, "--help")[0] == 0
    first = capsys.readouterr().out
    assert f"hearth {name}" in first
    assert said("help", name)[0] == 0
    assert capsys.readouterr().out == first


def test_every_command_is_documented_and_nothing_else_is() -> None:
    """docs/commands.md has one section per command of the table, in its order."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## hearth ([a-z]+)$", text, re.M)
    assert sections == [command.name for command in COMMANDS]


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_option_is_documented_and_every_documented_option_exists(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The section of a command in docs/commands.md and its help name the same options."""
    said(name, "--help")
    helped = capsys.readouterr().out
    if "\nCommands:" in helped:
        for inner in re.findall(r"^  ([a-z-]+)  ", helped.partition("\nCommands:")[2], re.M):
            said(name, inner, "--help")
            helped += capsys.readouterr().out
    real = set(re.findall(r"--[a-z][a-z-]+", _options_of(helped))) - {"--help"}
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    section = text.partition(f"## hearth {name}\n")[2].partition("\n## ")[0]
    written = set(re.findall(r"--[a-z][a-z-]+", "\n".join(re.findall(r"^\| `(-[^`]*)`", section, re.M))))
    assert written == real


def _options_of(helped: str) -> str:
    """The lines of a help that declare options, not those that mention them."""
    return "\n".join(line[:45].partition("   ")[0] for line in helped.splitlines() if re.match(r"^  (-\w, )?--", line))
