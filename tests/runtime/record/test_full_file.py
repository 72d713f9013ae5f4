"""Lists, filters and sums of a file with very many records: right, off the loop's thread, and within 200 ms."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.record import database, summary
from runtime.record.cost_report import cost_report, days_of
from runtime.record.database import Database, Query
from runtime.record.decisions import Considered, Decision, Exchange, floor_of
from runtime.record.store import Store
from runtime.record.sums import Tally

pytestmark = pytest.mark.timeout(1800)  # the large file is two gigabytes
BEGAN = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
STEP_S = 2.0
MOST_S = 0.2
TARGETS = ("local/llama-3.2-3b", "anthropic/claude-sonnet-5-5", "openai/gpt-5", None)
REASONS = ("default", "complexity", "context", "ttft")


def made(numbers: range) -> Iterator[Decision]:
    """Records of a usual size; the last two days have all of one rare reason."""
    dice = random.Random(7)
    considered = tuple(Considered(f"provider{n}/model", "default", "words that say why " * 6, 0.01) for n in range(3))
    for number in numbers:
        at = BEGAN + number * STEP_S
        target = dice.choice(TARGETS)
        tried = (
            Exchange(
                target or "openai/gpt-5", "api", 0.0, 900.0, prompt_tokens=900, completion_tokens=90, cost_usd=0.001
            ),
        )
        yield Decision(
            id=f"dec_{floor_of(at) + 5:016x}",
            at=at,
            dialect="openai_chat",
            model="auto",
            target=target,
            reason="rule" if number % 100_000 == 7 else dice.choice(REASONS),
            status=200 if target else 502,
            considered=considered,
            attempts=tried,
            caller=f"key_{dice.randrange(20):016x}",
            ttft_ms=dice.uniform(20, 3000),
        )


@pytest.fixture(scope="module", params=[10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A file of so many records, and their number."""
    path, records = tmp_path_factory.mktemp("full") / "d.sqlite3", request.param
    file = Database(path, max_bytes=4096 << 20)
    file._db.execute("PRAGMA synchronous = OFF")  # nobody needs this file after a power cut
    for first in range(0, records, 5000):
        assert file.save(made(range(first, first + 5000)), Tally(), {}) == []
        assert file.shrink() == 0
    file.close()
    return path, records


QUERIES = {
    "the newest": Query(50),
    "far back": Query(50, before=f"dec_{floor_of(BEGAN + 1000 * STEP_S):016x}"),
    "one target": Query(50, target="openai/gpt-5"),
    "no answer": Query(50, target="none", statuses=(500, 599)),
    "nothing": Query(50, reason="pinned"),
    "nothing of two": Query(50, target="none", statuses=(200, 299)),
    "rare": Query(50, reason="rule"),
    "a key's": Query(50, caller=f"key_{3:016x}", reason="ttft", target="local/llama-3.2-3b"),
    "a thousand": Query(1000, target="anthropic/claude-sonnet-5-5", statuses=(200, 200)),
    "an hour": Query(50, reason="context", since=BEGAN + 3600, until=BEGAN + 7200),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_page_of_a_full_file(full: tuple[Path, int], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first, as asked for, and read in another thread than the loop's."""
    path, records = full
    store = Store(path, retention_days=0, max_mb=4096, clock=time.time)
    threads: set[int] = set()

    def read(*given: Any) -> tuple[Decision, ...]:
        threads.add(threading.get_ident())
        return read_many(*given)

    read_many = database.read_many
    monkeypatch.setattr(database, "read_many", read)
    query = QUERIES[name]
    took, found = await fastest(partial(store.list, query))
    assert threads and threading.get_ident() not in threads
    ids = [each.id for each in found]
    assert ids == sorted(ids, reverse=True) and all(map(query.matches, found))
    if name in ("the newest", "one target", "a thousand", "an hour"):
        assert len(found) == query.limit
    if name == "rare":
        assert len(found) == max(1, records // 100_000)
    within(took, records)


@pytest.mark.parametrize("hours", [1, 24, 24 * 30])
async def test_the_summary_of_a_full_file(full: tuple[Path, int], hours: int) -> None:
    """Read from the sums, whatever the number of records."""
    path, records = full
    now = BEGAN + records * STEP_S
    wanted = min(records, hours * 1800)

    async def asked() -> summary.TrafficSummary:
        return summary.summary(path, hours * 3600, now, Tally())

    took, found = await fastest(asked)
    assert wanted <= found.total.requests <= wanted + 1800
    within(took, records)


async def test_the_costs_of_a_full_file(full: tuple[Path, int]) -> None:
    """All records of a month are in them, to the micro-dollar."""
    path, records = full
    days = days_of("2026-11-01", "2026-12-31", None, datetime.now(UTC).date())

    async def asked() -> float | None:
        return cost_report(path, "target", days, Tally(), {}).total.cost_usd

    took, found = await fastest(asked)
    assert found == pytest.approx(records / 1000)
    within(took, records)


async def fastest(ask: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the best of three, and the last answer."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        found = await ask()
        times.append(time.perf_counter() - began)
    return min(times), found


def within(took: float, records: int) -> None:
    """Times count in the large size alone: the small one runs beside everything else."""
    if records >= 1_000_000:
        print(f"{1000 * took:.1f} ms")
        assert took <= MOST_S


rows = st.lists(
    st.tuples(
        st.sampled_from(["a/x", "b/y", None]),
        st.sampled_from(["default", "ttft"]),
        st.sampled_from([200, 400, 502]),
        st.sampled_from(["", "k1"]),
    ),
    max_size=12,
)
queries = st.builds(
    Query,
    limit=st.integers(1, 5),
    before=st.none() | st.integers(0, 13).map(lambda number: f"dec_{floor_of(BEGAN + number):016x}"),
    target=st.sampled_from([None, "a/x", "none", "c/z"]),
    reason=st.sampled_from([None, "ttft"]),
    statuses=st.sampled_from([None, (400, 599), (200, 200)]),
    caller=st.sampled_from([None, "", "k1"]),
    since=st.none() | st.integers(0, 13).map(lambda number: BEGAN + number),
    until=st.none() | st.integers(0, 13).map(lambda number: BEGAN + number),
)


@settings(max_examples=60, deadline=None)
@given(rows=rows, asked=st.lists(queries, min_size=1, max_size=6), most=st.sampled_from([1, 5000]))
def test_every_filter_finds_what_a_scan_finds(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str | None, str, int, str]],
    asked: list[Query],
    most: int,
) -> None:
    """Also where there are more kinds than the index numbers."""
    path = tmp_path_factory.mktemp("kinds") / "d"
    records = [
        Decision(
            id=f"dec_{floor_of(BEGAN + number):016x}",
            at=BEGAN + number,
            dialect="d",
            model="m",
            target=target,
            reason=reason,
            status=status,
            caller=caller,
        )
        for number, (target, reason, status, caller) in enumerate(rows)
    ]
    file = Database(path, max_bytes=1 << 24)
    file._kinds._most = most
    file.save(records, Tally(), {})
    file.close()
    for query in asked:
        wanted = [each for each in records[::-1] if scanned(each, query)][: query.limit]
        assert list(database.read_many(path, query, lambda fault: None)) == wanted


def scanned(each: Decision, query: Query) -> bool:
    """The filter by hand."""
    least, most = query.statuses or (0, 999)
    return (
        (query.before is None or each.id < query.before)
        and (query.target is None or (each.target or "none") == query.target)
        and (query.reason is None or each.reason == query.reason)
        and least <= each.status <= most
        and (query.caller is None or each.caller == query.caller)
        and (query.since is None or each.at >= query.since)
        and (query.until is None or each.at < query.until)
    )
