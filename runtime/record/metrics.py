"""The Prometheus metrics: counters of settled requests, and gauges read at the moment of the scrape.

Knows names and labels; no engine, no breaker, no HTTP. Libraries cannot add to its registry, which is not the global one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from runtime import __version__
from runtime.chores import CHORE_STATES, ChoreView
from runtime.contract.engine import Gpu, ReplicaState, ReplicaView
from runtime.record.counters import OTHER, RequestCounters, Timing

OPENMETRICS = "application/openmetrics-text"
_BREAKER_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class JudgeGauges:
    """Of the judge's latest week. pairs: by outcome. flips, failed: shares. agreement, kappa: None without anchors."""

    trusted: bool
    evidence: float
    pairs: Mapping[str, int]
    flips: float
    failed: float
    agreement: float | None
    kappa: float | None
    usd: float


class FleetGauges(NamedTuple):
    """The other Hearths. peers: by address, True if it is alive, True if its version, settings or model differ, and seconds
    since it was heard. asked: requests passed on, by address and outcome. sent: requests about what is stored elsewhere, by
    the owner's name and outcome.
    """

    peers: Mapping[str, tuple[bool, bool, float | None]] = {}
    asked: Mapping[tuple[str, str], int] = {}
    sent: Mapping[tuple[str, str], int] = {}


_ALONE = FleetGauges()


class OthersGauges(NamedTuple):
    """Other Hearths' requests on an attached engine. hearths: that send to it. heard_s: since the one heard longest ago was."""

    waiting: int
    running: int
    hearths: int
    heard_s: float | None


@dataclass(frozen=True, slots=True)
class Gauges:
    """The values at the moment of a scrape.

    predicted_ttft_ms: by replica, in milliseconds. breakers, in_flight: by target label.
    budget: dollars by scope (all, a target, a key), period (day, month) and kind (limit, spent, reserved, left, total).
    thresholds: of `[escalation]`, by kind. loaded_at: unix seconds when the settings in force were read. viewers: of the page.
    demoted: 1 by target label and task ("": every task). judge: None until a week is judged. store: seconds for which the
    fleet's store has been away, 0 while it answers and without one.
    autoscale: replicas of the engine's cluster, by kind. others: by replica of an attached engine.
    """

    replicas: tuple[ReplicaView, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    predicted_ttft_ms: Mapping[str, float] = field(default_factory=dict)
    breakers: Mapping[str, str] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    decisions_dropped: int = 0
    chores: tuple[ChoreView, ...] = ()
    telemetry_dropped: int = 0
    budget: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    reload_refused: bool = False
    loaded_at: float = 0.0
    model: str = ""
    device: str = ""
    viewers: int = 0
    demoted: Mapping[tuple[str, str], float] = field(default_factory=dict)
    judge: JudgeGauges | None = None
    fleet: FleetGauges = _ALONE
    store: float = 0.0
    autoscale: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, OthersGauges] = field(default_factory=dict)


class Metrics:
    """read: reads the gauges, once per scrape. targets: labels with series of their own (`know` adds more)."""

    def __init__(self, read: Callable[[], Gauges], targets: Iterable[str] = ()) -> None:
        self.counters = RequestCounters(targets)
        self.settled = self.counters.settled  # counts one finished request
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(self.counters, read))

    def know(self, targets: Iterable[str]) -> None:
        self.counters.know(targets)

    def families(self) -> Iterable[Metric]:
        """The counters and gauges at this moment."""
        return self._registry.collect()

    def render(self, accept: str = "") -> tuple[str, bytes]:
        """Content type and body of `/metrics`. accept: the scraper's header; without OpenMetrics in it, Prometheus's text."""
        # Only these two: the library believes a version that a header makes up.
        encode, kind = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
        return kind, encode(self._registry)


class _Collector(Collector):
    """Reads once per scrape, so that all gauges of a scrape are of one moment."""

    def __init__(self, counters: RequestCounters, read: Callable[[], Gauges]) -> None:
        self._counters = counters
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._counters)
        yield from _times_and_tokens(self._counters)
        gauges = self._read()
        yield from _replicas(gauges)
        yield from _gpus(gauges)
        yield from _runtime(gauges, self._counters)
        yield from _settings(gauges)
        yield from _judge(gauges.judge)


_Rows = Iterable[tuple[tuple[str, ...], float]]


def _requests(counters: RequestCounters) -> Iterator[Metric]:
    labels = ("target", "reason", "status", "dialect")
    rows = [(key, count.value) for key, count in counters.requests.items()]
    yield _counter("hearth_requests", "Requests, by the target that answered and the reason", labels, rows)
    tried = [(key, count.value) for key, count in counters.exchanges.items()]
    yield _counter("hearth_attempts", "Exchanges with targets", ("target", "outcome"), tried)
    weakened = [((name,), count.value) for name, count in counters.degraded.items()]
    words = "Answers from which a parameter of the request was dropped or weakened, or that are degraded otherwise"
    yield _counter("hearth_degraded", words, ("parameter",), weakened)
    left = _rows(counters.escalated())
    yield _counter("hearth_escalations", "Requests answered off the engine", ("reason",), left)


def _times_and_tokens(counters: RequestCounters) -> Iterator[Metric]:
    whole = {label: target.seconds for label, target in counters.targets.items()}
    first = {label: target.ttft for label, target in counters.targets.items()}
    yield _histogram("hearth_request_seconds", "From arrival to the last byte", whole)
    yield _histogram("hearth_ttft_seconds", "From arrival to the first token", first)
    missed = {label: target.missed for label, target in counters.targets.items() if target.local}
    words = "Distance of the predicted time to a first token from the measured one"
    yield _histogram("hearth_ttft_prediction_error_seconds", words, missed)
    used = [((label, kind), n) for label, target in counters.targets.items() for kind, n in target.tokens().items()]
    yield _counter(
        "hearth_tokens", "Tokens of all exchanges with a target, as it counted them", ("target", "kind"), used
    )
    paid = [((label,), target.cost_usd) for label, target in counters.targets.items() if target.cost_usd]
    yield _counter("hearth_cost_usd", "Dollars for all exchanges with a target", ("target",), paid)


def _replicas(gauges: Gauges) -> Iterator[Metric]:
    every = [
        ((view.name, str(state)), float(view.state is state)) for view in gauges.replicas for state in ReplicaState
    ]
    yield _gauge("hearth_engine_state", "1 for the state a replica is in", ("replica", "state"), every)
    restarts = [((view.name,), view.restarts) for view in gauges.replicas]
    yield _counter("hearth_engine_restarts", "Restarts of a replica", ("replica",), restarts)
    reporting = [((view.name,), view.telemetry) for view in gauges.replicas if view.telemetry]
    one = ("replica",)
    waiting, running = [(n, t.waiting) for n, t in reporting], [(n, t.running) for n, t in reporting]
    yield _gauge("hearth_queue_waiting", "Requests waiting in the engine, as it reports them", one, waiting)
    yield _gauge("hearth_queue_running", "Requests running in the engine, as it reports them", one, running)
    yield _gauge("hearth_kv_cache_ratio", "KV cache in use, 0 to 1", one, [(n, t.kv_cache) for n, t in reporting])
    inside = [((view.name,), view.in_flight) for view in gauges.replicas]
    yield _gauge("hearth_replica_in_flight", "Requests sent to a replica and not yet answered", one, inside)
    predicted = {name: ms / 1000 for name, ms in gauges.predicted_ttft_ms.items()}
    yield _gauge("hearth_predicted_ttft_seconds", "Predicted time to first token", one, _rows(predicted))


def _gpus(gauges: Gauges) -> Iterator[Metric]:
    gpus = [((str(gpu.index), gpu.name), gpu) for gpu in gauges.gpus]
    labels = ("gpu", "name")
    yield _gauge("hearth_gpu_utilization_ratio", "Time any kernel ran", labels, [(k, g.utilization) for k, g in gpus])
    yield _gauge("hearth_gpu_memory_used_bytes", "Memory in use", labels, [(k, g.memory_used) for k, g in gpus])
    yield _gauge("hearth_gpu_memory_total_bytes", "Memory", labels, [(k, g.memory_total) for k, g in gpus])


def _runtime(gauges: Gauges, counters: RequestCounters) -> Iterator[Metric]:
    # Models that clients pin have breakers and requests too: they get no series of their own.
    breakers = {who: state for who, state in gauges.breakers.items() if counters.label(who) != OTHER}
    states = [((who, s), float(s == now)) for who, now in breakers.items() for s in _BREAKER_STATES]
    yield _gauge("hearth_breaker_state", "1 for the state a target's breaker is in", ("target", "state"), states)
    running = dict.fromkeys(counters.targets, 0)  # a target that is idle now keeps its series
    for who, number in gauges.in_flight.items():
        label = counters.label(who)
        running[label] = running.get(label, 0) + number
    yield _gauge("hearth_in_flight", "Requests running now", ("target",), _rows(running))
    chores = [((each.name, state), float(each.state == state)) for each in gauges.chores for state in CHORE_STATES]
    yield _gauge("hearth_chore_state", "1 for the state a background task is in", ("chore", "state"), chores)
    again = [((each.name,), each.restarts) for each in gauges.chores]
    yield _counter("hearth_chore_restarts", "Restarts of a background task that failed", ("chore",), again)
    words = "Dollars of a day and a month: the limit, what is spent here, reserved and left of it, and spent in a fleet (total)"
    yield _gauge("hearth_budget_usd", words, ("scope", "period", "kind"), gauges.budget.items())
    behind = "1 for a target that failed its golden set for a task"
    yield _gauge("hearth_target_demoted", behind, ("target", "task"), gauges.demoted.items())
    yield from _fleet(gauges.fleet)
    words = "Seconds since the store of the fleet went away, 0 while it answers and without one"
    yield _gauge("hearth_fleet_store_away_seconds", words, (), [((), gauges.store)])
    yield from _others(gauges.others)
    words = "Replicas of the engine's Ray cluster: running, the cluster's target, and as many as are wanted here"
    yield _gauge("hearth_autoscale_replicas", words, ("kind",), _rows(gauges.autoscale))
    lost = [((), gauges.decisions_dropped)]
    yield _counter("hearth_decisions_dropped", "Decision records that could not be saved", (), lost)
    untold = [((), gauges.telemetry_dropped)]
    yield _counter("hearth_telemetry_dropped", "Requests whose spans did not reach the collector", (), untold)


def _fleet(fleet: FleetGauges) -> Iterator[Metric]:
    peers, words = fleet.peers.items(), "1 for another Hearth that was heard within three seconds"
    yield _gauge(
        "hearth_fleet_peer_alive", words, ("peer",), [((name,), float(alive)) for name, (alive, _, _) in peers]
    )
    words = "1 for another Hearth whose version, settings or model are not as here"
    yield _gauge(
        "hearth_fleet_peer_differs", words, ("peer",), [((name,), float(other)) for name, (_, other, _) in peers]
    )
    heard = [((name,), ago) for name, (_, _, ago) in peers if ago is not None]
    yield _gauge("hearth_fleet_peer_heard_seconds", "Seconds since another Hearth was heard", ("peer",), heard)
    words = "Requests that another Hearth was asked to answer, by the outcome"
    yield _counter("hearth_fleet_asked", words, ("peer", "outcome"), fleet.asked.items())
    words = "Requests about what another Hearth stores, by the outcome: answered, or the owner is away"
    yield _counter("hearth_fleet_forwarded", words, ("owner", "outcome"), fleet.sent.items())


def _others(others: Mapping[str, OthersGauges]) -> Iterator[Metric]:
    rows = [((name, "waiting"), each.waiting) for name, each in others.items()]
    rows += [((name, "running"), each.running) for name, each in others.items()]
    words = "Requests that other Hearths have on an attached engine, as they were last heard"
    yield _gauge("hearth_fleet_others_in_flight", words, ("replica", "state"), rows)
    heard = [((name,), each.heard_s) for name, each in others.items() if each.heard_s is not None]
    words = "Seconds since the Hearth that was heard longest ago told what it has on an attached engine"
    yield _gauge("hearth_fleet_others_heard_seconds", words, ("replica",), heard)
    words = "Hearths that send to an attached engine, this one included, as they were last heard"
    yield _gauge(
        "hearth_fleet_hearths", words, ("replica",), [((name,), each.hearths) for name, each in others.items()]
    )


def _settings(gauges: Gauges) -> Iterator[Metric]:
    words = "Thresholds of [escalation], to draw beside the values"
    yield _gauge("hearth_threshold", words, ("kind",), _rows(gauges.thresholds))
    words = "1 if the settings file as it is now is in force, 0 if its latest reload was refused"
    yield _gauge("hearth_settings_reload_success", words, (), [((), float(not gauges.reload_refused))])
    words = "When the settings in force were read, in unix seconds"
    yield _gauge("hearth_settings_reload_timestamp_seconds", words, (), [((), gauges.loaded_at)])
    yield _gauge("hearth_build_info", "1, with the version", ("version",), [((__version__,), 1.0)])
    model = [((gauges.model, gauges.device), 1.0)] if gauges.model else []
    yield _gauge("hearth_engine_model_info", "1, with the engine's model and device", ("model", "device"), model)
    yield _gauge("hearth_dashboard_viewers", "Open pages of the dashboard", (), [((), gauges.viewers)])


def _judge(judge: JudgeGauges | None) -> Iterator[Metric]:
    pairs = {} if judge is None else judge.pairs
    words = "Pairs of the judge's latest week: a or b better in both orders, tie, flipped with the order, no_verdict"
    yield _gauge("hearth_judge_pairs", words, ("outcome",), _rows(pairs))
    values = (
        ("trusted", "1 if the judge agrees with its anchors and is not suspected to have changed", "trusted"),
        ("drift_evidence", "Evidence that the judge has changed; from 1,000 on its verdicts are void", "evidence"),
        ("flip_ratio", "Share of the judge's latest pairs that it decided otherwise in the other order", "flips"),
        ("no_verdict_ratio", "Share of the judge's latest pairs without a verdict", "failed"),
        ("agreement_ratio", "Share of the anchors that the judge decided as their label does", "agreement"),
        ("kappa", "The judge's agreement with the labels of the anchors, without what is chance", "kappa"),
        ("cost_usd", "Dollars of the judge's latest week, with the answers that it compared", "usd"),
    )
    for name, words, member in values:
        value = None if judge is None else getattr(judge, member)
        yield _gauge(f"hearth_judge_{name}", words, (), [] if value is None else [((), float(value))])


def _rows(values: Mapping[str, float]) -> _Rows:
    return [((name,), value) for name, value in values.items()]


def _gauge(name: str, words: str, labels: tuple[str, ...], rows: _Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _counter(name: str, words: str, labels: tuple[str, ...], rows: _Rows) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _histogram(name: str, words: str, timings: Mapping[str, Timing]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, words, labels=("target",))
    for target, timing in timings.items():
        family.add_metric((target,), buckets=list(timing.cumulative()), sum_value=timing.total)
    return family
