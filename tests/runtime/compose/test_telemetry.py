"""Telemetry as it is wired: nothing of it on a request's way while it is off."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from runtime.compose.telemetry import OutgoingTelemetry
from runtime.contract.guard import Guard
from runtime.settings import Settings

WHAT_IS_LOADED = """
import sys
import runtime.compose.telemetry
print(*(name for name in ("opentelemetry", "google.protobuf", "runtime.record.traces.exporter") if name in sys.modules))
"""


class Open(Guard):
    """Lets everything out."""

    def check(self, *_: Any) -> None: ...


def telemetry(env: Mapping[str, str], **chosen: object) -> OutgoingTelemetry:
    return OutgoingTelemetry(Settings.model_validate({"telemetry": chosen}), env, Open(), tuple)


def test_nothing_is_loaded_while_it_is_off() -> None:
    """The one module that wires it loads neither protobuf nor the thread that sends."""
    ran = subprocess.run([sys.executable, "-c", WHAT_IS_LOADED], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


@pytest.mark.parametrize("env", [{}, {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}])
def test_nothing_stands_on_a_request_s_way_while_it_is_off(env: dict[str, str]) -> None:
    """No header is made and nobody listens to settled requests: it costs no call."""
    off = telemetry(env)
    off.start()
    assert (off.trace, off.settled, off.trouble, off.dropped) == (None, (), None, 0)


def test_a_variable_that_cannot_be_obeyed_turns_it_off_in_words() -> None:
    off = telemetry({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, endpoint="http://127.0.0.1:1")
    assert off.settled == () and "grpc" in str(off.trouble)


def test_no_header_goes_on_where_none_shall() -> None:
    """Spans are sent all the same."""
    on = telemetry({}, endpoint="http://127.0.0.1:1", propagate="off")
    assert on.trace is None and len(on.settled) == 1
