"""Counters of settled requests: plain integers of the loop, so that counting costs a request three microseconds.

Knows labels and bounds them; not how they are exposed (`metrics`). What a client can invent (a model it pins) becomes
a label only when it is a known target, so the number of series is bounded by the configuration. Not thread-safe: it
belongs to the loop, scrapes included.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from runtime.contract.failures import Kind
from runtime.contract.targets import LOCAL
from runtime.record.decisions import CANCELLED, OK, Decision

OTHER = "other"
NONE = "none"  # nobody answered
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0)

_OUTCOMES = frozenset({OK, CANCELLED, *(str(kind) for kind in Kind)})
_MOST_NAMES = 100  # distinct reasons and dialects: a bound against a caller's slip, never reached in service
_LOCAL = f"{LOCAL}/"
_MOST_KEYS = 1000  # remembered label sets; beyond, they are worked out anew each time


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


class TargetTally:
    """What one target answered. Tokens as it counted them."""

    __slots__ = ("cached", "completion", "local", "prompt", "reasoning", "seconds", "ttft")

    def __init__(self, local: bool) -> None:
        self.local = local
        self.seconds = Timing()
        self.ttft = Timing()
        self.prompt = self.cached = self.completion = self.reasoning = 0

    def count(self, decision: Decision) -> None:
        self.seconds.observe(decision.total_ms / 1000)
        if decision.ttft_ms is not None:
            self.ttft.observe(decision.ttft_ms / 1000)
        self.prompt += decision.prompt_tokens
        self.cached += decision.cached_tokens
        self.completion += decision.completion_tokens
        self.reasoning += decision.reasoning_tokens

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
AttemptLabels = tuple[str, str]  # target, outcome


class Tally:
    """Counts what it is told. Public members are for the scrape to read."""

    def __init__(self, targets: Iterable[str] = ()) -> None:
        self.requests: dict[RequestLabels, Count] = {}
        self.attempts: dict[AttemptLabels, Count] = {}
        self.targets: dict[str, TargetTally] = {}
        self._known: set[str] = {NONE}
        self._names: set[str] = set()
        self._by_request: dict[tuple[str | None, str, int, str], tuple[Count, TargetTally]] = {}
        self._by_attempt: dict[tuple[str, str], Count] = {}
        self.know(targets)

    def know(self, targets: Iterable[str]) -> None:
        """Labels of targets that get series of their own; all others count as `other`. What is known stays known."""
        self._known.update(targets)
        self._by_request.clear()
        self._by_attempt.clear()

    def settled(self, decision: Decision) -> None:
        """Counts one finished request."""
        key = (decision.target, decision.reason, decision.status, decision.dialect)
        count, target = self._by_request.get(key) or self._find_request(key)
        count.value += 1
        target.count(decision)
        for attempt in decision.attempts:
            tried = (attempt.target, attempt.outcome)
            (self._by_attempt.get(tried) or self._find_attempt(tried)).value += 1

    def escalated(self) -> Mapping[str, int]:
        """Requests that were answered off the engine, by reason."""
        found: dict[str, int] = {}
        for (target, reason, _, _), count in self.requests.items():
            if target != NONE and not self.targets[target].local:
                found[reason] = found.get(reason, 0) + count.value
        return found

    def _find_request(self, key: tuple[str | None, str, int, str]) -> tuple[Count, TargetTally]:
        answered, reason, status, dialect = key
        label = self._target(answered or NONE)
        labels = (label, self._name(reason), f"{status // 100}xx", self._name(dialect))
        local = label.startswith(_LOCAL)
        found = self.requests.setdefault(labels, Count()), self.targets.setdefault(label, TargetTally(local))
        if len(self._by_request) < _MOST_KEYS:
            self._by_request[key] = found
        return found

    def _find_attempt(self, tried: tuple[str, str]) -> Count:
        target, outcome = tried
        labels = (self._target(target), outcome if outcome in _OUTCOMES else OTHER)
        found = self.attempts.setdefault(labels, Count())
        if len(self._by_attempt) < _MOST_KEYS:
            self._by_attempt[tried] = found
        return found

    def _target(self, label: str) -> str:
        """What the engine serves is known too: a client cannot invent it, and an attached server names it late."""
        if label.startswith(_LOCAL) and len(self._known) < _MOST_NAMES:
            self._known.add(label)
        return label if label in self._known else OTHER

    def _name(self, name: str) -> str:
        if len(self._names) < _MOST_NAMES:
            self._names.add(name)
        return name if name in self._names else OTHER
