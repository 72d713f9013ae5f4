"""The collector, from the settings and OpenTelemetry's variables."""

from __future__ import annotations

import pytest

from runtime.record.traces.collector import Collector, collector_of

RESOURCE = {"service.name": "hearth", "service.version": "1"}


@pytest.mark.parametrize(
    ("endpoint", "env", "traces", "metrics"),
    [
        ("http://c:4318", {}, "http://c:4318/v1/traces", "http://c:4318/v1/metrics"),
        ("http://c:4318/otlp/", {}, "http://c:4318/otlp/v1/traces", "http://c:4318/otlp/v1/metrics"),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e"}, "http://e/v1/traces", "http://e/v1/metrics"),
        ("http://c", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e"}, "http://c/v1/traces", "http://c/v1/metrics"),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://e/t"}, "http://e/t", ""),
        ("http://c", {"OTEL_METRICS_EXPORTER": "none"}, "http://c/v1/traces", ""),
    ],
)
def test_where_it_goes(endpoint: str, env: dict[str, str], traces: str, metrics: str) -> None:
    assert collector_of(endpoint, env, "1") == Collector(traces, metrics, resource=RESOURCE)


@pytest.mark.parametrize(
    ("endpoint", "env"),
    [("", {}), ("http://c", {"OTEL_SDK_DISABLED": "TRUE"}), ("", {"OTEL_SERVICE_NAME": "x"})],
)
def test_it_is_off(endpoint: str, env: dict[str, str]) -> None:
    assert collector_of(endpoint, env, "1") is None


def test_the_standard_variables_hold() -> None:
    env = {
        "OTEL_SERVICE_NAME": "box",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other, deployment.environment=a%2Cb",
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20abc,x-team=web",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
    }
    found = collector_of("http://c", env, "1")
    assert found is not None
    assert found.resource == {**RESOURCE, "service.name": "box", "deployment.environment": "a,b"}
    assert (found.headers, found.timeout_s) == ({"authorization": "Bearer abc", "x-team": "web"}, 1.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "ten"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
    ],
)
def test_what_cannot_be_obeyed_is_named(name: str, value: str) -> None:
    """A header's value never is."""
    with pytest.raises(ValueError, match=name) as raised:
        collector_of("http://c", {name: value}, "1")
    assert "s3cret" not in str(raised.value)
