"""A collector of OTLP in this process: it decodes what is posted with OpenTelemetry's own messages, and keeps it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Receiving:
    """answers: statuses, in order, the last one for ever; 0 hangs up."""

    answers: list[int] = field(default_factory=lambda: [200])
    url: str = ""
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def spans(self) -> list[Span]:
        return [s for t in self.traces for r in t.resource_spans for scope in r.scope_spans for s in scope.spans]

    def instruments(self) -> list[Metric]:
        return [m for e in self.metrics for r in e.resource_metrics for scope in r.scope_metrics for m in scope.metrics]

    def decisions(self) -> list[str]:
        found = [attributes(span.attributes).get("hearth.decision.id") for span in self.spans()]
        return sorted(filter(None, found))


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """The attributes as plain values."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


@contextmanager
def receiving(*answers: int) -> Iterator[Receiving]:
    each = Receiving(list(answers) or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
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
