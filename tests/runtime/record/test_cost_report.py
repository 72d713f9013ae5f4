"""The report of costs and the summary: rows by each grouping, days of a zone, one baseline, and what has no price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from runtime.contract.prices import Price
from runtime.record.cost_report import CostReport, Days, cost_report, days_of, usd
from runtime.record.database import Database
from runtime.record.decisions import Decision, Exchange, floor_of
from runtime.record.store import Store
from runtime.record.summary import summary
from runtime.record.sums import PriceBaseline, Tally, hour_of

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
CLAUDE = PriceBaseline("claude", "anthropic/c", Price(3.0, 15.0, source="a list", date="2026-11-01"))
TODAY = Days(date(2026, 11, 29), date(2026, 11, 29))
PAID = Exchange("openai/x", "api", 0.0, 1.0, prompt_tokens=100_000, completion_tokens=10_000, cost_usd=0.05)
FREE = Exchange("local/m", "r0", 0.0, 1.0, prompt_tokens=100_000, completion_tokens=10_000)


def decision(number: int, at: float, *tried: Exchange, **changes: object) -> Decision:
    made = Decision(
        id=f"dec_{floor_of(at) + number:016x}",
        at=at,
        dialect="openai_chat",
        model="auto",
        target=tried[-1].target if tried else None,
        attempts=tried,
        ttft_ms=100.0,
    )
    return msgspec.structs.replace(made, **changes)


def written(
    path: Path, rows: Sequence[Decision], tally: Tally, opened: dict[tuple[int, str], float] | None = None
) -> Path:
    file = Database(path, max_bytes=1 << 24)
    file.save(rows, tally, opened or {})
    file.close()
    return path


def report(path: Path, by: str, tally: Tally, days: Days = TODAY, **names: str) -> CostReport:
    return cost_report(path, by, days, tally, names)


def test_one_baseline_is_named_with_its_price_and_date(tmp_path: Path) -> None:
    """The saving is that of the requests whose own cost is known; the share without a price stands beside the sum."""
    tally = Tally(baseline=CLAUDE)
    made = report(written(tmp_path / "d", [decision(1, NOON, PAID), decision(2, NOON, FREE)], tally), "target", tally)
    assert made.baseline is not None
    assert made.baseline.words == (
        "The same tokens on anthropic/c at list price of 2026-11-01: $0.9000; 50 % of requests have no price"
    )
    assert (made.baseline.input, made.baseline.output, made.baseline.usd) == (3.0, 15.0, 0.9)
    assert made.baseline.compared == 1 and made.baseline.saving_usd == pytest.approx(0.4)
    assert made.baseline.share == pytest.approx(0.4 / 0.45)
    paid, local = made.rows
    assert (paid.name, paid.cost_usd, paid.unpriced) == ("openai/x", 0.05, 0) and paid.saving_usd == pytest.approx(0.4)
    assert (local.name, local.cost_usd, local.local_cost_usd, local.saving_usd, local.unpriced) == (
        "local/m",
        None,
        None,
        None,
        1,
    )
    assert (made.total.cost_usd, made.total.local_cost_usd, made.total.unpriced_share) == (0.05, None, 0.5)
    assert "gpu_hour_usd" in made.notes[0] and "searches" in made.not_counted[0]


def test_local_tokens_cost_what_the_box_costs_where_that_is_known(tmp_path: Path) -> None:
    """Then they are compared too, and no note is needed."""
    tally = Tally(baseline=CLAUDE)
    priced = msgspec.structs.replace(FREE, cost_usd=0.002)
    made = report(written(tmp_path / "d", [decision(1, NOON, priced)], tally), "target", tally)
    assert (made.total.cost_usd, made.total.local_cost_usd, made.total.unpriced) == (0.002, 0.002, 0)
    assert made.total.saving_usd == pytest.approx(0.448) and made.notes == ()


def test_another_baseline_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Requests are held against the baseline that was in force when they were settled, and no two are added."""
    path = written(tmp_path / "d", [decision(1, NOON, PAID)], Tally(baseline=CLAUDE))
    later = Tally(baseline=PriceBaseline("x", "openai/y", Price(1.0, 1.0)))
    made = report(written(path, [decision(2, NOON, FREE)], later), "model", later)
    assert made.baseline is not None and made.baseline.requests == 1
    assert "at the price of the settings: $0.1100" in made.baseline.words
    assert "1 requests were held against an earlier baseline" in made.baseline.words
    without = report(path, "model", Tally())
    assert (without.baseline, without.unmeasured) == (None, "no target is configured")


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("model", {"auto": 2, "local": 1}),
        ("key", {"web": 2, "no key": 1}),
        ("route", {"default": 2, "code": 1}),
        ("day", {"2026-11-29": 3}),
        ("target", {"openai/x": 2, "local/m": 1}),
    ],
)
def test_rows_by_each_grouping_add_up_to_the_total(tmp_path: Path, by: str, rows: dict[str, int]) -> None:
    """Keys have their names."""
    made = report(
        written(
            tmp_path / "d",
            [
                decision(1, NOON, PAID, caller="key_1"),
                decision(2, NOON, PAID, caller="key_1", task="code"),
                decision(3, NOON, FREE, model="local"),
            ],
            Tally(),
        ),
        by,
        Tally(),
        key_1="web",
    )
    assert {row.name: row.requests for row in made.rows} == rows
    assert made.total.requests == 3 and made.total.cost_usd == pytest.approx(
        sum(row.cost_usd or 0 for row in made.rows)
    )


@pytest.mark.parametrize("name", ["Europe/Berlin", "Asia/Kolkata", "America/New_York", "UTC"])
def test_days_end_at_the_midnight_of_the_zone(tmp_path: Path, name: str) -> None:
    """Also where clocks change, and where midnight is not on the hour."""
    zone: tzinfo = ZoneInfo(name)
    tally = Tally(zone)
    edges = [datetime(2026, month, day, 0, 0, tzinfo=zone).timestamp() for month, day in ((3, 30), (10, 26), (11, 2))]
    rows = [
        decision(number, edge + off, PAID) for number, (edge, off) in enumerate((e, o) for e in edges for o in (-1, 1))
    ]
    path = written(tmp_path / "d", rows, tally)
    made = report(path, "day", tally, Days(date(2026, 3, 1), date(2026, 12, 1)))
    days = ["2026-03-29", "2026-03-30", "2026-10-25", "2026-10-26", "2026-11-01", "2026-11-02"]
    assert {row.name: row.requests for row in made.rows} == dict.fromkeys(days, 1)
    assert report(path, "day", tally, Days(date(2026, 10, 26), date(2026, 10, 26))).total.requests == 1


def test_targets_show_their_faults_by_day(tmp_path: Path) -> None:
    """Failovers, 429s, times to a first token and the time with an open breaker; a target without a request too."""
    busy = Exchange("anthropic/c", "api", 0.0, 1.0, outcome="busy", status=429)
    rows = [decision(1, NOON, busy, PAID), decision(2, NOON + 86_400, PAID), decision(3, NOON, PAID, ttft_ms=9000.0)]
    path = written(tmp_path / "d", rows, Tally(), {(hour_of(NOON, UTC), "anthropic/c"): 90.0})
    made = report(path, "target", Tally(), Days(date(2026, 11, 28), date(2026, 11, 30)))
    days = {row.name: row.days for row in made.rows}
    (claude,) = days["anthropic/c"]
    assert (claude.success, claude.failovers, claude.rate_limited, claude.breaker_open_s) == (0.0, 1, 1, 90.0)
    first, second = days["openai/x"]
    assert (first.day, first.attempts, first.success, second.day, second.attempts) == (
        "2026-11-29",
        2,
        1.0,
        "2026-11-30",
        1,
    )
    assert (
        first.ttft_p95_ms is not None and first.ttft_p50_ms is not None and first.ttft_p95_ms > 5000 > first.ttft_p50_ms
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((None, None, None), ("2026-10-31", "2026-11-29")),
        ((None, None, 1), ("2026-11-29", "2026-11-29")),
        (("2026-11-01", None, None), ("2026-11-01", "2026-11-29")),
        (("2026-01-01", "2026-01-31", None), ("2026-01-01", "2026-01-31")),
    ],
)
def test_the_days_asked_for(given: tuple[str | None, str | None, int | None], wanted: tuple[str, str]) -> None:
    """Thirty of them, the running one included, if nothing is said."""
    assert tuple(map(str, days_of(*given, date(2026, 11, 29)))) == wanted


@pytest.mark.parametrize(
    "given",
    [
        ("yesterday", None, None),
        ("2026-11-30", None, None),
        (None, None, 0),
        ("2026-01-01", None, 3),
        (None, "9999-12-31", None),
    ],
)
def test_days_that_make_no_sense_are_refused(given: tuple[str | None, str | None, int | None]) -> None:
    """In words."""
    with pytest.raises(ValueError, match=r"days|after"):
        days_of(*given, date(2026, 11, 29))


async def test_the_summary_counts_whole_hours(tmp_path: Path) -> None:
    """Traffic by target, the reasons for which it left, times to a first token, cost of the window and of the day."""
    tally = Tally(ZoneInfo("Europe/Berlin"), CLAUDE)
    rows = [
        decision(1, NOON - 26 * 3600, PAID),
        decision(2, NOON - 23 * 3600, PAID, reason="context"),
        decision(3, NOON, PAID, reason="complexity"),
        decision(4, NOON, FREE, reason="complexity", degraded=("no_target",)),
        decision(5, NOON, status=502),
    ]
    path = written(tmp_path / "d", rows, tally, {(hour_of(NOON, UTC), "gemini/g"): 5.0})
    made = summary(path, 86_400, NOON + 60, tally)
    assert (made.since, made.total.requests, made.local_requests, made.total.failed) == (int(NOON) - 86_400, 4, 1, 1)
    assert made.reasons == {"context": 1, "complexity": 1}
    assert made.total.cost_usd == pytest.approx(0.1) and (made.today.cost_usd, made.total.degraded) == (0.05, 1)
    targets = {each.label: each for each in made.targets}
    assert set(targets) == {"openai/x", "local/m", "none", "gemini/g"} and targets["local/m"].local
    assert targets["gemini/g"].reliability.breaker_open_s == 5.0
    assert made.ttft_p50_ms is not None and made.baseline is not None and made.timezone == "Europe/Berlin"
    nothing = summary(tmp_path / "none", 3600, NOON, Tally())
    assert (nothing.total.requests, nothing.ttft_p50_ms, nothing.total.cost_usd) == (0, None, 0.0)


async def test_breaker_seconds_reach_the_file_without_a_record(tmp_path: Path) -> None:
    """The writer saves them in its next turn."""
    store = Store(tmp_path / "d", retention_days=1, max_mb=16, clock=lambda: NOON)
    store.opened("openai/x", 1.5)
    store.opened("openai/x", 2.0)
    store.start()
    store.close()
    (row,) = report(store.path, "target", Tally()).rows
    assert (row.name, row.days[0].breaker_open_s) == ("openai/x", 3.5)
    (target,) = summary(store.path, 3600, NOON, Tally()).targets
    assert target.reliability.breaker_open_s == 3.5


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0.0, "$0.00"),
        (12.345, "$12.35"),
        (0.0216, "$0.0216"),
        (0.000042, "$0.000042"),
        (-0.000042, "-$0.000042"),
        (-3.0, "-$3.00"),
    ],
)
def test_dollars_for_a_person(amount: float, shown: str) -> None:
    """The sign stands before the dollar, and a small amount is not shown as nothing."""
    assert usd(amount) == shown
