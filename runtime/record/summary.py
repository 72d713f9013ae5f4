"""The traffic of the last hours, from the hourly sums: where it was answered, why it left the box, how fast, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from runtime.record.cost_report import Amounts, BaselineCost, CostRow, TargetDay, baseline_cost, target_day
from runtime.record.counters import NONE
from runtime.record.sums import HOUR_S, Tally, midnight, percentile
from runtime.record.sums_table import opened_of, reading, sums_of


class TargetTraffic(msgspec.Struct, frozen=True):
    """label: `none` for requests without an answer."""

    label: str
    local: bool
    cost: CostRow
    reliability: TargetDay


class TrafficSummary(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """since, until: unix seconds; whole hours, the running one included. reasons: of requests answered off the box. today:
    of the day in the budget's time zone.
    """

    object: str = "summary"
    window_s: int
    since: int
    until: float
    timezone: str
    total: CostRow
    today: CostRow
    local_requests: int
    targets: tuple[TargetTraffic, ...]
    reasons: Mapping[str, int]
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    baseline: BaselineCost | None
    unmeasured: str


def summary(path: Path, window_s: int, now: float, tally: Tally) -> TrafficSummary:
    """now: unix seconds. Raises sqlite3.Error for a file that cannot be read; none at all is all zeros."""
    since = int((now - window_s) // HOUR_S) * HOUR_S
    today_since = midnight(datetime.fromtimestamp(now, tally.zone).date(), tally.zone)
    total, today = Amounts(tally), Amounts(tally)
    by_target: dict[str, Amounts] = {}
    local_labels: set[str] = set()
    reasons: dict[str, int] = {}
    opened: dict[str, float] = {}
    if path.exists():
        with reading(path) as db:
            for row in sums_of(db, since, now + HOUR_S, "target", ("name", "reason")):
                target = row.name
                total.add(row)
                by_target.setdefault(target, Amounts(tally)).add(row)
                if row.local:
                    local_labels.add(target)
                elif target != NONE and row.sums.requests:
                    reasons[row.reason] = reasons.get(row.reason, 0) + row.sums.requests
            for part in sums_of(db, today_since, now + HOUR_S, "route", ()):
                today.add(part)
            for _, target, seconds in opened_of(db, since, now + HOUR_S):
                opened[target] = opened.get(target, 0.0) + seconds
    targets = [
        TargetTraffic(
            label,
            label in local_labels,
            (amounts := by_target.get(label, Amounts(tally))).row(label),
            target_day("", amounts.all, opened.get(label, 0.0)),
        )
        for label in {**by_target, **opened}
    ]
    p50, p95 = (percentile(total.all.first_tokens, share) for share in (0.5, 0.95))
    return TrafficSummary(
        window_s=window_s,
        since=since,
        until=now,
        timezone=str(tally.zone),
        total=total.row("total"),
        today=today.row("today"),
        local_requests=total.local.requests,
        targets=tuple(sorted(targets, key=lambda each: -each.cost.requests)),
        reasons=reasons,
        ttft_p50_ms=None if p50 is None else round(1000 * p50, 1),
        ttft_p95_ms=None if p95 is None else round(1000 * p95, 1),
        baseline=baseline_cost(total.against, tally, total.all),
        unmeasured=tally.unmeasured,
    )
