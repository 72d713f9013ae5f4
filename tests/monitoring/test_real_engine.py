"""A real vLLM, seen from outside: its spans hang below Hearth's, and every panel about its own series has data."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runtime.record.traces import names
from runtime.record.traces.context import PARENT
from scripts.bench.processes import Running, free_port
from scripts.dashboards.__main__ import MADE
from tests.engine.serving import Serving, cloud
from tests.fakes.collector import attributes
from tests.monitoring.test_collector import ABOVE, TRACE, collecting, listens
from tests.monitoring.test_dashboards import panels
from tests.monitoring.test_scrape import Scraped, filled, lacking
from tests.packaging.test_image import until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]


@contextlib.contextmanager
def reachable(engine: str) -> Iterator[int]:
    """The port on which a Prometheus reaches the metrics of an engine behind a Unix socket."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with httpx.Client(transport=httpx.HTTPTransport(uds=engine), base_url="http://engine") as client:
                answer = client.get("/metrics")
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def scraping(program: str, folder: Path, engine: int) -> Iterator[Scraped]:
    """A Prometheus that scrapes the engine twice a second."""
    port = free_port()
    job = {"job_name": "vllm", "static_configs": [{"targets": [f"127.0.0.1:{engine}"]}]}
    (folder / "prometheus.yml").write_text(
        json.dumps({"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]})
    )
    where = (f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={folder / 'tsdb'}")
    with Running((program, f"--config.file={folder / 'prometheus.yml'}", *where), folder / "prometheus.log"):
        until(lambda: listens(port))
        yield Scraped(0, port)


def of_engine(spans: Iterable[Span]) -> list[Span]:
    """vLLM's own of the client's trace. Those of another are Hearth's questions: canaries, and the one before it is ready."""
    return [each for each in spans if each.name == "llm_request" and each.trace_id.hex() == TRACE]


def test_a_real_engine_is_seen(rotel: str, prometheus: str, tmp_path: Path) -> None:
    """One engine, one collector: a client's span, Hearth's two, and vLLM's below them. Its own series fill their panels."""
    queries = [target["expr"] for name in MADE for panel in panels(name) for target in panel["targets"]]
    queries = [filled(query) for query in queries if "vllm:" in query]
    with contextlib.ExitStack() as stack:
        cloud_port = stack.enter_context(cloud())
        between = stack.enter_context(collecting(rotel, tmp_path))
        more = f'[telemetry]\nendpoint = "{between.url}"\nsampled = 1.0\n'
        args = ("--max-num-seqs", "2", "--otlp-traces-endpoint", between.grpc)
        serving = Serving(tmp_path, cloud_port, args=args, more=more)
        stack.callback(serving.end)
        serving.wait_ready()
        serving.http.headers[PARENT] = f"00-{TRACE}-{ABOVE}-01"
        answers = [serving.chat(model="local")]
        address = serving.replica["address"]
        with reachable(address) as engine, scraping(prometheus, tmp_path, engine) as scraped:

            def nothing_lacks() -> bool:
                answers.append(serving.chat(model="local", stream=True))
                return not any(lacking(scraped, query) for query in queries)

            until(nothing_lacks, 120)
        assert len(queries) >= 8 and all(answer.status_code == 200 for answer in answers)
        until(lambda: len(of_engine(between.behind.spans())) >= len(answers))  # which vLLM gathers for five seconds
        assert serving.stop() == 0
        asked = {answer.headers["x-hearth-decision"] for answer in answers}
        until(lambda: set(between.behind.decisions()) >= asked)
        spans = between.behind.spans()
    by_id = {each.span_id: each for each in spans}
    theirs = of_engine(spans)
    assert len(theirs) == len(answers)
    print(f"vLLM's own: {attributes(theirs[0].attributes)}")
    for each in theirs:
        exchange = by_id[each.parent_span_id]
        request = by_id[exchange.parent_span_id]
        assert request.parent_span_id.hex() == ABOVE
        assert attributes(exchange.attributes)[names.PROVIDER] == "vllm"
        assert attributes(request.attributes)[names.DECISION] in asked
