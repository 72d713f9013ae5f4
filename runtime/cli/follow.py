"""A running runtime, followed by its live events: a thread keeps the latest report, the line of predictions and the log.

Where there is no stream to be had (twenty readers look already, or a proxy refuses it), the report is asked for again and
again. A runtime that is away is waited for. Knows no terminal.
"""

from __future__ import annotations

import threading
import time
from http import HTTPStatus

import httpx
import msgspec

from runtime.cli.client import Address, answer_of, client, decoded, faults_in_words, refusal
from runtime.cli.exits import CommandError, Exit
from runtime.server.status import StatusReport
from runtime.settings.environment import API_KEY
from runtime.wire.sse import Events

STATUS = "/hearth/status"
_QUARTER = 180  # steps of a quarter of an hour
_MOST_LINES = 200
_READ_S = 20.0  # a quiet stream has a comment every 15 s
_AWAY = (Exit.NO_RUNTIME, Exit.CUT)
_NO_STREAM = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)  # neither will a report be given


class _Columns(msgspec.Struct):
    step_s: float
    series: dict[str, tuple[float | None, ...]]


class _LogTail(msgspec.Struct):
    data: tuple[str, ...]


class _LogFrame(msgspec.Struct):
    lines: tuple[str, ...]


class FollowedRuntime:
    """The values that the thread writes and others read; each is replaced whole, and `changed` is set after it.

    report: None until the first. predicted: times to a first token of the last quarter of an hour, ms, oldest first.
    log: the engine's last lines, while `with_log` is set. trouble: why all this is old; "" while it is not.
    fault: why it was given up. every_s: between two looks where there is no stream, and between two tries.
    """

    def __init__(self, address: Address, every_s: float) -> None:
        self.report: StatusReport | None = None
        self.predicted: tuple[float | None, ...] = ()
        self.log: tuple[str, ...] = ()
        self.with_log = False
        self.trouble = ""
        self.fault: CommandError | None = None
        self.changed = threading.Event()
        self._address, self._every_s = address, every_s
        self._step_s, self._stepped = 5.0, 0.0
        self._reading_log = False

    def start(self) -> None:
        """Begins the thread, which ends with the process. Raises CommandError for an address that cannot be used."""
        http = client(self._address, read_s=_READ_S)
        threading.Thread(target=self._run, args=(http,), name="follow", daemon=True).start()

    def _run(self, http: httpx.Client) -> None:
        while self.fault is None:
            try:
                with faults_in_words(self._address):
                    self._follow(http)
            except CommandError as fault:
                if fault.exit in _AWAY:
                    self.trouble = f"looking again: {fault}"
                else:
                    self.fault = fault
            except Exception as fault:  # noqa: BLE001 - a thread that dies in silence would leave an old screen standing
                self.fault = CommandError(f"the events cannot be read: {fault}", Exit.CUT)
            self.changed.set()
            if self.with_log is self._reading_log:
                time.sleep(self._every_s)

    def _follow(self, http: httpx.Client) -> None:
        """One stream, to its end or until the log is wanted or no more; one look where there is none. Raises CommandError."""
        self._reading_log = self.with_log
        readable = self._reading_log and self._read_log(http)
        with http.stream("GET", f"/hearth/events?topics=status{',log' if readable else ''}") as reply:
            if reply.status_code in _NO_STREAM:
                raise refusal(reply.status_code, reply.read())
            if reply.status_code != HTTPStatus.OK:
                self._heard(answer_of(http.get(STATUS), StatusReport))
                return
            self._read_series(http)
            events = Events()
            for piece in reply.iter_raw():
                for event in events.feed(piece):
                    if event.name == b"status" and event.data:
                        self._heard(decoded(event.data, StatusReport, reply.url))
                    elif event.name == b"log" and event.data:
                        self.log = (*self.log, *decoded(event.data, _LogFrame, reply.url).lines)[-_MOST_LINES:]
                        self.changed.set()
                if self.with_log is not self._reading_log:
                    return

    def _heard(self, report: StatusReport) -> None:
        now = time.monotonic()
        if now - self._stepped >= self._step_s:
            self._stepped = now
            self.predicted = (*self.predicted, report.load.predicted_ttft_ms)[-_QUARTER:]
        self.report, self.trouble = report, ""
        self.changed.set()

    def _read_series(self, http: httpx.Client) -> None:
        """The line so far. The reports that follow carry it on, and a runtime without the page begins it."""
        reply = http.get("/hearth/series")
        if reply.status_code == HTTPStatus.OK:
            found = decoded(reply.content, _Columns, reply.url)
            self.predicted = found.series.get("predicted_ttft_ms", ())[-_QUARTER:]
            self._step_s, self._stepped = found.step_s, time.monotonic()

    def _read_log(self, http: httpx.Client) -> bool:
        """True if the log may be read; else a sentence stands in its place."""
        reply = http.get(f"/hearth/log?limit={_MOST_LINES}")
        readable = reply.status_code == HTTPStatus.OK
        refused = (f"the log is shown to admins alone: put an admin key into {API_KEY}",)
        self.log = decoded(reply.content, _LogTail, reply.url).data if readable else refused
        self.changed.set()
        return readable
