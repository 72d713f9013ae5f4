"""Runs one typer command. Imported only when a command runs: importing typer takes a tenth of a second."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.main import get_command

from runtime.cli.exits import STOPPED, CommandError, Exit

HELP = {"help_option_names": ["-h", "--help"]}


def launch(target: typer.Typer | Callable[..., Any], program: str, arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code. Usage errors are printed on stderr (2); a CommandError is raised."""
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False, context_settings=HELP)
        target.command()(function)
    command = get_command(target)
    _prepare(command)
    try:
        command(args=list(arguments), prog_name=program)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _prepare(command: Any) -> None:
    """Gives every command one look, without loading rich for it, and one sentence for Ctrl-C."""
    command.rich_markup_mode = None
    if command.callback is not None:
        command.callback = _stoppable(command.callback)
    for inner in getattr(command, "commands", {}).values():
        _prepare(inner)


def _stoppable(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def stoppable(*arguments: Any, **options: Any) -> Any:
        try:
            return callback(*arguments, **options)
        except KeyboardInterrupt:
            raise CommandError(STOPPED, Exit.INTERRUPTED) from None

    return stoppable
