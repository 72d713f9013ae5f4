"""The alert rules: each fires on the fault it is for and on nothing less, alone, and names metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.monitoring.test_dashboards import exported

RULES = Path(__file__).resolve().parents[2] / "docker" / "monitoring" / "rules.yml"
NAMES = re.findall(r"alert: (\w+)", RULES.read_text("utf-8"))
DAY = 24 * 6  # steps of ten minutes

Series = Mapping[str, str]
"""Names with labels, without `instance`, and their values at each step, as promtool writes them: `0+60x90`, `1x90`."""


class Case(NamedTuple):
    """fires: the fault. quiet: near misses. at: the last step of `step_m` minutes, where it is looked."""

    alert: str
    summary: str
    fires: Series
    quiet: Sequence[Series]
    labels: Mapping[str, str] = {}
    severity: str = "warning"
    at: int = 60
    step_m: int = 1


def ready(replica: str, values: str) -> Series:
    return {f'hearth_engine_state{{replica="{replica}",state="ready"}}': values}


def attempts(broken: str, well: str) -> Series:
    return {
        'hearth_attempts_total{target="a/x",outcome="broken_stream"}': broken,
        'hearth_attempts_total{target="a/x",outcome="ok"}': well,
        'hearth_attempts_total{target="b/y",outcome="ok"}': "0+60x90",
    }


def requests(fallback: str, default: str) -> Series:
    return {
        'hearth_requests_total{target="a/x",reason="fallback"}': fallback,
        'hearth_requests_total{target="local/m",reason="default"}': default,
    }


def first_tokens(slow: str, fast: str, limit: str = "2x90", target: str = "local/m") -> Series:
    """Answers that began within 20.48 s, and those of them within 1.28 s."""
    name = f'hearth_ttft_seconds_bucket{{target="{target}",le='
    return {
        f'{name}"1.28"}}': fast,
        f'{name}"20.48"}}': slow,
        f'{name}"+Inf"}}': slow,
        'hearth_threshold{job="hearth",kind="ttft_seconds"}': limit,
    }


def missed(within_a_second: str, all_of_them: str) -> Series:
    name = 'hearth_ttft_prediction_error_seconds_bucket{target="local/m",le='
    return {f'{name}"1.28"}}': within_a_second, f'{name}"5.12"}}': all_of_them, f'{name}"+Inf"}}': all_of_them}


def queue(first: str, second: str) -> Series:
    name = "hearth_queue_waiting{replica="
    return {f'{name}"r0"}}': first, f'{name}"r1"}}': second, 'hearth_threshold{job="hearth",kind="queue"}': "5x90"}


def budget(spent: str, limit: str = "20x90") -> Series:
    name = 'hearth_budget_usd{scope="all",period="day",kind='
    return {f'{name}"total"}}': spent, f'{name}"spent"}}': "1x90", f'{name}"limit"}}': limit}


def leaving(a_minute: int, later: int) -> Series:
    """Of sixty requests a minute those that leave the box: a day long, and in the two hours after it."""
    step, day = a_minute * 10, a_minute * 10 * DAY
    return {
        'hearth_requests_total{reason="default"}': f"0+600x{DAY + 12}",
        'hearth_escalations_total{reason="ttft"}': f"0+{step}x{DAY} {day + later * 10}+{later * 10}x11",
    }


CASES = [
    Case(
        "HearthDown",
        "Hearth at h does not answer the scrape",
        {'up{job="hearth"}': "0x90"},
        [{'up{job="hearth"}': "1x59 0"}, {'up{job="another"}': "0x90"}],
        {"job": "hearth"},
        "critical",
    ),
    Case(
        "HearthEngineNotReady",
        "No replica of the engine is ready; hearth status and hearth doctor say why",
        {**ready("r0", "0x90"), **ready("r1", "0x90")},
        [{**ready("r0", "0x90"), **ready("r1", "1x90")}, ready("r0", "1x56 0x90")],
        severity="critical",
    ),
    Case(
        "HearthEngineRestarting",
        "r0 was started again 3 times in half an hour",
        {'hearth_engine_restarts_total{replica="r0"}': "0x39 0+1x3 3x90"},
        [{'hearth_engine_restarts_total{replica="r0"}': "0x40 1x5 2x90"}],
        {"replica": "r0"},
    ),
    Case(
        "HearthBreakerOpen",
        "a/x is not asked: it failed several times in a row",
        {'hearth_breaker_state{target="a/x",state="open"}': "0x50 1x90"},
        [{'hearth_breaker_state{target="a/x",state="open"}': "0 1 0 0 1 0 0 1x51 0x90 "}],
        {"state": "open", "target": "a/x"},
    ),
    Case(
        "HearthFailoverShare",
        "6% of the requests were answered by a fallback",
        requests("0+6x90", "0+94x90"),
        [requests("0+5x90", "0+95x90"), requests("0x54 0+50x90", "0+50x90")],
    ),
    Case(
        "HearthCutStreams",
        "2% of the answers of a/x were cut",
        attempts("0+2x90", "0+98x90"),
        [attempts("0+1x90", "0+99x90")],
        {"target": "a/x"},
    ),
    Case(
        "HearthTtftAboveThreshold",
        "One in twenty local answers began later than [escalation] ttft_ms: 10.88s",
        first_tokens("0+100x90", "0+90x90"),
        [
            first_tokens("0+100x90", "0+96x90"),
            first_tokens("0+100x90", "0+90x90", limit="15x90"),
            first_tokens("0+100x90", "0+90x90", target="a/x"),
        ],
    ),
    Case(
        "HearthPredictionOff",
        "Predicted times to a first token are off by 2.12s",
        missed("0+36x90", "0+100x90"),
        [missed("0+90x90", "0+100x90")],
    ),
    Case(
        "HearthQueueSaturated",
        "6 requests wait in the engine, more than the threshold, for ten minutes",
        queue("3x90", "3x90"),
        [queue("3x90", "2x90"), queue("0x52 9x90", "0x90")],
    ),
    Case(
        "HearthKvCacheHigh",
        "The KV cache of r0 is 96% full",
        {'hearth_kv_cache_ratio{replica="r0"}': "0.96x90", 'hearth_kv_cache_ratio{replica="r1"}': "0.1x90"},
        [{'hearth_kv_cache_ratio{replica="r0"}': "0.95x90"}, {'hearth_kv_cache_ratio{replica="r0"}': "0x52 1x90"}],
        {"replica": "r0"},
    ),
    Case(
        "HearthNoTarget",
        "Requests that should have left the box had no target to go to",
        {'hearth_degraded_total{parameter="no_target"}': "0+1x90"},
        [
            {'hearth_degraded_total{parameter="no_target"}': "0x50 9x90"},
            {'hearth_degraded_total{parameter="logprobs"}': "0+9x90"},
        ],
    ),
    Case(
        "HearthBudgetNear",
        "95% of the day's budget of all are spent",
        budget("19x90"),
        [budget("18x90"), {'hearth_budget_usd{scope="all",period="day",kind="total"}': "19x90"}],
        {"period": "day", "scope": "all"},
    ),
    Case(
        "HearthStoreAway",
        "The store of the fleet is away: this Hearth spends what it had leased and nothing beyond it",
        {"hearth_fleet_store_away_seconds": "0x50 61x90"},
        [{"hearth_fleet_store_away_seconds": "60x90"}],
    ),
    Case(
        "HearthDecisionsDropped",
        "Decision records were lost: the disk is full, read-only or too slow",
        {"hearth_decisions_dropped_total": "0x50 1x90"},
        [{"hearth_decisions_dropped_total": "7x90"}, {"hearth_decisions_dropped_total": "0x30 1x90"}],
    ),
    Case(
        "HearthReloadRefused",
        "The settings file was changed and refused; the earlier settings are in force",
        {"hearth_settings_reload_success": "1x50 0x90"},
        [{"hearth_settings_reload_success": "0x50 1x90"}],
    ),
    Case(
        "HearthEscalationShareUp",
        "40% of the requests leave the box, half as many again as a day ago",
        leaving(12, 24),
        [leaving(12, 12), leaving(24, 30)],
        severity="info",
        at=DAY + 12,
        step_m=10,
    ),
]


def judged(promtool: str, folder: Path, case: Case, series: Series, fired: bool) -> str:
    """The output of promtool where no alert but the case's fires, and that one as said; "" where it agrees."""
    labels = {"instance": "h", "severity": case.severity, **case.labels}
    alert = {"exp_labels": labels, "exp_annotations": {"summary": case.summary}}
    expected = [
        {
            "eval_time": f"{case.at * case.step_m}m",
            "alertname": name,
            "exp_alerts": [alert] if fired and name == case.alert else [],
        }
        for name in NAMES
    ]
    given = [{"series": with_instance(name), "values": values} for name, values in series.items()]
    step = f"{case.step_m}m"
    test: dict[str, Any] = {"interval": step, "input_series": given, "alert_rule_test": expected}
    file = folder / "case.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": step, "tests": [test]}))
    ran = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def with_instance(name: str) -> str:
    bare, _, labels = name.partition("{")
    return f'{bare}{{instance="h",{labels}' if labels else f'{bare}{{instance="h"}}'


@pytest.mark.packaging
@pytest.mark.parametrize("case", CASES, ids=[case.alert for case in CASES])
def test_it_fires_on_the_fault_it_is_for(promtool: str, case: Case, tmp_path: Path) -> None:
    """With its labels and its sentence, and no other alert does."""
    differs = judged(promtool, tmp_path, case, case.fires, fired=True)
    assert not differs, differs


@pytest.mark.packaging
@pytest.mark.parametrize(
    ("case", "series"),
    [pytest.param(case, each, id=f"{case.alert}-{n}") for case in CASES for n, each in enumerate(case.quiet)],
)
def test_it_does_not_fire_on_less(promtool: str, case: Case, series: Series, tmp_path: Path) -> None:
    """A value at the threshold, a fault that does not last, and the same fault of something else are no alarm."""
    differs = judged(promtool, tmp_path, case, series, fired=False)
    assert not differs, differs


def test_every_rule_has_its_case() -> None:
    """In the order of the file."""
    assert [case.alert for case in CASES] == NAMES


@pytest.mark.packaging
@pytest.mark.parametrize("name", ["prometheus.yml", "compose.prometheus.yml"])
def test_the_configuration_is_one_of_prometheus(promtool: str, name: str) -> None:
    """With the rules it names. The key's file is there in the container alone."""
    command = [promtool, "check", "config", "--syntax-only", str(RULES.with_name(name))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_metric_that_a_rule_names_is_exported() -> None:
    """Under the name that a scrape sees."""
    text = RULES.read_text("utf-8")
    named = set(
        re.findall(r"\b(hearth_\w+)", "\n".join(re.findall(r"expr: (?:>\n)?(.*?)\n {8}(?:for|labels)", text, re.S)))
    )
    assert named and named <= exported()
