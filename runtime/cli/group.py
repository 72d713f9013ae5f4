"""The group of commands: a table of names, and a door that imports a command's module only when it is asked for.

Knows what commands there are and one line about each; nothing of what they do or need. `hearth --help` needs only this.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple, TextIO

from runtime import __version__
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, paint_for

PROGRAM = "hearth"
_LAUNCH = "runtime.cli.launch"  # the one module that imports typer


class Command(NamedTuple):
    """module has `app` (a typer application), or a function of the command's name. line: what `hearth --help` says."""

    name: str
    module: str
    line: str


COMMANDS = (
    Command("serve", "runtime.cli.serve", "run the engine and the endpoint in the foreground; Ctrl-C drains"),
    Command("ask", "runtime.cli.ask", "ask a running runtime one question, and see who answered and why"),
    Command("explain", "runtime.cli.explain", "show where a prompt would go and why, without sending it"),
    Command("classify", "runtime.cli.classify", "label a file's rows on the local engine; resumes where it stopped"),
    Command("status", "runtime.cli.status", "show the engine, its load, the targets and the last decisions"),
    Command("models", "runtime.cli.models", "list, fetch and size the models this box could serve"),
    Command("config", "runtime.cli.config", "write, check and show the settings"),
    Command("doctor", "runtime.cli.doctor", "check this box and say what to do about each fault"),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:], sys.stdout, sys.stderr))


def run(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Runs one command line and returns its exit code."""
    first = arguments[0] if arguments else "--help"
    if first == "help" and len(arguments) > 1:
        return run((arguments[1], "--help"), out, err)
    if first in ("--help", "-h", "help"):
        out.write(overview(paint_for(out, os.environ)))
        return Exit.OK
    if first in ("--version", "-V"):
        out.write(f"{PROGRAM} {__version__}\n")
        return Exit.OK
    try:
        return _launch(_find(first), arguments[1:])
    except CommandError as fault:
        err.write(f"{paint_for(err, os.environ)(f'{PROGRAM}:', 'red')} {fault}\n")
        return fault.exit


def overview(paint: Paint) -> str:
    """What `hearth --help` prints."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"  {paint(command.name.ljust(width), 'bold')}  {command.line}" for command in COMMANDS]
    return "\n".join(
        (
            f"Usage: {PROGRAM} COMMAND [OPTIONS]",
            "",
            "Serves a language model on this box and sends elsewhere only what the box cannot serve well or in time.",
            "",
            *lines,
            "",
            f"`{PROGRAM} COMMAND --help` shows a command's options; `{PROGRAM} --version` the version.",
            "",
        )
    )


def _find(name: str) -> Command:
    found = _BY_NAME.get(name)
    if found:
        return found
    near = get_close_matches(name, _BY_NAME, n=1, cutoff=0.5)
    guess = f"did you mean `{PROGRAM} {near[0]}`?" if near else f"`{PROGRAM} --help` lists the commands"
    kind = "option" if name.startswith("-") else "command"
    raise CommandError(f"there is no {kind} `{name}`; {guess}", Exit.USAGE)


def _launch(command: Command, arguments: Sequence[str]) -> int:
    module = _load(command)
    target = getattr(module, "app", None) or getattr(module, command.name)
    launched: int = importlib.import_module(_LAUNCH).launch(target, f"{PROGRAM} {command.name}", arguments)
    return launched


def _load(command: Command) -> object:
    try:
        return importlib.import_module(command.module)
    except ImportError as fault:
        words = (
            f"`{PROGRAM} {command.name}` cannot be loaded: {fault}; the installation is incomplete: install it again"
        )
        raise CommandError(words, Exit.FAILED) from fault
