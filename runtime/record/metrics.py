"""What Prometheus reads: the tally of settled requests, and gauges read at the moment of the scrape.

Knows names and labels; no engine, no breaker, no HTTP. A registry of its own: nobody else can add to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from runtime.contract.engine import Gpu, ReplicaState, ReplicaView
from runtime.record.decisions import Decision
from runtime.record.tally import Tally, Timing

_BREAKER_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Reading:
    """The moment of a scrape. predicted_ttft_ms by replica, in milliseconds; breakers and in_flight by target label."""

    replicas: tuple[ReplicaView, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    predicted_ttft_ms: Mapping[str, float] = field(default_factory=dict)
    breakers: Mapping[str, str] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    decisions_dropped: int = 0


class Metrics:
    """read: gives the gauges when they are asked for. targets: labels with series of their own (`know` adds more)."""

    def __init__(self, read: Callable[[], Reading], targets: Iterable[str] = ()) -> None:
        self._tally = Tally(targets)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(self._tally, read))

    def know(self, targets: Iterable[str]) -> None:
        self._tally.know(targets)

    def settled(self, decision: Decision) -> None:
        """Counts one finished request."""
        self._tally.settled(decision)

    def render(self) -> tuple[str, bytes]:
        """Content type and body of `/metrics`."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)


class _Collector(Collector):
    """Reads once per scrape, so that all gauges of a scrape are of one moment."""

    def __init__(self, tally: Tally, read: Callable[[], Reading]) -> None:
        self._tally = tally
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._tally)
        yield from _times_and_tokens(self._tally)
        reading = self._read()
        yield from _engine(reading)
        yield from _replica_load(reading)
        yield from _gpus(reading)
        yield from _runtime(reading)


_Rows = Iterable[tuple[tuple[str, ...], float]]


def _requests(tally: Tally) -> Iterator[Metric]:
    labels = ("target", "reason", "status", "dialect")
    rows = [(key, count.value) for key, count in tally.requests.items()]
    yield _counter("hearth_requests", "Requests, by who answered and why", labels, rows)
    tried = [(key, count.value) for key, count in tally.attempts.items()]
    yield _counter("hearth_attempts", "Exchanges with targets", ("target", "outcome"), tried)
    left = _rows(tally.escalated())
    yield _counter("hearth_escalations", "Requests answered off the engine", ("reason",), left)


def _times_and_tokens(tally: Tally) -> Iterator[Metric]:
    whole = {label: target.seconds for label, target in tally.targets.items()}
    first = {label: target.ttft for label, target in tally.targets.items()}
    yield _histogram("hearth_request_seconds", "From arrival to the last byte", whole)
    yield _histogram("hearth_ttft_seconds", "From arrival to the first token", first)
    used = [((label, kind), n) for label, target in tally.targets.items() for kind, n in target.tokens().items()]
    yield _counter("hearth_tokens", "Tokens, as the answering target counted them", ("target", "kind"), used)


def _engine(reading: Reading) -> Iterator[Metric]:
    every = [
        ((view.name, str(state)), float(view.state is state)) for view in reading.replicas for state in ReplicaState
    ]
    yield _gauge("hearth_engine_state", "1 for the state a replica is in", ("replica", "state"), every)
    restarts = [((view.name,), view.restarts) for view in reading.replicas]
    yield _counter("hearth_engine_restarts", "Restarts of a replica", ("replica",), restarts)


def _replica_load(reading: Reading) -> Iterator[Metric]:
    heard = [((view.name,), view.telemetry) for view in reading.replicas if view.telemetry]
    one = ("replica",)
    yield _gauge("hearth_queue_waiting", "Waiting, by the engine's word", one, [(n, t.waiting) for n, t in heard])
    yield _gauge("hearth_queue_running", "Running, by the engine's word", one, [(n, t.running) for n, t in heard])
    yield _gauge("hearth_kv_cache_ratio", "KV cache in use, 0 to 1", one, [(n, t.kv_cache) for n, t in heard])
    inside = [((view.name,), view.in_flight) for view in reading.replicas]
    yield _gauge("hearth_replica_in_flight", "Requests of ours inside a replica", one, inside)
    predicted = {name: ms / 1000 for name, ms in reading.predicted_ttft_ms.items()}
    yield _gauge("hearth_predicted_ttft_seconds", "Predicted time to first token", one, _rows(predicted))


def _gpus(reading: Reading) -> Iterator[Metric]:
    gpus = [((str(gpu.index), gpu.name), gpu) for gpu in reading.gpus]
    labels = ("gpu", "name")
    yield _gauge("hearth_gpu_utilization_ratio", "Time any kernel ran", labels, [(k, g.utilization) for k, g in gpus])
    yield _gauge("hearth_gpu_memory_used_bytes", "Memory in use", labels, [(k, g.memory_used) for k, g in gpus])
    yield _gauge("hearth_gpu_memory_total_bytes", "Memory", labels, [(k, g.memory_total) for k, g in gpus])


def _runtime(reading: Reading) -> Iterator[Metric]:
    states = [((who, s), float(s == now)) for who, now in reading.breakers.items() for s in _BREAKER_STATES]
    yield _gauge("hearth_breaker_state", "1 for the state a target's breaker is in", ("target", "state"), states)
    yield _gauge("hearth_in_flight", "Requests running now", ("target",), _rows(reading.in_flight))
    lost = [((), reading.decisions_dropped)]
    yield _counter("hearth_decisions_dropped", "Decision records that could not be saved in time", (), lost)


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
