"""The alert rules: each fires on the fault it is for, none on a healthy Hearth, and each names metrics that exist.

All but the last need Prometheus's promtool: `apt-get install --no-install-recommends prometheus`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

from runtime.record.metrics import Gauges, Metrics

RULES = Path(__file__).resolve().parents[2] / "docker" / "monitoring" / "rules.yml"

# Each series with its values a minute: of a Hearth in every kind of trouble, and of a healthy one.
SERIES = {
    'up{job="hearth",instance="h"}': ("0x90", "1x90"),
    'hearth_engine_state{instance="h",replica="r0",state="ready"}': ("0x90", "0x90"),
    'hearth_engine_state{instance="h",replica="r1",state="ready"}': ("0x90", "1x90"),
    'hearth_engine_restarts_total{instance="h",replica="r0"}': ("0+1x90", "0x30 1x60"),
    'hearth_breaker_state{instance="h",target="a/x",state="open"}': ("1x90", "0 1 0 0 1 0 0 1 0x82"),
    'hearth_requests_total{instance="h",target="a/x",reason="fallback"}': ("0+60x90", "0+1x90"),
    'hearth_requests_total{instance="h",target="local/m",reason="default"}': ("0+60x90", "0+60x90"),
    'hearth_escalations_total{instance="h",reason="ttft"}': ("0+60x90", "0+6x90"),
    'hearth_attempts_total{instance="h",target="a/x",outcome="broken_stream"}': ("0+60x90", "0x90"),
    'hearth_attempts_total{instance="h",target="a/x",outcome="ok"}': ("0+60x90", "0+60x90"),
    'hearth_ttft_seconds_bucket{instance="h",target="local/m",le="1.28"}': ("0x90", "0+60x90"),
    'hearth_ttft_seconds_bucket{instance="h",target="local/m",le="20.48"}': ("0+60x90", "0+60x90"),
    'hearth_ttft_seconds_bucket{instance="h",target="local/m",le="+Inf"}': ("0+60x90", "0+60x90"),
    'hearth_threshold{instance="h",job="hearth",kind="ttft_seconds"}': ("2x90", "2x90"),
    'hearth_threshold{instance="h",job="hearth",kind="queue"}': ("5x90", "5x90"),
    'hearth_ttft_prediction_error_seconds_bucket{instance="h",target="local/m",le="1.28"}': ("0x90", "0+60x90"),
    'hearth_ttft_prediction_error_seconds_bucket{instance="h",target="local/m",le="5.12"}': ("0+60x90", "0+60x90"),
    'hearth_ttft_prediction_error_seconds_bucket{instance="h",target="local/m",le="+Inf"}': ("0+60x90", "0+60x90"),
    'hearth_queue_waiting{instance="h",replica="r0"}': ("9x90", "9 0 0 0 9 0x86"),
    'hearth_kv_cache_ratio{instance="h",replica="r0"}': ("0.99x90", "0.8x90"),
    'hearth_degraded_total{instance="h",parameter="no_target"}': ("0+5x90", "0x30 5x60"),
    'hearth_budget_usd{instance="h",scope="all",period="day",kind="spent"}': ("19x90", "10x90"),
    'hearth_budget_usd{instance="h",scope="all",period="day",kind="limit"}': ("20x90", "20x90"),
    'hearth_decisions_dropped_total{instance="h"}': ("0+1x90", "7x90"),
    'hearth_settings_reload_success{instance="h"}': ("0x90", "1x90"),
}
WARNING = {"severity": "warning", "instance": "h"}
CRITICAL = {"severity": "critical", "instance": "h"}
ALERTS = {
    "HearthDown": (CRITICAL | {"job": "hearth"}, "Hearth at h does not answer the scrape"),
    "HearthEngineNotReady": (CRITICAL, "No replica of the engine is ready; hearth status and hearth doctor say why"),
    "HearthEngineRestarting": (WARNING | {"replica": "r0"}, "r0 was started again 30 times in half an hour"),
    "HearthBreakerOpen": (
        WARNING | {"state": "open", "target": "a/x"},
        "a/x is not asked: it failed several times in a row",
    ),
    "HearthFailoverShare": (WARNING, "50% of the requests were answered by a fallback"),
    "HearthCutStreams": (WARNING | {"target": "a/x"}, "50% of the answers of a/x were cut"),
    "HearthTtftAboveThreshold": (WARNING, "One in twenty local answers began later than [escalation] ttft_ms: 19.52s"),
    "HearthPredictionOff": (WARNING, "Predicted times to a first token are off by 3.2s"),
    "HearthQueueSaturated": (WARNING, "9 requests wait in the engine, more than the threshold, for ten minutes"),
    "HearthKvCacheHigh": (WARNING | {"replica": "r0"}, "The KV cache of r0 is 99% full"),
    "HearthNoTarget": (WARNING, "Requests that should have left the box had no target to go to"),
    "HearthBudgetNear": (WARNING | {"period": "day", "scope": "all"}, "95% of the day's budget of all are spent"),
    "HearthDecisionsDropped": (WARNING, "Decision records were lost: the disk is full, read-only or too slow"),
    "HearthReloadRefused": (WARNING, "The settings file was changed and refused; the earlier settings are in force"),
}


def judged(folder: Path, series: dict[str, str], fired: dict[str, tuple[dict[str, str], str]], at: int = 80) -> str:
    """The output of promtool where exactly these alerts fire at a minute; "" where it agrees."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install --no-install-recommends prometheus")
    names = re.findall(r"alert: (\w+)", RULES.read_text("utf-8"))
    expected = [
        {
            "eval_time": f"{at}m",
            "alertname": name,
            "exp_alerts": [{"exp_labels": fired[name][0], "exp_annotations": {"summary": fired[name][1]}}]
            if name in fired
            else [],
        }
        for name in names
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": "1m", "input_series": given, "alert_rule_test": expected}
    file = folder / "case.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}))
    ran = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def test_each_alert_fires_on_the_fault_it_is_for(tmp_path: Path) -> None:
    """With its labels and its sentence."""
    told = judged(tmp_path, {name: bad for name, (bad, _) in SERIES.items()}, ALERTS)
    assert not told, told


def test_none_fires_on_a_healthy_hearth(tmp_path: Path) -> None:
    """One replica of two that is away, a breaker that closes again, a short queue and an earlier loss are no alarm."""
    told = judged(tmp_path, {name: well for name, (_, well) in SERIES.items()}, {})
    assert not told, told


def test_the_share_that_leaves_is_held_against_the_day_before(tmp_path: Path) -> None:
    """It fires when half as many again leave as at the same time yesterday."""
    requests = 'hearth_requests_total{instance="h",reason="default"}'
    left = 'hearth_escalations_total{instance="h",reason="ttft"}'
    minutes = 26 * 60
    labels = {"severity": "info", "instance": "h"}
    words = "40% of the requests leave the box, half as many again as a day ago"
    rising = {requests: f"0+60x{minutes}", left: f"0+12x{24 * 60} {12 * 24 * 60 + 24}+24x{minutes - 24 * 60 - 1}"}
    told = judged(tmp_path, rising, {"HearthEscalationShareUp": (labels, words)}, minutes)
    assert not told, told
    steady = {requests: f"0+60x{minutes}", left: f"0+12x{minutes}"}
    assert not judged(tmp_path, steady, {}, minutes)


def test_the_configuration_is_one_of_prometheus() -> None:
    """With the rules it names."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install --no-install-recommends prometheus")
    ran = subprocess.run(
        [promtool, "check", "config", str(RULES.with_name("prometheus.yml"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_metric_that_a_rule_names_is_exported() -> None:
    """Under the name that a scrape sees."""
    exported = {"up"}
    for family in Metrics(Gauges).families():
        ends = ("_bucket", "_sum", "_count") if isinstance(family, HistogramMetricFamily) else ("",)
        ends = ("_total",) if isinstance(family, CounterMetricFamily) else ends
        exported |= {family.name + end for end in ends}
    text = RULES.read_text("utf-8")
    named = set(
        re.findall(r"\b(hearth_\w+)", "\n".join(re.findall(r"expr: (?:>\n)?(.*?)\n {8}(?:for|labels)", text, re.S)))
    )
    assert named and named <= exported
