"""Spans and metrics as OTLP's protobuf messages. Imported only where a collector is configured.

https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as t
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from runtime.record.traces import names
from runtime.record.traces.spans import Span, SpanKind, Value

_KINDS = {SpanKind.SERVER: t.Span.SPAN_KIND_SERVER, SpanKind.CLIENT: t.Span.SPAN_KIND_CLIENT}
_FINE = t.Status()
_CUMULATIVE = m.AGGREGATION_TEMPORALITY_CUMULATIVE


class Encoder:
    """resource: attributes of this process, the service's name among them. version: of the program.

    providers: names by the first segment of a target's label.
    """

    def __init__(self, resource: Mapping[str, str], version: str, providers: Mapping[str, str] | None = None) -> None:
        self._providers = providers or {}
        self._resource = Resource(attributes=_attributes(resource))
        self._scope = InstrumentationScope(name=names.SCOPE, version=version)

    def spans(self, spans: Iterable[Span]) -> bytes:
        """A request to the collector. Several in a row are one: each is small, and no hold of the interpreter long."""
        request = ExportTraceServiceRequest()
        scope = request.resource_spans.add(resource=self._resource).scope_spans.add(
            scope=self._scope, schema_url=names.SCHEMA_URL
        )
        for span in spans:
            # Made in its place: a message that is put into another is copied.
            scope.spans.add(
                trace_id=bytes.fromhex(span.trace_id),
                span_id=bytes.fromhex(span.span_id),
                parent_span_id=bytes.fromhex(span.parent),
                name=span.name,
                kind=_KINDS[span.kind],
                start_time_unix_nano=span.start_ns,
                end_time_unix_nano=span.end_ns,
                attributes=_attributes(span.attributes),
                status=t.Status(code=t.Status.STATUS_CODE_ERROR, message=span.error) if span.error else _FINE,
            )
        return bytes(request.SerializeToString())

    def metrics_request(self, families: Iterable[Metric], since_ns: int, now_ns: int) -> bytes:
        """since_ns: when the counters began, unix nanoseconds."""
        metrics = [
            _metric(family, name, unit, samples, since_ns, now_ns)
            for family in families
            for name, unit, samples in self._instruments(family)
            if samples
        ]
        scope = m.ScopeMetrics(scope=self._scope, schema_url=names.SCHEMA_URL, metrics=metrics)
        resource = m.ResourceMetrics(resource=self._resource, scope_metrics=[scope])
        return bytes(ExportMetricsServiceRequest(resource_metrics=[resource]).SerializeToString())

    def _instruments(self, family: Metric) -> Iterator[tuple[str, str, Sequence[Sample]]]:
        """Name, unit and samples of each instrument that a family of `/metrics` becomes: tokens are one for each kind."""
        if family.name == names.TOKENS_FAMILY:
            for kind, name in names.TOKENS.items():
                of_kind = [each for each in family.samples if each.labels[names.TOKENS_KIND] == kind]
                yield name, names.TOKEN_UNIT, self._of_models(of_kind, {names.MODALITY: names.UNKNOWN})
            return
        unit = next((unit for end, unit in names.UNITS.items() if family.name.endswith(end)), "1")
        if family.name in names.INSTRUMENTS:
            yield names.INSTRUMENTS[family.name], unit, self._of_models(family.samples, {})
        else:
            yield family.name.replace("_", ".", 1), unit, family.samples

    def _of_models(self, samples: Iterable[Sample], more: Mapping[str, str]) -> Sequence[Sample]:
        """The samples with provider and model beside the target. One of no target has neither."""
        found = []
        for sample in samples:
            labels = {name: value for name, value in sample.labels.items() if name != names.TOKENS_KIND} | dict(more)
            provider, model = names.provider_and_model(labels["target"], self._providers)
            if model:
                labels |= {names.PROVIDER: provider, names.REQUEST_MODEL: model}
            found.append(sample._replace(labels=labels))
        return found


def _attributes(values: Mapping[str, Value] | Mapping[str, str]) -> list[KeyValue]:
    return [_attribute(name, value) if name in names.VARYING else _kept(name, value) for name, value in values.items()]


def _attribute(name: str, value: Value) -> KeyValue:
    made = KeyValue(key=name)
    if isinstance(value, str):
        made.value.string_value = value
    elif isinstance(value, float):
        made.value.double_value = value
    elif isinstance(value, bool):  # before int, which it is too
        made.value.bool_value = value
    elif isinstance(value, int):
        made.value.int_value = value
    else:
        made.value.array_value.values.extend([AnyValue(string_value=each) for each in value])
    return made


_kept = lru_cache(1024)(_attribute)


def _metric(family: Metric, name: str, unit: str, samples: Sequence[Sample], since_ns: int, now_ns: int) -> m.Metric:
    """One instrument: a counter is a sum, a histogram keeps its buckets, the rest are gauges."""
    metric = m.Metric(name=name, description=family.documentation, unit=unit)
    if family.type == "histogram":
        by_labels: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        for sample in samples:
            labels = tuple((label, value) for label, value in sample.labels.items() if label != "le")
            by_labels.setdefault(labels, []).append(sample)
        points = [_histogram_point(dict(labels), rows, since_ns, now_ns) for labels, rows in by_labels.items()]
        metric.histogram.CopyFrom(m.Histogram(data_points=points, aggregation_temporality=_CUMULATIVE))
        return metric
    numbers = [
        m.NumberDataPoint(
            attributes=_attributes(sample.labels),
            as_double=float(sample.value),
            time_unix_nano=now_ns,
            start_time_unix_nano=since_ns if family.type == "counter" else 0,
        )
        for sample in samples
        if not sample.name.endswith("_created")
    ]
    if family.type == "counter":
        metric.sum.CopyFrom(m.Sum(data_points=numbers, is_monotonic=True, aggregation_temporality=_CUMULATIVE))
    else:
        metric.gauge.CopyFrom(m.Gauge(data_points=numbers))
    return metric


def _histogram_point(
    labels: Mapping[str, str], samples: Sequence[Sample], since_ns: int, now_ns: int
) -> m.HistogramDataPoint:
    """Prometheus counts buckets cumulatively, OTLP each by itself."""
    buckets = [(float(each.labels["le"]), round(each.value)) for each in samples if each.name.endswith("_bucket")]
    counts = [count - before for (_, count), (_, before) in zip(buckets, [(0.0, 0), *buckets], strict=False)]
    total = next((float(each.value) for each in samples if each.name.endswith("_sum")), 0.0)
    return m.HistogramDataPoint(
        attributes=_attributes(labels),
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=[bound for bound, _ in buckets[:-1]],
    )
