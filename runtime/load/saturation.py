"""Saturation of a replica against the thresholds of the settings, with hysteresis: crossed at a threshold, released below
`release` of it. A prediction that has learned needs no such memory: each request is judged by its own.

Thresholds that are "auto" stand in for the prediction until it has learned; those that are numbers always hold.

It knows readings and when they were taken, and not who reads gauges. A gauge older than two seconds is not judged. Each
threshold has its own state. Predicted TTFT is judged per request, but its state belongs to the engine: it turns on the
prediction for a prompt of usual length, so that one long prompt leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.load.ledger import FRESH_S, Ledger
from runtime.settings import Escalation

__all__ = ["Pressure", "ReplicaReading", "Saturation", "choose", "home", "read"]

GPU_SUSTAINED_S = 5.0
AFFINITY_S = 0.15  # seconds that a replica may be slower than the best for the prefix that its cache holds
OTHERS_WEIGHT = 2.0  # of the seconds that a long prompt adds to the wait of others, on an engine at its threshold


class ReplicaReading(msgspec.Struct, frozen=True, gc=False):
    """A replica at one moment, for one request.

    predicted_ttft_s: for this prompt; typical_ttft_s: for one of usual length; backlog_s: until the engine would begin to
    read it. kv_cache, gpu_utilization: 0..1, None without a fresh value. learned: the predictions have evidence.
    """

    waiting: int
    running: int
    predicted_ttft_s: float = 0.0
    typical_ttft_s: float = 0.0
    backlog_s: float = 0.0
    kv_cache: float | None = None
    gpu_utilization: float | None = None
    learned: bool = False


def read(ledger: Ledger, prompt_tokens: int, now: float, gpu: tuple[float, float] | None = None) -> ReplicaReading:
    """The reading of a ledger for a prompt. `gpu`: utilization 0..1 and when it was measured."""
    typical = ledger.typical_prompt
    backlog = ledger.backlog_s(typical, now)
    return ReplicaReading(
        waiting=ledger.waiting_now(now),
        running=ledger.running,
        predicted_ttft_s=ledger.backlog_s(prompt_tokens, now) + ledger.reading_s(prompt_tokens, now),
        typical_ttft_s=backlog + ledger.reading_s(typical, now),
        backlog_s=backlog,
        kv_cache=ledger.kv_share(now),
        gpu_utilization=gpu[0] if gpu is not None and now - gpu[1] <= FRESH_S else None,
        learned=ledger.learned,
    )


def choose(ledgers: Sequence[Ledger], prompt_tokens: int, now: float, prefix: int = 0) -> int | None:
    """The index of the replica with the least predicted TTFT, then the fewest waiting, then running; None of none.

    prefix: requests with the same one go to the same replica (rendezvous hashing) while it is hardly worse: its cache holds
    what they have in common. 0: nothing is known to be.
    """
    if len(ledgers) == 1:
        return 0
    ranked = [
        (round(each.predicted_ttft(prompt_tokens, now), 2), each.waiting_now(now), each.decoding, index)
        for index, each in enumerate(ledgers)
    ]
    if not ranked or not prefix:
        return min(ranked)[-1] if ranked else None
    soonest, fewest = min(ranked)[0], min(ranked, key=lambda each: each[1])[1]
    near = [
        index
        for ttft, waiting, _, index in ranked
        if ttft <= soonest + AFFINITY_S and (ledgers[index].learned or waiting <= fewest)
    ]
    return home(ledgers, near, prefix)


def home(ledgers: Sequence[Ledger], among: Iterable[int], prefix: int) -> int:
    """The index of the replica that requests with a prefix go to, out of some of them (rendezvous hashing).

    By the replicas' names, so that all Hearths with the same engines in the same order agree without a word.
    """
    return max(among, key=lambda index: blake2b(b"%d %s" % (prefix, ledgers[index].name), digest_size=8).digest())


class Saturation:
    """One replica's thresholds, and which of them are crossed."""

    def __init__(self, escalation: Escalation) -> None:
        self._escalation = escalation
        self._queue_limit, self._kv_limit = escalation.queue_limit, escalation.kv_limit
        self._gpu_limit = escalation.gpu_limit
        # Thresholds that hold only until the prediction has learned.
        given = {Reason.QUEUE_DEPTH: escalation.queue_depth, Reason.KV_CACHE: escalation.kv_cache}
        given[Reason.GPU] = escalation.gpu_utilization
        self._stand_in = frozenset(reason for reason, value in given.items() if value == "auto")
        self._over: frozenset[Reason] = frozenset()
        self._gpu_since: float | None = None  # since when the GPU was never read below its threshold

    @property
    def over(self) -> frozenset[Reason]:
        """Thresholds in the crossed state."""
        return self._over

    def update(self, reading: ReplicaReading, now: float) -> Pressure:
        """Takes a reading in and judges the request it was made for."""
        self._gpu_since, ratios, self._over = self._after(reading, now)
        return self._pressure(reading, ratios, self._over)

    def look(self, reading: ReplicaReading, now: float) -> Pressure:
        """The judgement `update` would give, without taking the reading in: for status pages and explanations."""
        _, ratios, over = self._after(reading, now)
        return self._pressure(reading, ratios, over)

    def _after(
        self, reading: ReplicaReading, now: float
    ) -> tuple[float | None, dict[Reason, float], frozenset[Reason]]:
        """The state behind a reading: since when the GPU is busy, values over their thresholds, thresholds crossed."""
        limits, before, busy = self._escalation, self._over, reading.gpu_utilization
        # (1) The GPU counts once it was busy for five seconds, with requests running. Crossed, the release point ends it.
        since = None
        if busy is not None and reading.running:
            floor = self._gpu_limit * (limits.release if Reason.GPU in before else 1.0)
            if busy >= floor:
                since = self._gpu_since if self._gpu_since is not None else now
        # (2) The engine's value over its threshold, for every threshold that can be judged.
        ratios = {Reason.QUEUE_DEPTH: reading.waiting / self._queue_limit if self._queue_limit else 1.0}
        if reading.kv_cache is not None:
            ratios[Reason.KV_CACHE] = reading.kv_cache / self._kv_limit
        if busy is not None and since is not None and now - since >= GPU_SUSTAINED_S:
            ratios[Reason.GPU] = busy / self._gpu_limit
        # Without a backlog it is this prompt that is slow, not the engine that is full.
        ratios[Reason.TTFT] = reading.typical_ttft_s * 1000 / limits.ttft_ms if reading.backlog_s > 0 else 0.0
        if reading.learned:
            for reason in self._stand_in:
                ratios.pop(reason, None)
        # (3) Hysteresis.
        if not before and max(ratios.values()) < 1.0:
            return since, ratios, before
        held = before - {Reason.TTFT} if reading.learned else before
        over = [name for name, ratio in ratios.items() if ratio >= 1.0 or (name in held and ratio >= limits.release)]
        return since, ratios, frozenset(over)

    def _pressure(self, reading: ReplicaReading, ratios: dict[Reason, float], over: frozenset[Reason]) -> Pressure:
        """`ratios`: the engine's; the TTFT among them is replaced by this request's own.

        A prompt longer than usual makes those behind it wait: the fuller the engine, the more that counts against it.
        """
        limit_s, others_s = self._escalation.ttft_ms / 1000, 0.0
        if reading.learned and reading.backlog_s > 0 and reading.predicted_ttft_s > reading.typical_ttft_s:
            longer_s = reading.predicted_ttft_s - reading.typical_ttft_s
            others_s = OTHERS_WEIGHT * longer_s * reading.typical_ttft_s / limit_s
        ratios[Reason.TTFT] = own = (reading.predicted_ttft_s + others_s) / limit_s
        if own >= 1.0:
            over |= {Reason.TTFT}
        if not over:
            return Pressure(None, max(ratios.values()), "", ratios)
        worst = max(over, key=lambda reason: (ratios[reason], reason))
        return Pressure(worst, max(ratios.values()), self._words(worst, reading, ratios[worst]), ratios)

    def _words(self, reason: Reason, reading: ReplicaReading, ratio: float) -> str:
        limits, waiting = self._escalation, reading.waiting
        others_ms = ratio * limits.ttft_ms - reading.predicted_ttft_s * 1000 if reason is Reason.TTFT else 0.0
        behind = f", and {others_ms:.0f} ms for those behind so long a prompt" if others_ms >= 1 else ""
        value, limit = {
            Reason.QUEUE_DEPTH: (
                f"{waiting} request{' waits' if waiting == 1 else 's wait'} for a first token",
                f"{self._queue_limit}",
            ),
            Reason.KV_CACHE: (f"{reading.kv_cache or 0:.0%} of the KV cache is in use", f"{self._kv_limit:.0%}"),
            Reason.GPU: (
                f"the GPU was {reading.gpu_utilization or 0:.0%} busy for {GPU_SUSTAINED_S:.0f} s",
                f"{self._gpu_limit:.0%}",
            ),
            Reason.TTFT: (
                f"first token predicted in {reading.predicted_ttft_s * 1000:.0f} ms{behind}",
                f"{limits.ttft_ms} ms",
            ),
        }[reason]
        if ratio >= 1.0:
            return f"{value}, the threshold is {limit}"
        return f"{value}; crossed at {limit}, it returns below {limits.release:.0%} of that"
