"""`hearth status`: the report of a running runtime, once or repeatedly."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import msgspec
import typer

from runtime.cli.client import Address, address_of, answer_of, client, faults_in_words
from runtime.cli.follow import STATUS, FollowedRuntime
from runtime.cli.paint import Paint, paint_for
from runtime.cli.report import report_lines
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.cli.terminal import LiveScreen, keys, pressed, size_of
from runtime.cli.watch import WatchSize, WatchState, screen
from runtime.server.status import StatusReport
from runtime.settings.environment import environment

_VIEWS = {"d": "decisions", "l": "log"}
_TURN_S = 0.25  # the screen is drawn at most four times a second


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks, with --watch; a screen has one a second at most.")
    ] = 1.0,
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
    if watch and not as_json and sys.stdout.isatty() and env.get("TERM") != "dumb":
        _watch(address, paint, every)
        return
    with faults_in_words(address), client(address, read_s=10.0) as http:
        while True:
            sys.stdout.write(_shown(answer_of(http.get(STATUS), StatusReport), paint, as_json) + "\n")
            if not watch:
                return
            sys.stdout.flush()
            time.sleep(every)


def _shown(report: StatusReport, paint: Paint, as_json: bool) -> str:
    return msgspec.json.encode(report).decode() if as_json else "\n".join(report_lines(report, paint))


def _watch(address: Address, paint: Paint, every: float) -> None:
    """Redraws the screen until `q`: after a report, at most each `every` seconds, a key, or a change of the size."""
    followed, drawn = FollowedRuntime(address, every), LiveScreen()
    followed.start()
    state, due, size = WatchState(), 0.0, None
    report, predicted = followed.report, followed.predicted
    with keys(), drawn.shown():
        while followed.fault is None:
            moved = False
            if not state.paused and time.monotonic() >= due and followed.changed.is_set():
                followed.changed.clear()
                report, predicted = followed.report, followed.predicted
                state = state._replace(trouble=followed.trouble, log=followed.log)
                moved, due = True, time.monotonic() + every
            if moved or size != size_of():
                size = size_of()
                drawn.draw(screen(report, predicted, state, WatchSize(*size), paint))
            key = pressed(_TURN_S)
            if key == "q":
                return
            if key == "p":
                state, size = state._replace(paused=not state.paused), None
            elif key in _VIEWS:
                view = "overview" if state.view == _VIEWS[key] else _VIEWS[key]
                state, size, due = state._replace(view=view), None, 0.0
                followed.with_log = view == "log"
    raise followed.fault
