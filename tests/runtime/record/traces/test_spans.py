"""Spans of a finished request, and OTLP's messages of them, held against OpenTelemetry's own SDK."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from runtime.record.decisions import Considered, Decision, Exchange
from runtime.record.metrics import Gauges, Metrics
from runtime.record.traces import names
from runtime.record.traces.context import TraceContext
from runtime.record.traces.otlp import Encoder
from runtime.record.traces.spans import Span, kept_for, spans_of
from tests.fakes.collector import attributes

CONTEXT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 77, True)
ALONE = TraceContext(CONTEXT.trace_id, "", 77, False)
FAILED = Exchange("local/small", "a", 1.0, 30.0, "busy", status=503, message="the prompt, repeated by an upstream")
ANSWERED = Exchange(
    "far/large/one",
    "b",
    31.5,
    900.25,
    first_token_ms=131.5,
    status=200,
    prompt_tokens=12,
    completion_tokens=5,
    cost_usd=0.01,
)
DECISION = Decision(
    id="dec_1",
    at=1_800_000_000.123456,
    dialect="openai_chat",
    model="auto",
    target="far/large/one",
    reason="queue_depth",
    words="5 requests wait",
    degraded=("temperature",),
    considered=(Considered("local/small", "queue_depth"), Considered("far/large/one", "default")),
    attempts=(FAILED, ANSWERED),
    score=0.25,
    task="chat",
    stream=True,
    total_ms=901.0,
    ttft_ms=131.5,
    finish="stop",
    session="s1",
    cost_usd=0.01,
)


def spans() -> list[Span]:
    return spans_of(DECISION, CONTEXT, "failover", {"far": "far.away"})


def test_one_span_for_the_request_and_one_for_each_exchange() -> None:
    """The names of models stand on exchanges alone, or backends would count one call twice."""
    server, failed, answered = spans()
    assert (server.name, server.parent, server.kind) == ("POST /v1/chat/completions", CONTEXT.parent, 2)
    assert (server.start_ns, server.end_ns - server.start_ns) == (1_800_000_000_123_456_000, 901_000_000)
    assert not any(name.startswith("gen_ai.") for name in server.attributes)
    assert server.attributes[names.CANDIDATES] == ("local/small", "far/large/one") and not server.error
    assert {each.parent for each in (failed, answered)} == {server.span_id}
    assert (failed.name, failed.attributes[names.PROVIDER], failed.attributes[names.ERROR]) == (
        "chat small",
        "vllm",
        "busy",
    )
    assert answered.attributes[names.PROVIDER] == "far.away" and answered.attributes[names.REQUEST_MODEL] == "large/one"
    assert answered.attributes[names.FIRST_CHUNK] == 0.1 and answered.attributes[names.FINISH_REASONS] == ("stop",)
    assert len({each.span_id for each in spans()}) == 3


def test_no_word_of_an_upstream_leaves() -> None:
    """It may repeat the prompt."""
    assert "repeated" not in Encoder({}, "1").spans(spans()).decode("latin-1")


@pytest.mark.parametrize(
    ("members", "context", "why"),
    [
        ({"status": 502}, ALONE, "error"),
        ({}, ALONE, "failover"),
        ({"attempts": (ANSWERED,)}, ALONE, "degraded"),
        ({"attempts": (ANSWERED,), "degraded": ()}, ALONE, "slow"),
        ({"attempts": (ANSWERED,), "degraded": (), "ttft_ms": 50.0}, CONTEXT, "parent"),
        ({"attempts": (ANSWERED,), "degraded": (), "ttft_ms": 50.0}, ALONE._replace(sampled=True), "ratio"),
        ({"attempts": (ANSWERED,), "degraded": (), "ttft_ms": 50.0}, ALONE, ""),
    ],
)
def test_what_went_wrong_is_always_sent(members: dict[str, Any], context: TraceContext, why: str) -> None:
    fields = {name: getattr(DECISION, name) for name in DECISION.__struct_fields__} | members
    assert kept_for(Decision(**fields), context, 100.0) == why


def sdk(span: Span) -> ReadableSpan:
    """The same span, as the SDK makes it."""

    def context(span_id: str) -> SpanContext:
        return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))

    return ReadableSpan(
        name=span.name,
        context=context(span.span_id),
        parent=context(span.parent) if span.parent else None,
        resource=Resource({"service.name": "hearth"}),
        attributes=cast("dict[str, Any]", dict(span.attributes)),
        kind=SpanKind(span.kind - 1),
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=InstrumentationScope("hearth", "1", names.SCHEMA_URL),
    )


def test_the_sdk_encodes_the_same_spans() -> None:
    """Field by field, but for the flags, which say of a parent whether it was remote."""
    encoder = Encoder({"service.name": "hearth"}, "1")
    ours = ExportTraceServiceRequest.FromString(encoder.spans(spans()))
    theirs = encode_spans([sdk(each) for each in spans()])
    for each in theirs.resource_spans[0].scope_spans[0].spans:
        each.flags = 0
    theirs.resource_spans[0].schema_url = ""
    assert ours.resource_spans[0] == theirs.resource_spans[0]


def test_metrics_are_those_of_the_scrape() -> None:
    """Counters are sums, histograms keep their buckets, each counted by itself."""
    metrics = Metrics(lambda: Gauges(in_flight={"local/small": 2}), ["local/small", "far/large/one"])
    metrics.settled(DECISION)
    body = Encoder({"service.name": "hearth"}, "1").metrics_request(metrics.families(), 5, 9)
    found = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    by_name = {each.name: each for each in found}
    ttft = by_name["gen_ai.server.time_to_first_token"].histogram.data_points
    mine = next(point for point in ttft if point.attributes[0].value.string_value == "far/large/one")
    assert (mine.count, mine.sum, mine.start_time_unix_nano, mine.time_unix_nano) == (1, 0.1315, 5, 9)
    assert len(mine.bucket_counts) == len(mine.explicit_bounds) + 1 and sum(mine.bucket_counts) == 1
    requests = by_name["hearth.requests"].sum
    assert requests.is_monotonic and [point.as_double for point in requests.data_points] == [1.0]
    inside = {
        point.attributes[0].value.string_value: point.as_double
        for point in by_name["hearth.in_flight"].gauge.data_points
    }
    assert inside == {"local/small": 2.0, "far/large/one": 0.0}


def test_instruments_of_the_conventions_name_the_provider_and_the_model() -> None:
    """Times and tokens do; each kind of token is a counter of its own. What no target answered has neither."""
    metrics = Metrics(Gauges, ["local/small", "far/large/one"])
    for target in ("far/large/one", None):
        metrics.settled(msgspec.structs.replace(DECISION, target=target))
    body = Encoder({}, "1", {"far": "far.away"}).metrics_request(metrics.families(), 5, 9)
    found = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    by_name = {each.name: each for each in found}
    assert "hearth.tokens" not in by_name
    for name, value in ((names.TOKENS["prompt"], 24.0), (names.TOKENS["completion"], 10.0)):
        counter = by_name[name]
        mine = [each for each in counter.sum.data_points if each.as_double]
        assert counter.unit == "{token}" and [each.as_double for each in mine] == [value]
        assert attributes(mine[0].attributes) == {
            "target": "far/large/one",
            names.PROVIDER: "far.away",
            names.REQUEST_MODEL: "large/one",
            names.MODALITY: "unknown",
        }
    times = by_name["gen_ai.server.request.duration"]
    told = {attributes(each.attributes)["target"]: attributes(each.attributes) for each in times.histogram.data_points}
    assert times.unit == "s" and told["none"] == {"target": "none"}
    assert told["far/large/one"][names.PROVIDER] == "far.away"
