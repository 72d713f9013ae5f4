"""The last hour in steps of five seconds, so that the charts are full when a page opens.

A row is read off what the process already counts; no request pays for it.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from runtime.life.desk import Desk
from runtime.record.counters import NONE

STEP_S = 5.0
STEPS = 720
NAMES = (
    "at",
    "predicted_ttft_ms",
    "ttft_ms",
    "waiting",
    "running",
    "kv_cache",
    "gpu",
    "gpu_memory",
    "in_flight",
    "requests",
    "left",
    "failed",
    "tokens",
    "cost_usd",
)
"""at: unix seconds. ttft_ms: median of the answers of the step. From requests on: of the step alone, not since the start."""

Row = tuple[float | None, ...]


class Series:
    """A ring of rows, one value for each of NAMES; None where it is not known."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rows: deque[Row] = deque(maxlen=STEPS)
        self._before = self._totals()
        self._left: deque[Mapping[str, int]] = deque([desk.metrics.counters.escalated()], maxlen=STEPS + 1)

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        while True:
            await sleep(STEP_S)
            self.sample()

    def sample(self) -> None:
        """Adds the row of this moment."""
        fleet, now = self._desk.fleet, self._desk.wall()
        load, gpus = fleet.load(), fleet.engine.gpus()
        reading = load.reading if load is not None else None
        seen = [
            each.ttft_ms
            for each in self._desk.store.recent(100)
            if each.ttft_ms is not None and each.at + each.total_ms / 1000 >= now - STEP_S
        ]
        totals = self._totals()
        steps = [round(after - before, 6) for after, before in zip(totals, self._before, strict=True)]
        self._before = totals
        self._left.append(self._desk.metrics.counters.escalated())
        memory = max([gpu.memory_used / gpu.memory_total for gpu in gpus if gpu.memory_total], default=None)
        self._rows.append(
            (
                round(now, 1),
                round(reading.predicted_ttft_s * 1000, 1) if reading else None,
                round(statistics.median(seen), 1) if seen else None,
                reading.waiting if reading else None,
                reading.running if reading else None,
                round(reading.kv_cache, 4) if reading and reading.kv_cache is not None else None,
                max([gpu.utilization for gpu in gpus], default=None),
                round(memory, 4) if memory is not None else None,
                sum(fleet.in_flight.values()),
                *steps,
            )
        )

    def encoded(self) -> bytes:
        """Columns by name, oldest first. reasons: why requests left in this time, by number."""
        columns = dict(zip(NAMES, map(list, zip(*self._rows, strict=True)), strict=True)) if self._rows else {}
        return msgspec.json.encode(
            {
                "step_s": STEP_S,
                "series": {name: columns.get(name, []) for name in NAMES},
                "reasons": {
                    reason: count - self._left[0].get(reason, 0)
                    for reason, count in self._left[-1].items()
                    if count > self._left[0].get(reason, 0)
                },
            },
        )

    def _totals(self) -> tuple[float, ...]:
        """Requests, those that left the box, those that failed, generated tokens, dollars: since the start."""
        counters = self._desk.metrics.counters
        requests = left = failed = 0
        for (target, _, status, _), count in counters.requests.items():
            known = counters.targets.get(target)
            requests += count.value
            left += count.value if target != NONE and known is not None and not known.local else 0
            failed += count.value if status == "5xx" else 0
        used = counters.targets.values()
        return requests, left, failed, sum(each.completion for each in used), sum(each.cost_usd for each in used)
