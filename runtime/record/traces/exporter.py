"""The way of traces and metrics to a collector: a bounded queue, and one thread that draws, encodes and posts.

A request pays for one append. The collector's faults cost traces, never a request: a full queue drops and counts, a refused
batch is tried again while its time lasts, and `trouble` has the last failure in words.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from prometheus_client.core import Metric

from runtime.contract.guard import Cargo, DepartureRefused, Guard, Receiver, Way
from runtime.record.decisions import Decision
from runtime.record.traces.collector import Collector
from runtime.record.traces.context import TraceIds
from runtime.record.traces.otlp import Encoder
from runtime.record.traces.spans import kept_for, spans_of
from runtime.wire.retry_after import retry_after

_CHUNK = 32  # requests per hold of the interpreter: two milliseconds
_BATCH = 512  # requests per post
_AGAIN = frozenset({429, 502, 503, 504})  # the statuses that OTLP lets a sender try again after
_LONGEST_WAIT_S = 30.0


class Exporter:
    """families: reads the counters, in this thread. version: of the program.

    every_s: between two looks at the queue; metrics_s: between two posts of metrics. most: requests that wait.
    """

    def __init__(
        self,
        to: Collector,
        ids: TraceIds,
        version: str,
        guard: Guard,
        families: Callable[[], Iterable[Metric]],
        *,
        every_s: float = 5.0,
        metrics_s: float = 60.0,
        most: int = 8192,
    ) -> None:
        self._to, self._ids, self._guard, self._families = to, ids, guard, families
        self._encoder = Encoder(to.resource, version, to.providers)
        self._every_s, self._metrics_s = every_s, metrics_s
        self._waiting: deque[Decision] = deque()
        self._most = most
        self.dropped = 0  # requests whose spans were lost
        self.trouble: str | None = None
        self._began_ns = time.time_ns()
        self._wake, self._closing = threading.Event(), False
        self._thread: threading.Thread | None = None

    def offer(self, decision: Decision) -> None:
        """Takes a settled request, from the event loop."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
        elif self._to.traces:
            self._waiting.append(decision)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Sends what is left, within the time, and ends the thread. Blocks."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # The thread

    def _run(self) -> None:
        measured = time.monotonic()
        with httpx.Client(timeout=self._to.timeout_s) as client:
            closing = False
            while not closing:
                self._wake.wait(self._every_s)
                closing = self._closing
                try:
                    self._send_traces(client)
                    if self._to.metrics and (closing or time.monotonic() - measured >= self._metrics_s):
                        measured = time.monotonic()
                        body = self._encoder.metrics_request(self._families(), self._began_ns, time.time_ns())
                        self._post(client, self._to.metrics, body)
                except Exception as fault:  # noqa: BLE001 - no fault of telemetry ends telemetry
                    self.trouble = f"telemetry: {type(fault).__name__}: {fault}"[:300]

    def _send_traces(self, client: httpx.Client) -> None:
        while self._waiting:
            parts, requests = [], 0
            while self._waiting and requests < _BATCH:
                taken = [self._waiting.popleft() for _ in range(min(_CHUNK, len(self._waiting)))]
                spans = []
                for decision in taken:
                    context = self._ids.context(decision.id, decision.trace)
                    if why := kept_for(decision, context, self._to.slow_ms):
                        requests += 1
                        spans += spans_of(decision, context, why, self._to.providers)
                if spans:
                    parts.append(self._encoder.spans(spans))
                time.sleep(0)
            if parts and not self._post(client, self._to.traces, b"".join(parts)):
                self.dropped += requests

    def _post(self, client: httpx.Client, url: str, body: bytes) -> bool:
        """False if the collector did not take it. Tries again for as long as one time-out lasts."""
        until, pause = time.monotonic() + self._to.timeout_s, 1.0
        at = urlsplit(url)
        while True:
            try:
                self._guard.check(Cargo(Way.TELEMETRY), Receiver(at.hostname or url, f"{at.scheme}://{at.netloc}"))
                headers = {"content-type": "application/x-protobuf", **self._to.headers}
                answer = client.post(url, content=body, headers=headers)
                if answer.is_success:
                    self.trouble = None
                    return True
                self.trouble = f"telemetry: {at.netloc} answered {answer.status_code}"
                if answer.status_code not in _AGAIN:
                    return False
                pause = retry_after(answer.headers, lambda: datetime.now(UTC)) or pause
            except DepartureRefused as refused:
                self.trouble = f"telemetry: {refused}"
                return False
            except httpx.HTTPError as fault:
                self.trouble = f"telemetry: {at.netloc} cannot be reached ({type(fault).__name__})"
            if self._closing or time.monotonic() + pause > until:
                return False
            self._wake.wait(pause)
            pause = min(_LONGEST_WAIT_S, pause * 2)
