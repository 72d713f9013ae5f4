"""The status report tells times a reader needs no clock for."""

from __future__ import annotations

import msgspec

from runtime.contract.engine import Gpu, ReplicaState, ReplicaView, Telemetry
from runtime.record.decisions import Decision, Exchange
from runtime.server.status import (
    EngineStatus,
    LoadStatus,
    StatusReport,
    TargetStatus,
    brief,
    gpu_status,
    replica_status,
)


def test_a_replicas_times_become_relative() -> None:
    """Monotonic seconds turn into how long, in how long and how long ago."""
    view = ReplicaView(
        "r0",
        ReplicaState.BACKING_OFF,
        since=90.0,
        cause="out of memory",
        ready_at=130.0,
        last_byte_at=80.0,
        telemetry=Telemetry(at=1.0, waiting=1, running=2, kv_cache=0.5),
    )
    shown = replica_status(view, now=100.0)
    assert (shown.state, shown.for_s, shown.ready_in_s, shown.last_byte_ago_s) == ("backing_off", 10.0, 30.0, 20.0)
    assert (shown.waiting, shown.running, shown.kv_cache, shown.cause) == (1, 2, 0.5, "out of memory")


def test_an_estimate_that_has_passed_is_now() -> None:
    """No negative waits."""
    assert replica_status(ReplicaView("r0", ReplicaState.STARTING, since=5.0, ready_at=6.0), now=9.0).ready_in_s == 0.0


def test_the_report_survives_the_wire() -> None:
    """Server and command share the shape: JSON and back is equal, and unknown members are passed over."""
    decision = Decision(id="dec_0000000000000001", at=1.0, dialect="openai_chat", model="auto", target="local/m")
    tried = msgspec.structs.replace(decision, attempts=(Exchange("local/m", "r0", 0.0, 1.0),))
    report = StatusReport(
        version="0.1.0",
        started_at=1.0,
        uptime_s=2.0,
        address="http://127.0.0.1:8000",
        engine=EngineStatus(model="m", device="cpu", gpus=(gpu_status(Gpu(0, "H100", 80, 40, 0.5, 1.0)),)),
        load=LoadStatus(waiting=1, over=("queue_depth",)),
        targets=(TargetStatus(name="a", label="openai/x", state="absent", why="key is empty"),),
        decisions=(brief(tried),),
    )
    wire = msgspec.json.encode(report)
    assert msgspec.json.decode(wire, type=StatusReport) == report
    newer = wire[:-1] + b',"added_later":1}'
    assert msgspec.json.decode(newer, type=StatusReport) == report
    assert report.decisions[0].attempts == 1
