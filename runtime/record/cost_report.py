"""Costs of requests, from the hourly sums: by target, model, key, route or day, beside one named baseline.

    CostReport      rows and their total, the baseline, and what is not counted
    CostRow         requests, tokens and dollars of one target, model, key, route or day
    TargetDay       the reliability of a target on one day
    BaselineCost    the same tokens at the baseline's price, and the saving where the own cost is known

Days are those of a time zone. An unknown cost is null, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.record.sums import MICRO, HourSum, Tally, midnight, percentile
from runtime.record.sums_table import SumRow, opened_of, reading, sums_of

GROUPINGS = ("target", "model", "key", "route", "day")
DAYS = 30
_KEPT_APART = {
    "day": ("route", ("day",)),
    "target": ("target", ("name", "day")),
}  # sort and columns; else by name alone
NOT_COUNTED = (
    "searches and other server tools",
    "audio and images where they cost other than text",
    "regional surcharges",
)
_PRICES_OF_THE_BOX = "the box's own tokens have no price: [engine] gpu_hour_usd, or watts and kwh_usd, set one"


class TargetDay(msgspec.Struct, frozen=True):
    """success: the share of exchanges that ended well, of those that did or failed by the target's fault.

    failovers: exchanges after whose failure another target was asked. rate_limited: those answered by 429. ttft: of the
    requests that it answered, read off buckets that double.
    """

    day: str
    attempts: int = 0
    success: float | None = None
    failovers: int = 0
    rate_limited: int = 0
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None
    breaker_open_s: float = 0.0


class CostRow(msgspec.Struct, frozen=True):
    """id: the id of a key, where rows are keys. cost_usd, local_cost_usd: of all exchanges, and of those on this box; null
    where there were tokens and no price. unpriced: requests of which a cost is not known. baseline_usd: the answers'
    tokens at the baseline's price. compared: requests whose own cost is known too, and saving_usd what they cost less.
    days: of targets.
    """

    name: str
    requests: int
    ok: int
    failed: int
    cancelled: int
    degraded: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    local_cost_usd: float | None
    unpriced: int
    unpriced_share: float | None
    baseline_usd: float | None
    compared: int
    saving_usd: float | None
    id: str = ""
    days: tuple[TargetDay, ...] = ()


class BaselineCost(msgspec.Struct, frozen=True):
    """input, output: dollars per million tokens. date: on which the price was read, "" for a price of the settings.

    requests: that were priced at it; usd: their answers' tokens there. compared, saving_usd: as in `CostRow`. share: of what
    the compared ones would have cost, the part saved.
    """

    name: str
    label: str
    input: float
    output: float
    date: str
    source: str
    requests: int
    usd: float
    compared: int
    saving_usd: float | None
    share: float | None
    words: str


class CostReport(msgspec.Struct, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """first, last: days, both included. unmeasured: the reason for which there is no baseline. notes: sentences."""

    object: str = "cost"
    by: str
    first: str
    last: str
    timezone: str
    rows: tuple[CostRow, ...]
    total: CostRow
    baseline: BaselineCost | None
    unmeasured: str
    not_counted: tuple[str, ...] = NOT_COUNTED
    notes: tuple[str, ...] = ()


class Days(NamedTuple):
    """Both included."""

    first: date
    last: date


class Amounts:
    """Sums of one row: all, those on this box, and those that the baseline in force was held against."""

    def __init__(self, tally: Tally) -> None:
        self._text = tally.baseline.text if tally.baseline is not None else None
        self.all, self.local, self.against = HourSum(), HourSum(), HourSum()

    def add(self, row: SumRow) -> None:
        self.all.merge(row.sums)
        if row.local:
            self.local.merge(row.sums)
        if row.baseline == self._text:
            self.against.merge(row.sums)

    def row(self, name: str, id: str = "", days: tuple[TargetDay, ...] = ()) -> CostRow:
        found, against = self.all, self.against
        return CostRow(
            name,
            *(found.requests, found.ok, found.failed, found.cancelled, found.degraded),
            *(found.prompt, found.cached, found.completion, found.reasoning),
            cost_usd=dollars(found),
            local_cost_usd=dollars(self.local),
            unpriced=found.unpriced,
            unpriced_share=found.unpriced / found.requests if found.requests else None,
            baseline_usd=against.baseline / MICRO if against.measured else None,
            compared=against.compared,
            saving_usd=saving(against),
            id=id,
            days=days,
        )


def days_of(first: str | None, last: str | None, days: int | None, today: date) -> Days:
    """The days asked for: the last so many (30), or from a day to another. Raises ValueError in words."""
    if days is not None and (first or last):
        raise ValueError("give a number of days, or from and to, not both")
    if days is not None and not 1 <= days <= 10_000:
        raise ValueError("days must be from 1 to 10000")
    try:
        end = date.fromisoformat(last) if last else today
        begin = date.fromisoformat(first) if first else end - timedelta(days=(days or DAYS) - 1)
        begin - timedelta(days=1), end + timedelta(days=2)  # a zone must be able to tell their midnights
    except (ValueError, OverflowError):
        raise ValueError("from and to are days, written like 2026-11-29") from None
    if begin > end:
        raise ValueError(f"from ({begin}) is after to ({end})")
    return Days(begin, end)


def cost_report(path: Path, by: str, days: Days, tally: Tally, names: Mapping[str, str]) -> CostReport:
    """by: one of `GROUPINGS`. names: of keys, by id. All zeros without a file; raises sqlite3.Error for an unreadable one."""
    zone = tally.zone
    since, until = midnight(days.first, zone), midnight(days.last + timedelta(days=1), zone)
    day_of = day_names(zone)
    groups: dict[str, Amounts] = {}
    total = Amounts(tally)
    reliability: dict[str, tuple[TargetDay, ...]] = {}

    if path.exists():
        with reading(path) as db:
            sort, kept_apart = _KEPT_APART.get(by, (by, ("name",)))
            found = sums_of(db, since, until, sort, kept_apart, day_of)
            if by == "target":
                reliability = _reliability(found, opened_of(db, since, until), day_of)
                groups = {target: Amounts(tally) for target in reliability}  # one may only have had its breaker open
            for row in found:
                groups.setdefault(row.day if by == "day" else row.name, Amounts(tally)).add(row)
                total.add(row)
    shown = (lambda id: names.get(id, id) or "no key") if by == "key" else str
    rows = [
        group.row(shown(name), name if by == "key" else "", reliability.get(name, ())) for name, group in groups.items()
    ]
    rows.sort(key=lambda row: row.name if by == "day" else (-(row.cost_usd or 0.0), -row.requests, row.name))
    return CostReport(
        by=by,
        first=days.first.isoformat(),
        last=days.last.isoformat(),
        timezone=str(zone),
        rows=tuple(rows),
        total=total.row("total"),
        baseline=baseline_cost(total.against, tally, total.all),
        unmeasured=tally.unmeasured,
        notes=(_PRICES_OF_THE_BOX,) if total.local.unmetered else (),
    )


def day_names(zone: tzinfo) -> Callable[[int], str]:
    """The day of the zone, ISO 8601, in which an hour begins."""
    return cache(lambda start: datetime.fromtimestamp(start, zone).date().isoformat())


def _reliability(
    found: Iterable[SumRow], opened: Iterable[tuple[int, str, float]], day_of: Callable[[int], str]
) -> dict[str, tuple[TargetDay, ...]]:
    """The days of each target, oldest first. found: by target and day."""
    sums: dict[tuple[str, str], HourSum] = {}
    seconds: dict[tuple[str, str], float] = {}
    for row in found:
        sums.setdefault((row.name, row.day), HourSum()).merge(row.sums)
    for start, target, open_s in opened:
        key = target, day_of(start)
        seconds[key] = seconds.get(key, 0.0) + open_s
    days: dict[str, tuple[TargetDay, ...]] = {}
    for target, day in sorted({*sums, *seconds}):
        made = target_day(day, sums.get((target, day), HourSum()), seconds.get((target, day), 0.0))
        days[target] = (*days.get(target, ()), made)
    return days


def target_day(day: str, found: HourSum, open_s: float) -> TargetDay:
    judged = found.succeeded + found.faults
    p50, p95 = (percentile(found.first_tokens, share) for share in (0.5, 0.95))
    return TargetDay(
        day,
        found.attempts,
        found.succeeded / judged if judged else None,
        found.failovers,
        found.rate_limited,
        None if p50 is None else round(1000 * p50, 1),
        None if p95 is None else round(1000 * p95, 1),
        round(open_s, 1),
    )


def dollars(found: HourSum) -> float | None:
    """None where there were tokens and none of them has a price."""
    return None if found.metered and found.metered == found.unmetered and not found.cost else found.cost / MICRO


def saving(found: HourSum) -> float | None:
    return (found.compared_baseline - found.compared_cost) / MICRO if found.compared else None


def baseline_cost(found: HourSum, tally: Tally, every: HourSum) -> BaselineCost | None:
    """found: what was held against the baseline in force. every: all sums, for the share without a price."""
    baseline = tally.baseline
    if baseline is None:
        return None
    price = baseline.price
    at = f"at list price of {price.date}" if price.date else "at the price of the settings"
    words = f"The same tokens on {baseline.label} {at}: {usd(found.baseline / MICRO)}"
    if every.requests:
        words += f"; {every.unpriced / every.requests:.0%} of requests have no price".replace("%", " %")
    elsewhere = every.measured - found.measured
    if elsewhere:
        words += f"; {elsewhere} requests were held against an earlier baseline and are not in it"
    return BaselineCost(
        name=baseline.name,
        label=baseline.label,
        input=price.input,
        output=price.output,
        date=price.date,
        source=price.source,
        requests=found.measured,
        usd=found.baseline / MICRO,
        compared=found.compared,
        saving_usd=saving(found),
        share=(saving(found) or 0.0) / (found.compared_baseline / MICRO) if found.compared_baseline else None,
        words=words,
    )


def usd(amount: float) -> str:
    """Dollars for a person: cents, and small amounts to four digits, or to six where these would show nothing."""
    size = abs(amount)
    digits = 2 if size >= 1 or amount == 0 else 4 if size >= 0.0005 else 6
    return f"{'-' if amount < 0 else ''}${size:.{digits}f}"
