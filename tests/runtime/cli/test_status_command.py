"""`hearth status`: everything the runtime says of itself, in words or as JSON."""

from __future__ import annotations

import io
import json
import socket
from datetime import UTC
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from runtime.cli.client import Address, address_of
from runtime.cli.group import run
from runtime.cli.paint import PLAIN, Paint
from runtime.cli.report import report_lines
from runtime.server.status import (
    BudgetLimitStatus,
    BudgetStatus,
    DecisionBrief,
    EngineStatus,
    GpuStatus,
    LoadStatus,
    ReplicaStatus,
    SettingsStatus,
    StatusReport,
    TargetStatus,
)
from tests.runtime.cli.fake_runtime import as_json, fake_runtime

FULL = StatusReport(
    version="0.1.0",
    started_at=1_700_000_000,
    uptime_s=14_700,
    address="http://127.0.0.1:8000",
    engine=EngineStatus(
        model="smollm2-135m",
        device="cuda",
        replicas=(
            ReplicaStatus(name="r0", state="ready", for_s=90, pid=77, in_flight=3, restarts=1),
            ReplicaStatus(name="r1", state="backing_off", for_s=4, cause="out of memory", ready_in_s=20),
        ),
        gpus=(GpuStatus(index=0, name="H100", memory_total=80 << 30, memory_used=40 << 30, utilization=0.5),),
        log_tail=("torch.OutOfMemoryError",),
    ),
    load=LoadStatus(
        waiting=7,
        running=4,
        predicted_ttft_ms=2500,
        kv_cache=0.4,
        over=("queue_depth",),
        words="7 wait, 5 is the limit",
    ),
    targets=(
        TargetStatus(name="big", label="openai/big", price_known=False, breaker="open", why="5 failures in 30 s"),
        TargetStatus(name="other", label="groq/x", state="absent", why="its key is empty"),
    ),
    budget=BudgetStatus(
        when_spent="local",
        limits=(
            BudgetLimitStatus(
                period="day",
                name="2026-11-29",
                ends_in_s=7_200,
                spent_usd=1.25,
                reserved_usd=0.5,
                limit_usd=20.0,
                left_usd=18.25,
            ),
            BudgetLimitStatus(period="month", name="2026-11", ends_in_s=90_000, spent_usd=9.5, reserved_usd=0.0),
            BudgetLimitStatus(
                period="day",
                name="2026-11-29",
                ends_in_s=7_200,
                spent_usd=5.0,
                reserved_usd=0.0,
                limit_usd=5.0,
                left_usd=0.0,
                key="key_1",
                spent=True,
            ),
        ),
    ),
    in_flight=4,
    decisions=(
        DecisionBrief(
            id="dec_1",
            at=1_700_000_000,
            model="auto",
            target="openai/big",
            reason="queue_depth",
            status=200,
            ttft_ms=310,
            total_ms=1200,
            prompt_tokens=12,
            completion_tokens=40,
            cost_usd=0.0123,
            attempts=2,
            degraded=("temperature",),
        ),
        DecisionBrief(id="dec_0", at=1_700_000_000, model="auto", target=None, reason="engine_down", status=503),
    ),
    not_in_force=("escalation.confidence is not in force in this version",),
    settings=SettingsStatus(path="/etc/hearth.toml", error="line 3: no such key"),
    notes=("decisions are not saved",),
)


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    err = io.StringIO()
    code = run(("status", *arguments), io.StringIO(), err)
    shown = capsys.readouterr()
    return code, shown.out, shown.err + err.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        "up 4 h 5 min",
        "/etc/hearth.toml",
        "the last reload was refused, the old settings hold: line 3: no such key",
        "decisions are not saved",
        "smollm2-135m on cuda",
        "backing off",
        "ready in about 20.0 s",
        "r1: last failure: out of memory",
        "40.0 GiB of 80.0 GiB",
        "torch.OutOfMemoryError",
        "7 waiting",
        "next first token in about 2.5 s",
        "KV cache 40%",
        "over queue_depth: 7 wait, 5 is the limit",
        "breaker open; 5 failures in 30 s; price unknown",
        "its key is empty",
        "all targets  day 2026-11-29  $1.25 of $20.00 spent, $0.50 reserved, $18.25 left  ends in 2 h 0 min",
        "all targets  month 2026-11   $9.50 spent, no limit",
        "key key_1    day 2026-11-29  $5.00 of $5.00 spent, $0.00 left                    spent; ends in 2 h 0 min",
        "22:13:20  200  openai/big  queue_depth  12 + 40 tokens  310 ms / 1.2 s  $0.0123, 2 attempts, degraded: temperature",
        "503  nobody      engine_down",
        "escalation.confidence is not in force",
    ],
)
def test_everything_is_said(words: str) -> None:
    """State, cause, load, reasons, decisions and what is not in force."""
    assert words in "\n".join(report_lines(FULL, PLAIN, UTC))


def test_a_limit_that_a_fleet_shares_shows_what_all_have_spent() -> None:
    """And what of it this Hearth and the others did."""
    assert FULL.budget is not None
    day = structs.replace(FULL.budget.limits[0], others_spent_usd=12.0, others_usd=13.0, left_usd=5.25)
    shared = structs.replace(FULL, budget=structs.replace(FULL.budget, limits=(day,)))
    shown = "$13.25 of $20.00 spent in the fleet ($1.25 here, $12.00 by other Hearths), $0.50 reserved, $5.25 left"
    assert shown in "\n".join(report_lines(shared, PLAIN, UTC))


def test_a_fresh_runtime_is_described_too() -> None:
    """No replicas, targets or decisions yet."""
    engine = EngineStatus(model="m", device="cpu")
    fresh = StatusReport(version="0", started_at=0, uptime_s=0.5, address="x", engine=engine)
    text = "\n".join(report_lines(fresh, PLAIN))
    assert "none: everything is answered on this box" in text
    assert "last decisions" not in text


def test_colours_change_no_word() -> None:
    """With styles removed the lines are the same."""
    painted = "\n".join(report_lines(FULL, Paint(True), UTC))
    for code in ("0", "1", "2", "31", "32", "33", "36"):
        painted = painted.replace(f"\x1b[{code}m", "")
    assert painted == "\n".join(report_lines(FULL, PLAIN, UTC))


def test_the_report_is_fetched_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """In words, and with --json as the runtime gave it."""
    with fake_runtime(lambda asked: as_json(msgspec.to_builtins(FULL))) as fake:
        code, out, _ = status(capsys, "--url", fake.url)
        assert (code, "smollm2-135m on cuda" in out) == (0, True)
        code, out, _ = status(capsys, "--url", fake.url, "--json")
    assert msgspec.json.decode(out, type=StatusReport) == FULL
    assert fake.asked[0].path == "/hearth/status"


def test_watch_in_a_pipe_writes_one_report_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON line per look, until the runtime is gone."""
    looks = [as_json(msgspec.to_builtins(FULL)), as_json({"error": {"message": "stopping"}}, 503)]
    with fake_runtime(lambda asked: looks.pop(0)) as fake:
        code, out, err = status(capsys, "--url", fake.url, "--json", "--watch", "--every", "0.1")
    assert (code, len(out.splitlines())) == (4, 1)
    assert json.loads(out)["version"] == "0.1.0"
    assert "stopping" in err


def test_a_dead_runtime_and_a_stranger_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 with how to start it; exit code 4 for what is no Hearth."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, _, err = status(capsys, "--url", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert code == 3
    assert "hearth serve" in err
    with fake_runtime(lambda asked: as_json({"hello": "world"})) as fake:
        code, _, err = status(capsys, "--url", fake.url)
    assert code == 4
    assert "does not answer like a Hearth" in err


def test_the_address_is_the_unix_socket_of_the_settings(tmp_path: Path) -> None:
    """A runtime on a socket has no port; commands reach it there."""
    file = tmp_path / "hearth.toml"
    file.write_text('[server]\nsocket = "/run/hearth.sock"\n')
    assert address_of(None, file, {}) == Address("http://localhost", None, "/run/hearth.sock")
