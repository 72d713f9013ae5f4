"""A real collector takes what Hearth sends by OTLP and hands it on: every span with its parent, every counter.

Rotel decodes OTLP with types of its own, in Rust, gathers what came, and encodes it again; what it hands on is read here.
The engine and the clouds are stand-ins.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runtime.record.metrics import Gauges, Metrics
from runtime.record.traces import names
from runtime.record.traces.context import PARENT, TraceIds
from runtime.record.traces.otlp import Encoder
from runtime.record.traces.spans import spans_of
from scripts.bench.processes import Running, free_port
from tests.fakes.collector import Receiving, attributes, receiving
from tests.monitoring.test_scrape import SETTINGS
from tests.packaging.test_image import until
from tests.runtime.record.traces.test_spans import DECISION

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]
TRACE, ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROVIDERS = {"far": "far.away"}


class Between(NamedTuple):
    """The collector's addresses, of HTTP and of gRPC, and what it hands on."""

    url: str
    grpc: str
    behind: Receiving


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def collecting(program: str, folder: Path) -> Iterator[Between]:
    """A running collector."""
    port, grpc = free_port(), free_port()
    with receiving() as behind:
        takes = ("--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}")
        hands_on = ("--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", behind.url)
        files = ("--pid-file", str(folder / "pid"), "--log-file", str(folder / "rotel.log"))
        command = (program, "start", *takes, *hands_on, *files)
        with Running(command, folder / "collector.log"):
            until(lambda: listens(port))
            yield Between(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{grpc}", behind)


def test_what_comes_out_is_what_went_in(rotel: str, tmp_path: Path) -> None:
    """Two hundred requests, and the counters of one: nothing is dropped, added or changed on the way."""
    encoder, ids = Encoder({"service.name": "hearth"}, "1", PROVIDERS), TraceIds(b"s", 1.0)
    decisions = [(f"dec_{number}", f"00-{TRACE}-{ABOVE}-01" if number % 2 else "") for number in range(200)]
    made = [
        each for name, above in decisions for each in spans_of(DECISION, ids.context(name, above), "ratio", PROVIDERS)
    ]
    # In two parts, as the exporter joins those of its chunks.
    body = encoder.spans(made[:100]) + encoder.spans(made[100:])
    counted = Metrics(lambda: Gauges(in_flight={"local/small": 2}), ["local/small", "far/large/one"])
    counted.settled(DECISION)
    sums = encoder.metrics_request(counted.families(), 5_000_000_000, 9_000_000_000)
    with collecting(rotel, tmp_path) as (url, _, behind), httpx.Client() as client:
        for path, content in (("traces", body), ("metrics", sums)):
            answer = client.post(
                f"{url}/v1/{path}", content=content, headers={"content-type": "application/x-protobuf"}, timeout=30
            )
            assert answer.status_code == 200, answer.text
        until(lambda: len(behind.spans()) >= len(made) and bool(behind.metrics))
        posted = ExportTraceServiceRequest.FromString(body).resource_spans
        assert in_order(behind.spans()) == in_order([span for each in posted for span in each.scope_spans[0].spans])
        sent = ExportMetricsServiceRequest.FromString(sums).resource_metrics[0].scope_metrics[0]
        assert in_order(behind.instruments()) == in_order(sent.metrics)
        (resource,) = {each.resource.SerializeToString() for each in behind.traces[0].resource_spans}
        assert resource == Encoder({"service.name": "hearth"}, "1")._resource.SerializeToString()
        scopes = {(each.scope.name, each.schema_url) for each in behind.traces[0].resource_spans[0].scope_spans}
        assert scopes == {(names.SCOPE, names.SCHEMA_URL)}


def in_order(messages: Any) -> list[bytes]:
    return sorted(each.SerializeToString(deterministic=True) for each in messages)


class Collected(NamedTuple):
    """rows: the decisions by id. engine, cloud: `traceparent` of each request that the two stand-ins got, "" for none."""

    rows: dict[str, dict[str, Any]]
    spans: list[Span]
    instruments: dict[str, Metric]
    engine: list[str]
    cloud: list[str]


def ask(port: int, path: str, body: object = None, **headers: str) -> Any:
    """The answer's JSON, None where it is no JSON; what is refused or cut is no fault here."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json", **headers}
    )
    with contextlib.suppress(urllib.error.HTTPError, OSError, ValueError), urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())
    return None


def ready(hearth: int) -> bool:
    """True if the engine answers, and not the clouds alone."""
    status = ask(hearth, "/hearth/status")
    return status is not None and status["engine"]["replicas"][0]["state"] == "ready"


def load(hearth: int, engine: int) -> None:
    """Answers and streams of the engine, a client's trace, a fallback, a cut stream, a dropped parameter, a refusal."""

    def chat(model: str, *, stream: bool = False, headers: dict[str, str] | None = None, **more: object) -> None:
        messages = [{"role": "user", "content": "Are you there?"}]
        body = {"model": model, "messages": messages, "stream": stream, **more}
        ask(hearth, "/v1/chat/completions", body, **(headers or {}))

    traced = {PARENT: f"00-{TRACE}-{ABOVE}-01", "tracestate": "vendor=1"}
    chat("auto")
    chat("auto", stream=True, headers=traced)
    chat("steady", stream=True, headers=traced)
    chat("cutting", stream=True)
    chat("claude", seed=7)
    chat("nobody/knows")
    failing = {"status": 500, "body": {"error": {"message": "no"}}, "headers": {}, "times": 2}
    ask(engine, "/_fake/script", {"answers": {"/v1/chat/completions": failing}})
    chat("auto")


@pytest.fixture(scope="module")
def collected(rotel: str, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """What the collector hands on of a Hearth's short life."""
    folder = tmp_path_factory.mktemp("collected")
    ports = {name: free_port() for name in ("hearth", "engine", "steady", "cutting")}
    (folder / "hearth.toml").write_text(SETTINGS.format(**ports))
    with collecting(rotel, folder) as (url, _, behind), contextlib.ExitStack() as stack:

        def run(name: str, *command: str, **env: str) -> Running:
            return stack.enter_context(Running((sys.executable, "-m", *command), folder / f"{name}.log", env))

        for name, script in (("engine", {}), ("cutting", {"cut_after": 3})):
            at = ("--port", str(ports[name]), "--model", name, "--script", json.dumps(script))
            run(name, "tests.fakes.fake_vllm", *at)
        run("steady", "scripts.bench.stub", "--port", str(ports["steady"]), "--chunks", "8")
        until(lambda: all(listens(ports[name]) for name in ("engine", "cutting", "steady")))
        env = {"HEARTH_STATE_DIR": str(folder / "state"), "OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
        env |= {"HEARTH_TELEMETRY__ENDPOINT": url, "HEARTH_TELEMETRY__SAMPLED": "1"}
        hearth = run("hearth", "runtime.cli", "serve", "--config", str(folder / "hearth.toml"), **env)
        until(lambda: ready(ports["hearth"]))
        load(ports["hearth"], ports["engine"])
        listed = ask(ports["hearth"], "/hearth/decisions?limit=100")["data"]
        rows = {each["id"]: ask(ports["hearth"], f"/hearth/decisions/{each['id']}") for each in listed}
        seen = {name: ask(ports[name], "/_fake/state")["asked"] for name in ("engine", "cutting")}
        hearth.end()  # which sends what waits, and the counters
        until(lambda: set(behind.decisions()) >= set(rows) and bool(behind.metrics))
        parents = {
            name: [each["headers"].get(PARENT, "") for each in asked if each["path"] == "/v1/chat/completions"]
            for name, asked in seen.items()
        }
        instruments = {each.name: each for each in behind.instruments()}
        return Collected(rows, behind.spans(), instruments, parents["engine"], parents["cutting"])


def test_every_request_arrives_once_with_all_its_exchanges(collected: Collected) -> None:
    """One span for each decision, one below it for each attempt, in the same trace, within its parent's time."""
    requests = [each for each in collected.spans if each.kind == Span.SPAN_KIND_SERVER]
    servers = {attributes(each.attributes)[names.DECISION]: each for each in requests}
    assert len(requests) == len(servers) and set(servers) == set(collected.rows) and len(servers) == 7
    assert len({each.span_id for each in collected.spans}) == len(collected.spans)
    for name, row in collected.rows.items():
        server = servers[name]
        below = [each for each in collected.spans if each.parent_span_id == server.span_id]
        assert [each.trace_id for each in below] == [server.trace_id] * len(row["attempts"])
        assert all(server.start_time_unix_nano <= each.start_time_unix_nano for each in below)
        assert all(each.end_time_unix_nano <= server.end_time_unix_nano for each in below)
        told = attributes(server.attributes)
        assert (told[names.HTTP_STATUS], told[names.REASON]) == (row["status"], row["reason"])
        tokens = sorted((each["prompt_tokens"], each["completion_tokens"]) for each in row["attempts"])
        assert tokens == sorted(
            (found.get(names.INPUT_TOKENS, 0), found.get(names.OUTPUT_TOKENS, 0))
            for found in (attributes(each.attributes) for each in below)
        )
    assert sum(len(row["attempts"]) for row in collected.rows.values()) + len(servers) == len(collected.spans)


def test_names_are_those_of_the_conventions_and_stand_on_exchanges_alone(collected: Collected) -> None:
    """What each must have; what failed has its type and the error's status."""
    seen = set()
    for span in collected.spans:
        found = attributes(span.attributes)
        if span.kind == Span.SPAN_KIND_SERVER:
            assert not any(name.startswith("gen_ai.") for name in found)
            assert {names.HTTP_METHOD, names.URL_PATH, names.URL_SCHEME, names.HTTP_ROUTE} <= set(found)
            continue
        assert span.kind == Span.SPAN_KIND_CLIENT and span.name == f"chat {found[names.REQUEST_MODEL]}"
        assert (span.status.code == span.status.STATUS_CODE_ERROR) is (names.ERROR in found)
        seen.add((found[names.PROVIDER], found.get(names.ERROR)))
    assert seen >= {("vllm", None), ("openai", None), ("openai", "broken_stream"), ("anthropic", None)}
    assert any(provider == "vllm" and failed for provider, failed in seen)


def test_a_client_s_trace_goes_on_to_the_engine_and_to_no_cloud(collected: Collected) -> None:
    """Each header that the engine got names a span that was sent; the client's own span is the parent of the request's."""
    sent = {f"{each.trace_id.hex()}-{each.span_id.hex()}" for each in collected.spans}
    assert collected.engine and all(each[3:-3] in sent for each in collected.engine)
    assert sum(each.startswith(f"00-{TRACE}-") for each in collected.engine) == 1
    assert set(collected.cloud) == {""}
    traced = [each for each in collected.spans if each.trace_id.hex() == TRACE and each.kind == Span.SPAN_KIND_SERVER]
    assert [each.parent_span_id.hex() for each in traced] == [ABOVE, ABOVE]


def test_the_counters_are_those_of_the_requests(collected: Collected) -> None:
    """Sums over the targets, under the names and with the attributes of the conventions."""
    by_name = collected.instruments
    asked = by_name["hearth.requests"].sum
    assert asked.is_monotonic and sum(each.as_double for each in asked.data_points) == len(collected.rows)
    whole = by_name["gen_ai.server.request.duration"]
    assert whole.unit == "s" and sum(each.count for each in whole.histogram.data_points) == len(collected.rows)
    attempts = [each for row in collected.rows.values() for each in row["attempts"]]
    for kind, member in (("prompt", "prompt_tokens"), ("completion", "completion_tokens")):
        counter = by_name[names.TOKENS[kind]]
        points = [(attributes(each.attributes), each.as_double) for each in counter.sum.data_points]
        assert counter.unit == names.TOKEN_UNIT
        assert sum(value for _, value in points) == sum(each[member] for each in attempts)
        assert all(
            {names.PROVIDER, names.REQUEST_MODEL, names.MODALITY} <= set(found) for found, value in points if value
        )
