"""The hourly sums equal what the records add up to, whatever happens to the process, the file and the records."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.prices import Price
from runtime.record import database, sums_table
from runtime.record.counters import BUCKETS_S
from runtime.record.database import Database, Query
from runtime.record.decisions import Decision, Exchange, floor_of
from runtime.record.sums import HourSum, PriceBaseline, SumKey, Tally, hour_of, midnight, percentile, route_of
from runtime.record.sums_table import SumsTable, opened_of, reading, sums_of

AT = 1_790_000_000.0
BASELINE_PRICE = Price(3.0, 15.0, cache_read=0.3, source="a list", date="2026-11-01")
EVERYTHING = (0.0, 1e10)

exchanges = st.builds(
    Exchange,
    target=st.sampled_from(["local/m", "openai/x", "anthropic/c"]),
    lane=st.just("api"),
    started_ms=st.just(0.0),
    ended_ms=st.just(1.0),
    outcome=st.sampled_from(["ok", "cancelled", "busy", "down", "rejected"]),
    status=st.sampled_from([None, 200, 429, 500]),
    prompt_tokens=st.integers(0, 10_000),
    completion_tokens=st.integers(0, 1000),
    cost_usd=st.none() | st.integers(0, 10**7).map(lambda micro: micro / 1e6),
)


def decisions(number: int, exchange_list: list[Exchange], status: int, target: str | None, hours: int) -> Decision:
    at = AT + hours * 1800.0
    return Decision(
        id=f"dec_{floor_of(at) + number:016x}",
        at=at,
        dialect="openai_chat",
        model="auto",
        target=target,
        status=status,
        attempts=tuple(exchange_list),
        ttft_ms=120.0 if target else None,
        caller="key_a" if number % 2 else "",
    )


asked = st.tuples(
    st.lists(exchanges, max_size=3),
    st.sampled_from([200, 400, 499, 502]),
    st.sampled_from([None, "local/m", "openai/x"]),
    st.integers(0, 8),
)


def total(path: Path, sort: str = "route") -> dict[str, HourSum]:
    """The sums of all hours by name; of routes under "" as one."""
    found: dict[str, HourSum] = {}
    with reading(path) as db:
        for row in sums_of(db, *EVERYTHING, sort, () if sort == "route" else ("name",)):
            found.setdefault(row.name, HourSum()).merge(row.sums)
    return found


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(asked, max_size=8), cut=st.integers(0, 8))
def test_the_sums_equal_the_sum_over_the_records(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[Exchange], int, str | None, int]], cut: int
) -> None:
    """By hand over what the file holds, in two transactions, a part of the records given twice."""
    path = tmp_path_factory.mktemp("sums") / "d.sqlite3"
    made = [decisions(number, *row) for number, row in enumerate(rows)]
    file = Database(path, max_bytes=1 << 24)
    for part in (made[:cut], made[cut // 2 :]):
        assert file.save(part, Tally(), {}) == []
    file.close()
    kept = database.read_many(path, Query(1000), lambda fault: pytest.fail(str(fault)))
    every = [each for decision in kept for each in decision.attempts]
    for target, found in total(path, "target").items():
        own = [each for each in every if each.target == target]
        answered = [each for each in kept if (each.target or "none") == target]
        assert found.cost == sum(round((each.cost_usd or 0.0) * 1e6) for each in own)
        assert (found.prompt, found.completion) == (
            sum(each.prompt_tokens for each in own),
            sum(each.completion_tokens for each in own),
        )
        assert (found.attempts, found.succeeded) == (len(own), sum(each.ok for each in own))
        assert found.requests == len(answered) == found.ok + found.failed + found.cancelled
        assert found.unpriced == sum(
            any(each.cost_usd is None and each.prompt_tokens + each.completion_tokens for each in decision.attempts)
            for decision in answered
        )
        assert sum(found.first_tokens) == sum(each.ttft_ms is not None for each in answered)
    whole = total(path).get("", HourSum())
    assert whole.requests == len(kept) and whole.cost == sum(round((each.cost_usd or 0) * 1e6) for each in every)
    assert {key: each.requests for key, each in total(path, "key").items() if each.requests} == {
        caller: n for caller in ("", "key_a") if (n := sum(each.caller == caller for each in kept))
    }


def saved(path: Path, rows: list[Decision], tally: Tally, **opened: float) -> None:
    file = Database(path, max_bytes=1 << 24)
    file.save(rows, tally, {(hour_of(AT, UTC), label): seconds for label, seconds in opened.items()})
    file.close()


def answered(number: int, *tried: Exchange, **changes: object) -> Decision:
    made = decisions(number, list(tried), 200, tried[-1].target, 0)
    return msgspec.structs.replace(made, **changes)


PAID = Exchange(
    "openai/x", "api", 0.0, 1.0, prompt_tokens=1000, cached_tokens=400, completion_tokens=100, cost_usd=0.001
)
FREE = Exchange("local/m", "r0", 0.0, 1.0, prompt_tokens=1000, completion_tokens=100)


def test_the_baseline_prices_the_answers_and_compares_those_whose_cost_is_known(tmp_path: Path) -> None:
    """Cached tokens at their own rate; a request without a price is measured and not compared."""
    tally = Tally(baseline=PriceBaseline("claude", "anthropic/c", BASELINE_PRICE))
    failed = msgspec.structs.replace(PAID, outcome="down", cost_usd=0.0005)
    saved(tmp_path / "d", [answered(1, failed, PAID), answered(2, FREE), answered(3, PAID, status=499)], tally)
    found = total(tmp_path / "d")[""]
    there = 600 * 3 + 400 * 0.3 + 100 * 15
    assert (found.measured, found.baseline) == (2, round(there) + 1000 * 3 + 100 * 15)
    assert (found.compared, found.compared_baseline, found.compared_cost) == (1, round(there), 1500)
    assert (found.requests, found.unpriced, found.cost) == (3, 1, 2500)
    own = msgspec.structs.replace(PAID, target="anthropic/c", cost_usd=0.007)
    saved(tmp_path / "own", [answered(1, own)], tally)
    assert total(tmp_path / "own")[""].compared_baseline == 7000, "an answer of the baseline's own costs what it cost"


def test_what_an_evaluation_asked_costs_and_saves_nothing(tmp_path: Path) -> None:
    """Its dollars are counted; no baseline is held against it."""
    tally = Tally(baseline=PriceBaseline("claude", "anthropic/c", BASELINE_PRICE))
    saved(tmp_path / "d", [answered(1, PAID, origin="quality")], tally)
    found = total(tmp_path / "d")[""]
    assert (found.cost, found.measured, found.compared) == (1000, 0, 0)


def test_failovers_and_faults_count_with_the_target_that_failed(tmp_path: Path) -> None:
    """Two tries of one target are one failover; the caller's own fault is none of the target's."""
    busy = Exchange("anthropic/c", "api", 0.0, 1.0, outcome="busy", status=429)
    rejected = Exchange("anthropic/c", "api", 0.0, 1.0, outcome="rejected", status=400)
    saved(tmp_path / "d", [answered(1, busy, busy, PAID), answered(2, rejected)], Tally(), anthropic=7.5)
    found = total(tmp_path / "d", "target")
    claude, openai = found["anthropic/c"], found["openai/x"]
    assert (claude.attempts, claude.faults, claude.failovers, claude.rate_limited) == (3, 2, 1, 2)
    assert (openai.succeeded, openai.failovers, openai.requests) == (1, 0, 1)
    with reading(tmp_path / "d") as db:
        assert opened_of(db, *EVERYTHING) == [(hour_of(AT, UTC), "anthropic", 7.5)]


@pytest.mark.parametrize(
    ("changes", "route"),
    [
        ({"reason": "pinned"}, "pinned"),
        ({"reason": "rule"}, "rule"),
        ({"kept": {"facts": {"modalities": ["text", "image"], "prompt_tokens": 9}}}, "multimodal"),
        ({"kept": {"facts": {"modalities": ["text"], "prompt_tokens": 6001}}, "task": "code"}, "long_context"),
        ({"task": "code", "reason": "complexity"}, "code"),
        ({"reason": "complexity"}, "complex"),
        ({"kept": "of another version"}, "default"),
    ],
)
def test_a_request_has_the_route_that_suits_it(changes: dict[str, object], route: str) -> None:
    """Whether or not it left the box."""
    assert route_of(answered(1, FREE, **changes), 6000) == route


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]


@pytest.mark.parametrize("name", ZONES)
@given(at=st.floats(0, 2_000_000_000))
@settings(max_examples=50, deadline=None)
def test_an_hour_never_crosses_a_day_of_the_zone(name: str, at: float) -> None:
    """Not at half-hour offsets, and not where clocks change at midnight."""
    zone = ZoneInfo(name)
    start = hour_of(at, zone)
    assert start <= at < start + 3600
    assert datetime.fromtimestamp(start, zone).date() == datetime.fromtimestamp(at, zone).date()
    assert hour_of(float(start), zone) == start


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 11, 29), 24)]
)
def test_days_on_which_clocks_change_are_shorter_and_longer(day: date, hours: int) -> None:
    """From midnight to midnight."""
    zone = ZoneInfo("Europe/Berlin")
    assert midnight(day + timedelta(days=1), zone) - midnight(day, zone) == hours * 3600


@pytest.mark.parametrize("at", [-1e18, -1.0, 1e18, float("inf")])
def test_a_clock_set_to_anything_has_an_hour(at: float) -> None:
    """The batch around such a record is saved."""
    zone: tzinfo = UTC
    assert hour_of(at, zone) >= 0


def test_percentiles_are_read_off_the_buckets() -> None:
    """Within a bucket they lie in proportion; past the last one they are its bound."""
    counts = [0] * (len(BUCKETS_S) + 1)
    assert percentile(counts, 0.5) is None
    counts[3] = 10
    assert percentile(counts, 0.5) == pytest.approx((BUCKETS_S[2] + BUCKETS_S[3]) / 2)
    counts[-1] = 90
    assert percentile(counts, 0.95) == BUCKETS_S[-1]


def test_names_without_end_are_added_up_as_other(tmp_path: Path) -> None:
    """Rows of an hour are bounded, and no amount is lost."""
    db = sqlite3.connect(tmp_path / "d", isolation_level=None)
    for statement in sums_table.SCHEMA:
        db.execute(statement)
    table = SumsTable(db, 1 << 24, most_names=10)
    db.execute("BEGIN")
    for batch in range(20):
        keys = [SumKey(3600, f"local/{n}", f"m{batch}-{n}", f"c{n}", "default", "default", "") for n in range(20)]
        table.add({key: HourSum(requests=1) for key in keys}, {})
    for sort, most in (("target", 11), ("model", 11), ("key", 11), ("route", 1)):
        sql = "SELECT count(*), sum(requests_n), max(name) FROM hourly_sums WHERE sort = ?"
        rows, requests, last = db.execute(sql, (sort,)).fetchone()
        assert requests == 400 and rows <= most, "no amount is lost"
        assert last == {"target": "local/other", "model": "other", "key": "other", "route": "default"}[sort]
    assert table.forget(3600 + 399 * 86_400.0) == 0 and table.forget(3601 + 400 * 86_400.0) > 0
    db.close()


def test_a_file_of_the_first_layout_is_indexed_and_added_up(tmp_path: Path) -> None:
    """Its records are found by every filter and stand in the sums; a second start changes nothing; a bad row is passed over."""
    path = tmp_path / "d.sqlite3"
    rows = [answered(number, PAID if number % 3 else FREE, caller="key_b") for number in range(1, 10)]
    db = sqlite3.connect(path)
    columns = (
        "number INTEGER PRIMARY KEY, target TEXT, reason TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL"
    )
    db.execute(f"CREATE TABLE decisions ({columns})")
    db.execute("PRAGMA user_version = 1")
    for row in rows:
        body = msgspec.json.encode(row)
        db.execute(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", (int(row.id[4:], 16), row.target, "default", 200, body)
        )
    db.execute("INSERT INTO decisions VALUES (7, 'local/m', 'default', 200, 'no record')")
    db.commit()
    db.close()
    for _ in range(2):
        Database(path, max_bytes=1 << 24, tally=Tally()).close()
        found = total(path)[""]
        assert (found.requests, found.cost) == (9, 6000)
        read = database.read_many(
            path, Query(target="openai/x", caller="key_b", statuses=(200, 299)), lambda fault: None
        )
        assert [each.id for each in read] == [each.id for each in rows[::-1] if each.target == "openai/x"]


def test_removed_records_leave_the_index_and_stay_in_the_sums(tmp_path: Path) -> None:
    """The file forgets what is too old; a kind without records goes with them."""
    file = Database(tmp_path / "d", max_bytes=1 << 24)
    old, young = answered(1, FREE), msgspec.structs.replace(answered(2, PAID), id=f"dec_{floor_of(AT + 90_000):016x}")
    file.save([old, young], Tally(), {})
    assert file.forget_before(AT + 80_000) == 1
    file.close()
    with reading(tmp_path / "d") as db:
        assert db.execute("SELECT count(*) FROM rows_of_kinds").fetchone() == (1,)
        assert db.execute("SELECT target FROM kinds").fetchall() == [("openai/x",)]
    assert total(tmp_path / "d")[""].requests == 2


_WRITER = """
import sys, time
from pathlib import Path
from runtime.record.decisions import Decision, DecisionIds, Exchange
from runtime.record.store import Store
store = Store(Path(sys.argv[1]), retention_days=30, max_mb=64, clock=time.time)
store.start()
ids = DecisionIds(time.time, 1)
while True:
    tried = (Exchange("openai/x", "api", 0.0, 1.0, prompt_tokens=10, completion_tokens=1, cost_usd=0.000003),)
    store.add(Decision(id=ids.next(), at=time.time(), dialect="d", model="m", target="openai/x", attempts=tried))
    time.sleep(0.0005)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_sums_and_records_that_agree(tmp_path: Path) -> None:
    """SIGKILL between and within transactions, five times on one file."""
    path = tmp_path / "d.sqlite3"
    for kills in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        )
        seen = 0
        wanted = seen_records(path) + 300
        while seen < wanted:
            assert writer.poll() is None
            seen = seen_records(path)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        whole = total(path)[""]
        records = seen_records(path)
        assert records >= wanted
        assert (whole.requests, whole.cost, whole.prompt) == (records, 3 * records, 10 * records), kills
        with reading(path) as db:
            assert db.execute("SELECT count(*) FROM rows_of_kinds").fetchone() == (records,)


def seen_records(path: Path) -> int:
    try:
        with reading(path) as db:
            return int(db.execute("SELECT count(*) FROM decisions").fetchone()[0])
    except sqlite3.Error:
        return 0
