"""`hearth status`: the report of a running runtime, once or repeatedly."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import httpx
import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from runtime.cli.client import Address, address_of, answer_of, client, faults_in_words
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, paint_for
from runtime.cli.report import report_lines
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.server.status import StatusReport
from runtime.settings.environment import environment

_PATH = "/hearth/status"


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks, with --watch.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as JSON; with --watch one line per look.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="Where the runtime is; else as the settings say.")] = None,
    path: FilePath = None,
    config: ConfigOption = None,
) -> None:
    """Show the engine, its load, the GPUs, the targets and the last decisions of a running runtime."""
    env = environment()
    address = address_of(url, settings_file(path, config), env)
    paint = paint_for(sys.stdout, env)
    with faults_in_words(address), client(address, read_s=10.0) as http:
        if not watch:
            sys.stdout.write(_shown(fetch(http), paint, as_json) + "\n")
        elif as_json or not sys.stdout.isatty():
            while True:
                sys.stdout.write(_shown(fetch(http), paint, as_json) + "\n")
                sys.stdout.flush()
                time.sleep(every)
        else:
            console = Console(no_color=not paint.colour, highlight=False)
            with Live(console=console, auto_refresh=False, screen=True) as screen:
                while True:
                    screen.update(Text.from_ansi(_look(http, address, paint)), refresh=True)
                    time.sleep(every)


def fetch(http: httpx.Client) -> StatusReport:
    return answer_of(http.get(_PATH), StatusReport)


def _shown(report: StatusReport, paint: Paint, as_json: bool) -> str:
    return msgspec.json.encode(report).decode() if as_json else "\n".join(report_lines(report, paint))


def _look(http: httpx.Client, address: Address, paint: Paint) -> str:
    """The report, or a sentence while there is none: a watch goes on until the runtime is back."""
    try:
        with faults_in_words(address):
            return _shown(fetch(http), paint, as_json=False)
    except CommandError as fault:
        if fault.exit is not Exit.NO_RUNTIME:
            raise
        return paint(f"{fault}; looking again", "yellow")
