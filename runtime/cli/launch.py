"""Runs one typer command. Imported only when a command is to run: typer itself takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.main import get_command

HELP = {"help_option_names": ["-h", "--help"]}


def launch(target: typer.Typer | Callable[..., Any], program: str, arguments: Sequence[str]) -> int:
    """Returns the exit code. Usage errors are told on stderr (2), Ctrl-C is 130; a CommandError goes to the caller."""
    command = get_command(target if isinstance(target, typer.Typer) else _application(target))
    _make_plain(command)
    try:
        command(args=list(arguments), prog_name=program)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _application(function: Callable[..., Any]) -> typer.Typer:
    application = typer.Typer(add_completion=False, context_settings=HELP)
    application.command()(function)
    return application


def _make_plain(command: Any) -> None:
    """One look for every command's help and errors, and none of them loads rich for it."""
    command.rich_markup_mode = None
    for inner in getattr(command, "commands", {}).values():
        _make_plain(inner)
