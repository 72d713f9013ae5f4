"""The group of commands: a table of names; a command's module is imported only when that command runs.

Knows the commands and one line about each, nothing of what they do or need. `hearth --help` needs only this.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple, TextIO

from runtime import __version__
from runtime.cli.exits import STOPPED, CommandError, Exit
from runtime.cli.paint import Paint, paint_for
from runtime.cli.streams import ClosedOutputError, Stdout, standard

PROGRAM = "hearth"
_LAUNCH = "runtime.cli.launch"  # the one module that imports typer


class CommandEntry(NamedTuple):
    """A command. module has `app` (a typer application) or a function of the command's name; line: its line in the help."""

    name: str
    module: str
    line: str


COMMANDS = (
    CommandEntry("serve", "runtime.cli.serve", "run the engine and the endpoint in the foreground; Ctrl-C drains"),
    CommandEntry("ask", "runtime.cli.ask", "ask a running runtime one question, and see who answered and why"),
    CommandEntry("explain", "runtime.cli.explain", "show where a prompt would go and why, without sending it"),
    CommandEntry(
        "classify", "runtime.cli.classify", "label a file's rows on the local engine; resumes where it stopped"
    ),
    CommandEntry("calibrate", "runtime.cli.calibrate", "find thresholds of score and confidence for your own traffic"),
    CommandEntry("replay", "runtime.cli.replay", "decide recorded requests again under other settings"),
    CommandEntry("eval", "runtime.cli.eval.command", "ask golden sets of every model, and see which gets worse"),
    CommandEntry("status", "runtime.cli.status", "show the engine, its load, the targets and the last decisions"),
    CommandEntry("ui", "runtime.cli.ui", "open the dashboard in a browser, signed in"),
    CommandEntry(
        "cost", "runtime.cli.cost", "show what requests cost, what they would have elsewhere, and each target's faults"
    ),
    CommandEntry("keys", "runtime.cli.keys", "create, list, rotate and revoke named keys with scopes and limits"),
    CommandEntry("audit", "runtime.cli.audit", "show where each answer was made, and prove that no record was changed"),
    CommandEntry("models", "runtime.cli.models", "list, fetch, size and remove the models this box could serve"),
    CommandEntry("engine", "runtime.cli.engine", "install, list and remove vLLM's own environments"),
    CommandEntry(
        "fleet", "runtime.cli.fleet", "show the other Hearths: who is alive, and what each says of its engine"
    ),
    CommandEntry("deploy", "runtime.cli.deploy.command", "write files for an existing Ray or Kubernetes cluster"),
    CommandEntry("service", "runtime.cli.service", "install and remove a systemd service of this installation"),
    CommandEntry("config", "runtime.cli.config", "write, check and show the settings"),
    CommandEntry("doctor", "runtime.cli.doctor", "check this box and say what to do about each fault"),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def main() -> None:
    """The console script."""
    out, err = standard()
    code = ended(sys.argv[1:], out, err)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to stop; the interpreter's end prints no traceback
    sys.exit(code)


def ended(arguments: Sequence[str], out: Stdout, err: TextIO) -> int:
    """`run`, and the exit code when the reader of stdout goes away or Ctrl-C comes, wherever the command is."""
    try:
        code = run(arguments, out, err)
        out.flush()
    except ClosedOutputError as fault:
        out.discard()
        if fault.reader_gone:
            return Exit.CLOSED
        err.write(f"{PROGRAM}: stdout cannot be written: {fault}\n")
        return Exit.FAILED
    except OSError as fault:
        # What a command foresees it says better itself; a full or read-only disk can strike anywhere.
        err.write(f"{PROGRAM}: {fault}\n")
        return Exit.FAILED
    except UnicodeEncodeError as fault:
        # Half a pair, from an argument or a file that this locale cannot decode.
        odd = fault.object[fault.start : fault.end]
        err.write(f"{PROGRAM}: {odd!r} is no text in {fault.encoding}: write UTF-8, and set LC_ALL=C.UTF-8\n")
        return Exit.USAGE
    except KeyboardInterrupt:
        err.write(f"{PROGRAM}: {STOPPED}\n")
        return Exit.INTERRUPTED
    return code


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
        command = _BY_NAME.get(first)
        if command is None:
            near = get_close_matches(first, _BY_NAME, n=1, cutoff=0.5)
            guess = f"did you mean `{PROGRAM} {near[0]}`?" if near else f"`{PROGRAM} --help` lists the commands"
            kind = "option" if first.startswith("-") else "command"
            raise CommandError(f"there is no {kind} `{first}`; {guess}", Exit.USAGE)
        try:
            module = importlib.import_module(command.module)
        except ImportError as fault:
            incomplete = f"cannot be loaded: {fault}; the installation is incomplete: install it again"
            raise CommandError(f"`{PROGRAM} {command.name}` {incomplete}") from fault
        target = getattr(module, "app", None) or getattr(module, command.name)
        launched: int = importlib.import_module(_LAUNCH).launch(target, f"{PROGRAM} {command.name}", arguments[1:])
    except CommandError as fault:
        err.write(f"{paint_for(err, os.environ)(f'{PROGRAM}:', 'red')} {fault}\n")
        return fault.exit
    return launched


def overview(paint: Paint) -> str:
    """The text of `hearth --help`."""
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
