"""Counters of settled requests, kept as plain integers so that counting costs a request three microseconds.

Knows labels and bounds them; `metrics` exposes them. A model that a client pins becomes a label only if it is a known
target, and every other label comes from a closed list, so the configuration bounds the number of series. Not
thread-safe: the event loop counts, and it serves the scrapes too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from runtime.contract.failures import Kind
from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL
from runtime.record.decisions import CANCELLED, OK, Decision, Exchange

OTHER = "other"
NONE = "none"  # no target answered
BUCKETS_S: tuple[float, ...] = tuple(
    round(0.01 * 2**step, 2) for step in range(16)
)  # as OpenTelemetry has them, up to 327.68

_OUTCOMES = frozenset({OK, CANCELLED, *(str(kind) for kind in Kind)})
_REASONS = frozenset(str(reason) for reason in Reason)
_LOCAL = f"{LOCAL}/"
_MOST_LOCAL = 100  # models that engines name after the start
_MOST_DIALECTS = 20  # a bound against a bug: clients cannot invent a dialect
_MOST_DEGRADED = 100  # the same: the names are those of parameters that some target does not take
_MOST_KEYS = 1000  # cached label sets; beyond that they are looked up each time


class Timing:
    """A histogram of seconds. counts: per bucket, not cumulative, the last one unbounded."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[str, float]]:
        """(upper bound, count) pairs as Prometheus writes them."""
        return zip((*map(str, BUCKETS_S), "+Inf"), map(float, accumulate(self.counts)), strict=True)


class TargetCounters:
    """One target: the times of its answers, and the tokens and dollars of all exchanges with it.

    missed: how far the predicted times to a first token were from the measured ones.
    """

    __slots__ = ("cached", "completion", "cost_usd", "local", "missed", "prompt", "reasoning", "seconds", "ttft")

    def __init__(self, local: bool) -> None:
        self.local = local
        self.seconds = Timing()
        self.ttft = Timing()
        self.missed = Timing()
        self.prompt = self.cached = self.completion = self.reasoning = 0
        self.cost_usd = 0.0

    def answered(self, decision: Decision) -> None:
        """Counts the times of a request that this target answered."""
        self.seconds.observe(decision.total_ms / 1000)
        if decision.ttft_ms is not None:
            self.ttft.observe(decision.ttft_ms / 1000)
            engine = getattr(decision.kept, "engine", None) if self.local else None
            if engine is not None and engine.predicted_ttft_s:
                self.missed.observe(abs(decision.ttft_ms / 1000 - engine.predicted_ttft_s))

    def used(self, exchange: Exchange) -> None:
        """Counts tokens and dollars; an unknown cost counts as none."""
        self.prompt += exchange.prompt_tokens
        self.cached += exchange.cached_tokens
        self.completion += exchange.completion_tokens
        self.reasoning += exchange.reasoning_tokens
        self.cost_usd += exchange.cost_usd or 0.0

    def tokens(self) -> Mapping[str, int]:
        return {
            "prompt": self.prompt,
            "cached": self.cached,
            "completion": self.completion,
            "reasoning": self.reasoning,
        }


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


RequestLabels = tuple[str, str, str, str]  # target, reason, status class, dialect
ExchangeLabels = tuple[str, str]  # target, outcome


class RequestCounters:
    """Counts settled requests. Public members are for the scrape to read."""

    def __init__(self, targets: Iterable[str] = ()) -> None:
        self.requests: dict[RequestLabels, Count] = {}
        self.exchanges: dict[ExchangeLabels, Count] = {}
        self.targets: dict[str, TargetCounters] = {}
        self.degraded: dict[str, Count] = {}
        self._known: set[str] = {NONE}
        self._local: set[str] = set()
        self._dialects: set[str] = set()
        self._by_request: dict[tuple[str | None, str, int, str], tuple[Count, TargetCounters]] = {}
        self._by_exchange: dict[tuple[str, str], tuple[Count, TargetCounters]] = {}
        self.know(targets)

    def know(self, targets: Iterable[str]) -> None:
        """Adds labels that get series of their own; all others count as `other`. Labels are never forgotten."""
        self._known.update(targets)
        self._by_request.clear()
        self._by_exchange.clear()

    def settled(self, decision: Decision) -> None:
        """Counts one finished request, and each of its exchanges for the target it was made with."""
        key = (decision.target, decision.reason, decision.status, decision.dialect)
        count, target = self._by_request.get(key) or self._find_request(key)
        count.value += 1
        target.answered(decision)
        for part in decision.degraded:
            name = part if part in self.degraded or len(self.degraded) < _MOST_DEGRADED else OTHER
            self.degraded.setdefault(name, Count()).value += 1
        for exchange in decision.attempts:
            tried = (exchange.target, exchange.outcome)
            count, tried_target = self._by_exchange.get(tried) or self._find_exchange(tried)
            count.value += 1
            tried_target.used(exchange)

    def escalated(self) -> Mapping[str, int]:
        """Requests that a target other than the engine answered, by reason."""
        found: dict[str, int] = {}
        for (target, reason, _, _), count in self.requests.items():
            if target != NONE and not self.targets[target].local:
                found[reason] = found.get(reason, 0) + count.value
        return found

    def label(self, target: str) -> str:
        """A target's own label if it is known, else `other`.

        Models of the engine become known here: clients cannot invent them, and an attached server names its model late.
        """
        if target in self._known or target in self._local:
            return target
        if target.startswith(_LOCAL) and len(self._local) < _MOST_LOCAL:
            self._local.add(target)
            return target
        return OTHER

    def _find_request(self, key: tuple[str | None, str, int, str]) -> tuple[Count, TargetCounters]:
        answered, reason, status, dialect = key
        label = self.label(answered or NONE)
        if len(self._dialects) < _MOST_DIALECTS:
            self._dialects.add(dialect)
        labels = (
            label,
            reason if reason in _REASONS else OTHER,
            f"{status // 100}xx",
            dialect if dialect in self._dialects else OTHER,
        )
        found = self.requests.setdefault(labels, Count()), self._target(label)
        if label != OTHER and len(self._by_request) < _MOST_KEYS:
            self._by_request[key] = found
        return found

    def _find_exchange(self, tried: tuple[str, str]) -> tuple[Count, TargetCounters]:
        label, outcome = self.label(tried[0]), tried[1] if tried[1] in _OUTCOMES else OTHER
        found = self.exchanges.setdefault((label, outcome), Count()), self._target(label)
        if label != OTHER and len(self._by_exchange) < _MOST_KEYS:
            self._by_exchange[tried] = found
        return found

    def _target(self, label: str) -> TargetCounters:
        return self.targets.setdefault(label, TargetCounters(label.startswith(_LOCAL)))
