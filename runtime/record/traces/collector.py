"""The collector as the settings and OpenTelemetry's own variables name it. Pure.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and …/protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

_SIGNALS = ("TRACES", "METRICS")


class Collector(msgspec.Struct, frozen=True):
    """traces, metrics: addresses to post to, "" for none. headers: secrets among them. timeout_s: of one post.

    resource: attributes of this process. slow_ms: a first token later than this is always traced. providers: names of the
    conventions, by the first segment of a target's label.
    """

    traces: str = ""
    metrics: str = ""
    headers: Mapping[str, str] = {}
    timeout_s: float = 10.0
    resource: Mapping[str, str] = {}
    slow_ms: float = 2000.0
    providers: Mapping[str, str] = {}


def collector_of(endpoint: str, env: Mapping[str, str], version: str) -> Collector | None:
    """None where telemetry is off. endpoint: of `[telemetry]`, which beats the general variable and not a signal's own.

    Raises ValueError, in words, for a variable that cannot be obeyed.
    """
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    base = endpoint or env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    addresses = []
    for signal in _SIGNALS:
        own = env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "").strip()
        off = env.get(f"OTEL_{signal}_EXPORTER", "").strip() == "none"
        addresses.append("" if off else own or (f"{base.rstrip('/')}/v1/{signal.lower()}" if base else ""))
    if not any(addresses):
        return None
    protocol = env.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip()
    if protocol not in ("", "http/protobuf"):
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}: only http/protobuf is spoken")
    timeout = env.get("OTEL_EXPORTER_OTLP_TIMEOUT", "").strip() or "10000"
    if not timeout.isdecimal() or not int(timeout):
        raise ValueError(f"OTEL_EXPORTER_OTLP_TIMEOUT is {timeout!r}: milliseconds are wanted")
    resource = {"service.name": "hearth", "service.version": version}
    resource |= _pairs(env, "OTEL_RESOURCE_ATTRIBUTES")
    if name := env.get("OTEL_SERVICE_NAME", "").strip():
        resource["service.name"] = name
    headers = {name.lower(): value for name, value in _pairs(env, "OTEL_EXPORTER_OTLP_HEADERS").items()}
    traces, metrics = addresses
    return Collector(traces, metrics, headers, int(timeout) / 1000, resource)


def _pairs(env: Mapping[str, str], name: str) -> dict[str, str]:
    """`a=b,c=d`, percent-encoded. Raises ValueError without quoting a value, which may be a secret."""
    found = {}
    for part in filter(None, (each.strip() for each in env.get(name, "").split(","))):
        key, mark, value = part.partition("=")
        if not mark or not key.strip():
            raise ValueError(f"{name} is not a list of name=value, separated by commas")
        found[unquote(key.strip())] = unquote(value.strip())
    return found
