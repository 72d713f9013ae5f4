"""The Prometheus metrics are right, complete and bounded."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from runtime.contract.engine import Gpu, ReplicaState, ReplicaView, Telemetry
from runtime.record.decisions import Decision, Exchange
from runtime.record.metrics import Gauges, Metrics

LOCAL = "local/m"
CLOUD = "openai/x"

DECISION = Decision(
    id="dec_0000000000000001",
    at=1.0,
    dialect="openai_chat",
    model="auto",
    target=LOCAL,
    ttft_ms=40.0,
    total_ms=900.0,
    prompt_tokens=100,
    cached_tokens=60,
    completion_tokens=20,
    attempts=(Exchange(LOCAL, "r0", 0.1, 900.0, prompt_tokens=100, cached_tokens=60, completion_tokens=20),),
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(metrics: Metrics) -> Samples:
    """Every sample by its name and sorted labels, through Prometheus's own parser."""
    content_type, body = metrics.render()
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, /, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def test_a_settled_request_is_counted_with_its_times_and_tokens() -> None:
    """One request moves requests, both histograms, tokens and attempts."""
    metrics = Metrics(Gauges, [LOCAL, CLOUD])
    metrics.settled(DECISION)
    seen = scrape(metrics)
    labels = {"target": LOCAL, "reason": "default", "status": "2xx", "dialect": "openai_chat"}
    assert value(seen, "hearth_requests_total", **labels) == 1
    assert value(seen, "hearth_request_seconds_bucket", target=LOCAL, le="0.64") == 0
    assert value(seen, "hearth_request_seconds_bucket", target=LOCAL, le="1.28") == 1
    assert value(seen, "hearth_request_seconds_sum", target=LOCAL) == 0.9
    assert value(seen, "hearth_ttft_seconds_count", target=LOCAL) == 1
    assert value(seen, "hearth_tokens_total", target=LOCAL, kind="prompt") == 100
    assert value(seen, "hearth_tokens_total", target=LOCAL, kind="cached") == 60
    assert value(seen, "hearth_attempts_total", target=LOCAL, outcome="ok") == 1


def test_a_scraper_that_accepts_openmetrics_gets_the_same_samples() -> None:
    """As Prometheus asks for it; whoever names other types, or none, gets the text format in the version it is."""
    metrics = Metrics(lambda: Gauges(in_flight={LOCAL: 2}, model="m"), [LOCAL, CLOUD])
    metrics.settled(DECISION)
    kind, body = metrics.render("application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*")
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families: Any = openmetrics(body.decode())  # type: ignore[no-untyped-call] # the library has no types there
    found = [sample for family in families for sample in family.samples]
    assert {(s.name, tuple(sorted(s.labels.items()))): s.value for s in found} == scrape(metrics)
    for accept in ("", "*/*", "text/html,application/xml", "text/plain;version=1.0.0"):
        assert metrics.render(accept)[0] == "text/plain; version=0.0.4; charset=utf-8"


def test_an_idle_target_keeps_its_series() -> None:
    """Zero requests in flight, so that a chart of them has no gap."""
    metrics = Metrics(Gauges, [LOCAL])
    metrics.settled(DECISION)
    assert value(scrape(metrics), "hearth_in_flight", target=LOCAL) == 0


def test_what_left_the_box_is_an_escalation_by_its_reason() -> None:
    """Local answers and requests nobody answered are none."""
    metrics = Metrics(Gauges, [LOCAL, CLOUD])
    metrics.settled(DECISION)
    metrics.settled(msgspec.structs.replace(DECISION, target=CLOUD, reason="queue_depth"))
    metrics.settled(msgspec.structs.replace(DECISION, target=None, reason="queue_depth", status=503))
    seen = scrape(metrics)
    assert value(seen, "hearth_escalations_total", reason="queue_depth") == 1
    assert value(seen, "hearth_escalations_total", reason="default") is None


def test_names_a_client_invents_make_no_series() -> None:
    """Ten thousand pinned models, reasons and outcomes share one series each, and hide no real reason."""
    metrics = Metrics(Gauges, [LOCAL])
    for number in range(10_000):
        label = f"openrouter/invented-{number}"
        attempts = (Exchange(label, "api", 0, 1, outcome=f"odd-{number}"),)
        metrics.settled(msgspec.structs.replace(DECISION, target=label, reason=f"odd-{number}", attempts=attempts))
    metrics.settled(msgspec.structs.replace(DECISION, reason="queue_depth"))
    seen = scrape(metrics)
    labels = {"status": "2xx", "dialect": "openai_chat"}
    assert value(seen, "hearth_requests_total", target="other", reason="other", **labels) == 10_000
    assert value(seen, "hearth_requests_total", target=LOCAL, reason="queue_depth", **labels) == 1
    assert value(seen, "hearth_attempts_total", target="other", outcome="other") == 10_000
    assert len(seen) < 150


def test_gauges_of_invented_names_share_one_series() -> None:
    """The breakers and requests in flight of models that clients pin are not listed one by one."""
    labels = [f"openrouter/invented-{number}" for number in range(10_000)]
    gauges = Gauges(breakers=dict.fromkeys([*labels, LOCAL], "open"), in_flight=dict.fromkeys([*labels, LOCAL], 1))
    seen = scrape(Metrics(lambda: gauges, [LOCAL]))
    assert value(seen, "hearth_in_flight", target="other") == 10_000
    assert value(seen, "hearth_in_flight", target=LOCAL) == 1
    assert value(seen, "hearth_breaker_state", target=LOCAL, state="open") == 1
    assert len(seen) < 150


def test_tokens_and_dollars_are_counted_for_the_target_of_each_exchange() -> None:
    """A cut exchange and a repair are paid too, by the target they were made with."""
    metrics = Metrics(Gauges, [LOCAL, CLOUD])
    attempts = (
        Exchange(CLOUD, "api", 0, 1, outcome="broken_stream", prompt_tokens=100, completion_tokens=7, cost_usd=0.25),
        Exchange(CLOUD, "api", 1, 2, outcome="busy"),
        Exchange(LOCAL, "r0", 2, 3, prompt_tokens=90, completion_tokens=20, cached_tokens=60, reasoning_tokens=5),
    )
    metrics.settled(msgspec.structs.replace(DECISION, prompt_tokens=190, attempts=attempts, cost_usd=0.25))
    seen = scrape(metrics)
    assert value(seen, "hearth_tokens_total", target=CLOUD, kind="prompt") == 100
    assert value(seen, "hearth_tokens_total", target=CLOUD, kind="completion") == 7
    assert value(seen, "hearth_tokens_total", target=LOCAL, kind="prompt") == 90
    assert value(seen, "hearth_tokens_total", target=LOCAL, kind="reasoning") == 5
    assert value(seen, "hearth_cost_usd_total", target=CLOUD) == 0.25
    assert value(seen, "hearth_cost_usd_total", target=LOCAL) is None
    assert value(seen, "hearth_ttft_seconds_count", target=CLOUD) == 0


def test_a_target_made_known_later_gets_its_own_series() -> None:
    """After a reload new targets are counted by name."""
    metrics = Metrics(Gauges)
    metrics.know([CLOUD])
    metrics.settled(msgspec.structs.replace(DECISION, target=CLOUD))
    assert value(scrape(metrics), "hearth_ttft_seconds_count", target=CLOUD) == 1


def test_a_model_the_engine_names_late_is_known() -> None:
    """An attached server says what it serves after the start; its requests are counted by that name, and as local."""
    metrics = Metrics(Gauges)
    metrics.settled(msgspec.structs.replace(DECISION, target="local/found-later"))
    seen = scrape(metrics)
    assert value(seen, "hearth_ttft_seconds_count", target="local/found-later") == 1
    assert not [name for name, _ in seen if name.startswith("hearth_escalations")]


def test_gauges_are_read_at_the_scrape() -> None:
    """Replicas, GPU, breakers and losses show their state of that moment."""
    view = ReplicaView(
        "r0",
        ReplicaState.READY,
        since=1.0,
        restarts=2,
        in_flight=3,
        telemetry=Telemetry(at=1.0, waiting=4, running=8, kv_cache=0.25),
    )
    state = Gauges(
        replicas=(view, replace(view, name="r1", state=ReplicaState.STARTING, telemetry=None)),
        gpus=(Gpu(0, "H100", 80, 40, 0.5, 1.0),),
        predicted_ttft_ms={"r0": 250.0},
        breakers={CLOUD: "open"},
        in_flight={CLOUD: 2},
        decisions_dropped=5,
    )
    seen = scrape(Metrics(lambda: state, [CLOUD]))
    assert value(seen, "hearth_engine_state", replica="r0", state="ready") == 1
    assert value(seen, "hearth_engine_state", replica="r1", state="ready") == 0
    assert value(seen, "hearth_engine_restarts_total", replica="r0") == 2
    assert value(seen, "hearth_queue_waiting", replica="r0") == 4
    assert value(seen, "hearth_queue_waiting", replica="r1") is None
    assert value(seen, "hearth_predicted_ttft_seconds", replica="r0") == 0.25
    assert value(seen, "hearth_gpu_memory_used_bytes", gpu="0", name="H100") == 40
    assert value(seen, "hearth_breaker_state", target=CLOUD, state="open") == 1
    assert value(seen, "hearth_in_flight", target=CLOUD) == 2
    assert value(seen, "hearth_decisions_dropped_total") == 5


def test_the_budget_is_shown_by_scope_period_and_kind() -> None:
    """The composition root reads the ledger; a scope without a limit has neither limit nor rest."""
    gauges = Gauges(budget={("all", "day", "left"): 18.25, ("key:k", "month", "spent"): 2.0})
    seen = scrape(Metrics(lambda: gauges))
    assert value(seen, "hearth_budget_usd", scope="all", period="day", kind="left") == 18.25
    assert value(seen, "hearth_budget_usd", scope="key:k", period="month", kind="spent") == 2.0


def test_degraded_answers_and_wrong_predictions_are_counted() -> None:
    """By the parameter's name, of which there is a bounded number; a prediction by its distance from the measured time."""
    metrics = Metrics(Gauges, [LOCAL, CLOUD])
    kept = SimpleNamespace(engine=SimpleNamespace(predicted_ttft_s=0.5))
    metrics.settled(msgspec.structs.replace(DECISION, degraded=("temperature", "no_target"), kept=kept))
    metrics.settled(msgspec.structs.replace(DECISION, target=CLOUD, kept=kept))
    for number in range(200):
        metrics.settled(msgspec.structs.replace(DECISION, degraded=(f"p{number}",)))
    seen = scrape(metrics)
    assert value(seen, "hearth_degraded_total", parameter="temperature") == 1
    assert value(seen, "hearth_degraded_total", parameter="other") == 102
    assert value(seen, "hearth_ttft_prediction_error_seconds_count", target=LOCAL) == 1
    assert value(seen, "hearth_ttft_prediction_error_seconds_sum", target=LOCAL) == 0.46
    assert value(seen, "hearth_ttft_prediction_error_seconds_count", target=CLOUD) is None


def test_settings_and_model_are_shown_beside_the_values() -> None:
    """Thresholds to draw, whether the file is in force, and which build and model run."""
    gauges = Gauges(
        thresholds={"queue": 5.0}, reload_refused=True, loaded_at=7.0, model="small", device="cpu", viewers=2
    )
    seen = scrape(Metrics(lambda: gauges))
    assert value(seen, "hearth_threshold", kind="queue") == 5
    assert value(seen, "hearth_settings_reload_success") == 0
    assert value(seen, "hearth_settings_reload_timestamp_seconds") == 7
    assert value(seen, "hearth_engine_model_info", model="small", device="cpu") == 1
    assert value(seen, "hearth_dashboard_viewers") == 2
    assert any(name == "hearth_build_info" for name, _ in seen)
