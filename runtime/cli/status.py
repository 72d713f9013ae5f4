"""`hearth status`: the report of a running runtime, once or repeatedly."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import httpx
import msgspec
import typer

from runtime.cli.client import Address, address_of, answer_of, client, faults_in_words
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, paint_for
from runtime.cli.report import report_lines
from runtime.cli.settings_file import ConfigOption, FilePath, settings_file
from runtime.cli.terminal import LiveScreen, keys, pressed, size_of
from runtime.cli.watch import WatchSize, WatchState, screen
from runtime.server.status import StatusReport
from runtime.settings.environment import API_KEY, environment

_PATH = "/hearth/status"
_VIEWS = {"d": "decisions", "l": "log"}
_QUARTER = 180  # steps of five seconds


class _Series(msgspec.Struct):
    series: dict[str, tuple[float | None, ...]]


class _Lines(msgspec.Struct):
    data: tuple[str, ...]


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
        elif as_json or not sys.stdout.isatty() or env.get("TERM") == "dumb":
            while True:
                sys.stdout.write(_shown(fetch(http), paint, as_json) + "\n")
                sys.stdout.flush()
                time.sleep(every)
        else:
            drawn = LiveScreen()
            with keys(), drawn.shown():
                _watch(http, address, drawn, paint, every)


def fetch(http: httpx.Client) -> StatusReport:
    return answer_of(http.get(_PATH), StatusReport)


def _shown(report: StatusReport, paint: Paint, as_json: bool) -> str:
    return msgspec.json.encode(report).decode() if as_json else "\n".join(report_lines(report, paint))


def _watch(http: httpx.Client, address: Address, drawn: LiveScreen, paint: Paint, every: float) -> None:
    """Redraws the screen until `q`: after each look, each key, and each change of the terminal's size."""
    report: StatusReport | None = None
    predicted: Sequence[float | None] = ()
    state, due = WatchState(), 0.0
    while True:
        if not state.paused and time.monotonic() >= due:
            due = time.monotonic() + every
            try:
                with faults_in_words(address):
                    report = fetch(http)
                    predicted = _series(http)
                    state = state._replace(trouble="", log=_log(http) if state.view == "log" else ())
            except CommandError as fault:
                if fault.exit is not Exit.NO_RUNTIME:
                    raise
                state = state._replace(trouble=f"{fault}; looking again")
        drawn.draw(screen(report, predicted, state, WatchSize(*size_of()), paint))
        key = pressed(max(0.05, min(0.25, due - time.monotonic())) if not state.paused else 0.25)
        if key == "q":
            return
        if key == "p":
            state = state._replace(paused=not state.paused)
        elif key in _VIEWS:
            view = _VIEWS[key]
            state, due = state._replace(view="overview" if state.view == view else view), 0.0


def _series(http: httpx.Client) -> Sequence[float | None]:
    """The predicted times to a first token of the last quarter of an hour; none where a runtime does not have them."""
    reply = http.get("/hearth/series")
    if reply.status_code != HTTPStatus.OK:
        return ()
    return msgspec.json.decode(reply.content, type=_Series).series.get("predicted_ttft_ms", ())[-_QUARTER:]


def _log(http: httpx.Client) -> Sequence[str]:
    reply = http.get("/hearth/log?limit=200")
    if reply.status_code != HTTPStatus.OK:
        return (f"the log is shown to admins alone: put an admin key into {API_KEY}",)
    return msgspec.json.decode(reply.content, type=_Lines).data
