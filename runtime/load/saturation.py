"""Saturation of a replica against the thresholds of the settings, with hysteresis: over at a threshold, back below
`release` of it.

Knows what was read and when; who reads gauges, it does not know. What was read more than two seconds ago is not judged.
Each threshold has its own state. Predicted TTFT is judged per request, but its state belongs to the engine: it turns on
the prediction for a prompt of usual length, so that one long prompt leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.load.ledger import FRESH_S, Ledger
from runtime.settings import Escalation

__all__ = ["Pressure", "Reading", "Saturation", "choose", "read"]

GPU_SUSTAINED_S = 5.0


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A replica at one moment, for one request.

    predicted_ttft_s: for this prompt; typical_ttft_s: for one of usual length; backlog_s: before any could begin to be
    read. kv_cache, gpu_utilization: 0..1, None where nothing fresh is known.
    """

    waiting: int
    running: int
    predicted_ttft_s: float = 0.0
    typical_ttft_s: float = 0.0
    backlog_s: float = 0.0
    kv_cache: float | None = None
    gpu_utilization: float | None = None


def read(ledger: Ledger, prompt_tokens: int, now: float, gpu: tuple[float, float] | None = None) -> Reading:
    """What a ledger says for a prompt. `gpu`: utilization 0..1 and when it was read."""
    typical = ledger.typical_prompt
    backlog, own = ledger.backlogs_s(typical, prompt_tokens, now)
    return Reading(
        waiting=ledger.waiting_now(now),
        running=ledger.running,
        predicted_ttft_s=own + ledger.reading_s(prompt_tokens, now),
        typical_ttft_s=backlog + ledger.reading_s(typical, now),
        backlog_s=backlog,
        kv_cache=ledger.kv_share(now),
        gpu_utilization=gpu[0] if gpu is not None and now - gpu[1] <= FRESH_S else None,
    )


def choose(ledgers: Sequence[Ledger], prompt_tokens: int, now: float) -> int | None:
    """The index of the replica with the least predicted TTFT, then the fewest waiting, then running; None of none."""
    if len(ledgers) == 1:
        return 0
    return min(range(len(ledgers)), key=lambda index: _rank(ledgers[index], prompt_tokens, now), default=None)


def _rank(ledger: Ledger, prompt_tokens: int, now: float) -> tuple[float, int, int]:
    return round(ledger.predicted_ttft(prompt_tokens, now), 2), ledger.waiting_now(now), ledger.running


class Saturation:
    """One replica's thresholds and which of them are crossed."""

    def __init__(self, escalation: Escalation) -> None:
        self._escalation = escalation
        self._over: frozenset[Reason] = frozenset()
        self._gpu_since: float | None = None  # since when the GPU was never read below its threshold

    @property
    def over(self) -> frozenset[Reason]:
        """Thresholds in the crossed state."""
        return self._over

    def update(self, reading: Reading, now: float) -> Pressure:
        """Takes a reading in and judges the request it was made for."""
        if reading.gpu_utilization is not None or self._gpu_since is not None:
            self._watch_gpu(reading, now)
        states = self._states(reading, now)
        before, release = self._over, self._escalation.release
        if before or max(states.values()) >= 1.0:
            self._over = frozenset(
                reason for reason, ratio in states.items() if ratio >= 1.0 or (reason in before and ratio >= release)
            )
        return self._pressure(reading, states)

    def _states(self, reading: Reading, now: float) -> dict[Reason, float]:
        """The engine's value over its threshold, for every threshold that can be judged."""
        limits = self._escalation
        states = {Reason.QUEUE_DEPTH: reading.waiting / limits.queue_depth if limits.queue_depth else 1.0}
        if reading.kv_cache is not None:
            states[Reason.KV_CACHE] = reading.kv_cache / limits.kv_cache
        if reading.gpu_utilization is not None and self._gpu_sustained(now):
            states[Reason.GPU] = reading.gpu_utilization / limits.gpu_utilization
        # Without a backlog it is this prompt that is slow, not the engine that is full.
        states[Reason.TTFT] = reading.typical_ttft_s * 1000 / limits.ttft_ms if reading.backlog_s > 0 else 0.0
        return states

    def _pressure(self, reading: Reading, ratios: dict[Reason, float]) -> Pressure:
        """`ratios`: the engine's; TTFT becomes that of this request."""
        ratios[Reason.TTFT] = own = reading.predicted_ttft_s * 1000 / self._escalation.ttft_ms
        over = self._over | {Reason.TTFT} if own >= 1.0 else self._over
        if not over:
            return Pressure(None, max(ratios.values()), "", ratios)
        worst = max(over, key=lambda reason: (ratios[reason], reason))
        return Pressure(worst, max(ratios.values()), self._words(worst, reading, ratios[worst]), ratios)

    def _words(self, reason: Reason, reading: Reading, ratio: float) -> str:
        limits = self._escalation
        value, limit = {
            Reason.QUEUE_DEPTH: (_waiting_words(reading.waiting), f"{limits.queue_depth}"),
            Reason.KV_CACHE: (f"{reading.kv_cache or 0:.0%} of the KV cache is in use", f"{limits.kv_cache:.0%}"),
            Reason.GPU: (
                f"the GPU was {reading.gpu_utilization or 0:.0%} busy for {GPU_SUSTAINED_S:.0f} s",
                f"{limits.gpu_utilization:.0%}",
            ),
            Reason.TTFT: (
                f"first token predicted in {reading.predicted_ttft_s * 1000:.0f} ms",
                f"{limits.ttft_ms} ms",
            ),
        }[reason]
        if ratio >= 1.0:
            return f"{value}, the threshold is {limit}"
        return f"{value}; crossed at {limit}, it returns below {limits.release:.0%} of that"

    def _watch_gpu(self, reading: Reading, now: float) -> None:
        """Sustained counts from a first reading at the threshold; once crossed, the release point ends it."""
        busy = reading.gpu_utilization
        floor = self._escalation.gpu_utilization * (self._escalation.release if Reason.GPU in self._over else 1.0)
        if busy is None or busy < floor or not reading.running:
            self._gpu_since = None
        elif self._gpu_since is None:
            self._gpu_since = now

    def _gpu_sustained(self, now: float) -> bool:
        return self._gpu_since is not None and now - self._gpu_since >= GPU_SUSTAINED_S


def _waiting_words(waiting: int) -> str:
    return f"{waiting} request{' waits' if waiting == 1 else 's wait'} for a first token"
