"""docs/reference/commands.md: every command with its arguments and options, as its help shows them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import typer
import typer.main

from runtime.cli.group import COMMANDS, PROGRAM, CommandEntry

_HEAD = """\
# Every command

<!-- Written by `python -m scripts.docs` from the commands themselves. Change them there. -->

What they do together, their exit codes and their environment: [commands](../commands.md).
"""


def page() -> str:
    return "\n".join([_HEAD, *(line for entry in COMMANDS for line in _section(entry))]).rstrip() + "\n"


def _section(entry: CommandEntry) -> Iterator[str]:
    module: Any = importlib.import_module(entry.module)
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command()(getattr(module, entry.name))
    yield from _lines(typer.main.get_command(app), f"{PROGRAM} {entry.name}", 2)


def _lines(command: Any, name: str, level: int) -> Iterator[str]:
    context = command.context_class(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"{'#' * level} {name}", "", f"`{name} {usage}`".replace(" `", "`"), "")
    if command.help:
        yield from (inspect.cleandoc(command.help).replace("\b\n", ""), "")
    rows = [row for each in command.params if not getattr(each, "hidden", False) and (row := _row(each))]
    if rows:
        yield from ("| argument or option | meaning |", "| --- | --- |", *rows, "")
    for sub, each in getattr(command, "commands", {}).items():
        yield from _lines(each, f"{name} {sub}", level + 1)


def _row(parameter: Any) -> str:
    words = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    if "--help" in names:
        return ""
    if parameter.param_type_name == "argument":
        names = str(parameter.name).upper()
    default = parameter.default
    told = (
        default is not None and not callable(default) and default is not False and "UNSET" not in str(default).upper()
    )
    shown = f" (default: `{getattr(default, 'value', default)}`)" if told and str(default) else ""
    return f"| `{names}` | {words}{shown} |"
