"""The thread that posts, against a collector in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime.contract.guard import Cargo, DepartureRefused, Receiver, Way
from runtime.record.decisions import Decision
from runtime.record.metrics import Gauges, Metrics
from runtime.record.traces.collector import Collector
from runtime.record.traces.context import TraceIds
from runtime.record.traces.exporter import Exporter


@dataclass
class Receiving:
    """answers: statuses, in order, the last one for ever; 0 hangs up."""

    answers: list[int] = field(default_factory=lambda: [200])
    url: str = ""
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def decisions(self) -> list[str]:
        spans = [s for t in self.traces for r in t.resource_spans for scope in r.scope_spans for s in scope.spans]
        found = [a.value.string_value for s in spans for a in s.attributes if a.key == "hearth.decision.id"]
        return sorted(found)


@contextmanager
def receiving(*answers: int) -> Iterator[Receiving]:
    each = Receiving(list(answers) or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = each.answers.pop(0) if len(each.answers) > 1 else each.answers[0]
            if status == 200:
                each.headers = {name.lower(): value for name, value in self.headers.items()}
                if self.path.endswith("traces"):
                    each.traces.append(ExportTraceServiceRequest.FromString(body))
                else:
                    each.metrics.append(ExportMetricsServiceRequest.FromString(body))
            if status:
                self.send_response(status)
                self.send_header("retry-after", "0")
                self.send_header("content-length", "0")
                self.end_headers()
            self.close_connection = True
            each.came.release()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    each.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield each
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Open:
    """A guard that lets everything out, and keeps what it was asked."""

    def __init__(self, refuses: str = "") -> None:
        self.asked: list[tuple[Cargo | None, Receiver]] = []
        self._refuses = refuses

    def check(self, cargo: Cargo | None, to: Receiver) -> None:
        self.asked.append((cargo, to))
        if self._refuses:
            raise DepartureRefused(self._refuses)


def exporter(url: str, guard: Open | None = None, *, most: int = 100, metrics: bool = False) -> Exporter:
    counted = Metrics(lambda: Gauges(in_flight={"local/small": 1}), ["local/small"])
    to = Collector(
        f"{url}/v1/traces", f"{url}/v1/metrics" if metrics else "", {"authorization": "Bearer x"}, timeout_s=5.0
    )
    ids = TraceIds(b"s", 1.0)
    return Exporter(to, ids, "1", guard or Open(), counted.families, every_s=0.01, most=most)


def decision(number: int) -> Decision:
    return Decision(id=f"dec_{number:03}", at=1_800_000_000.0 + number, dialect="openai_chat", model="auto")


def test_each_request_arrives_once() -> None:
    """Also where the collector is busy at first, and what waits at the end; the guard is asked each time."""
    guard = Open()
    with receiving(503, 429, 200) as there:
        sent = exporter(there.url, guard, metrics=True)
        for number in range(70):
            sent.offer(decision(number))
        sent.start()
        for _ in range(3):
            assert there.came.acquire(timeout=20)
        sent.offer(decision(70))
        sent.close(20.0)
        assert there.decisions() == [f"dec_{number:03}" for number in range(71)]
        assert (sent.dropped, sent.trouble) == (0, None)
        assert (
            there.headers["authorization"] == "Bearer x" and there.headers["content-type"] == "application/x-protobuf"
        )
        assert len(there.metrics) == 1
    assert {cargo for cargo, _ in guard.asked} == {Cargo(Way.TELEMETRY)} and len(guard.asked) >= 4


@pytest.mark.parametrize("answer", [400, 0])
def test_a_collector_that_takes_nothing_costs_the_traces_alone(answer: int) -> None:
    with receiving(answer) as there:
        sent = exporter(there.url)
        sent.offer(decision(1))
        sent.start()
        assert there.came.acquire(timeout=20)
        sent.close(20.0)
    assert sent.dropped == 1 and "127.0.0.1" in str(sent.trouble)


def test_a_full_queue_drops_and_counts() -> None:
    """Without a thread nothing is taken out."""
    sent = exporter("http://127.0.0.1:1", most=2)
    for number in range(5):
        sent.offer(decision(number))
    assert sent.dropped == 3


def test_the_guard_may_refuse() -> None:
    with receiving() as there:
        sent = exporter(there.url, Open("not now"))
        sent.offer(decision(1))
        sent.start()
        sent.close(20.0)
        assert not there.traces
    assert (sent.dropped, sent.trouble) == (1, "telemetry: not now")
