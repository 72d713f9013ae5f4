"""The decision store saves and finds records, bounds them by age and size, and never blocks the loop."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from runtime.record.database import Database, Query
from runtime.record.decisions import Decision, DecisionIds, number_of
from runtime.record.store import Store

DAY_S = 86_400.0


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Making:
    """Makes decisions at a clock's time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ids = DecisionIds(clock, salt=3)

    def __call__(
        self, target: str | None = "local/m", reason: str = "default", status: int = 200, words: str = ""
    ) -> Decision:
        return Decision(
            id=self.ids.next(),
            at=self.clock(),
            dialect="openai_chat",
            model="auto",
            target=target,
            reason=reason,
            status=status,
            words=words,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Making:
    return Making(clock)


Open = Callable[..., Store]


@pytest.fixture
def open_store(tmp_path: Path, clock: Clock) -> Iterator[Open]:
    opened: list[Store] = []

    def build(**changes: object) -> Store:
        given: dict[str, object] = {"retention_days": 30, "max_mb": 16, "clock": clock, **changes}
        store = Store(tmp_path / "state" / "decisions.sqlite", **given)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield build
    for store in opened:
        store.close()


async def test_a_record_is_found_before_and_after_it_is_saved(open_store: Open, make: Making) -> None:
    """Readers see the queue and the file as one."""
    store = open_store()
    decision = make()
    store.add(decision)
    assert await store.get(decision.id) == decision
    store.start()
    assert store.flush()
    assert await store.get(decision.id) == decision
    assert await store.get("dec_0000000000000000") is None
    assert await store.get("' OR 1=1") is None


async def test_the_list_is_newest_first_across_file_and_queue_and_pages_by_id(open_store: Open, make: Making) -> None:
    """A page ends where the next begins, wherever the records are."""
    store = open_store()
    decisions = [make() for _ in range(10)]
    for decision in decisions[:6]:
        store.add(decision)
    store.start()
    assert store.flush()
    store.close()
    for decision in decisions[6:]:
        store.add(decision)
    newest = decisions[::-1]
    first = await store.list(Query(5))
    assert list(first) == newest[:5]
    assert list(await store.list(Query(50, before=first[-1].id))) == newest[5:]


async def test_the_list_filters_by_target_reason_and_failure(open_store: Open, make: Making) -> None:
    """Each filter holds for saved and unsaved records alike."""
    store = open_store()
    for _ in range(2):
        for made in (make(), make(target="openai/x", reason="queue_depth"), make(target=None, status=502)):
            store.add(made)
        store.start()
        assert store.flush()
        store.close()
    for made in (make(target="openai/x", reason="queue_depth"), make(target=None, status=502)):
        store.add(made)
    assert len(await store.list(Query(target="openai/x"))) == 3
    assert len(await store.list(Query(reason="queue_depth", target="local/m"))) == 0
    assert {decision.status for decision in await store.list(Query(statuses=(400, 599)))} == {502}
    assert len(await store.list(Query(statuses=(400, 599)))) == 3
    assert len(await store.list(Query(target="none", statuses=(502, 502)))) == 3
    assert await store.list(Query(target="none", statuses=(200, 499))) == ()


async def test_records_outlive_the_process(open_store: Open, make: Making) -> None:
    """Closing saves the waiting records; another store on the same file finds them."""
    store = open_store()
    store.start()
    decision = make()
    store.add(decision)
    store.close()
    assert await open_store().get(decision.id) == decision


async def test_the_last_ones_are_remembered_across_restarts(open_store: Open, make: Making) -> None:
    """The status reads them from memory; they are loaded again when the file is opened."""
    store = open_store()
    store.start()
    decisions = [make() for _ in range(5)]
    for decision in decisions:
        store.add(decision)
    assert list(store.recent(3)) == decisions[:1:-1]
    store.close()
    again = open_store()
    again.start()
    newest = make()
    again.add(newest)
    assert again.flush()
    assert list(again.recent(100)) == [newest, *decisions[::-1]]


async def test_records_past_their_days_go(open_store: Open, make: Making, clock: Clock) -> None:
    """The oldest go first and by age alone."""
    store = open_store(retention_days=2)
    old = make()
    store.add(old)
    store.start()
    assert store.flush()
    clock.now += 1.9 * DAY_S
    young = make()
    store.add(young)
    assert store.flush()
    clock.now += 0.2 * DAY_S
    store.close()
    assert [decision.id for decision in await store.list(Query())] == [young.id]


async def test_the_file_stays_below_its_size_and_keeps_the_newest(open_store: Open, make: Making) -> None:
    """Many times the limit is added: the folder never exceeds it, and the last record is there."""
    store = open_store(max_mb=1)
    store.start()
    most = 0
    for _ in range(5):
        for _ in range(1000):
            last = make(words="w" * 1500)
            store.add(last)
        assert store.flush(20)
        most = max(most, sum(file.stat().st_size for file in store.path.parent.iterdir()))
    assert most <= 1.05 * (1 << 20)
    assert await store.get(last.id) == last
    assert 100 < len(await store.list(Query(10_000))) < 1000
    assert store.dropped == 0


async def test_a_stalled_disk_costs_the_oldest_and_counts_them(open_store: Open, make: Making) -> None:
    """Memory stays bounded: the records that waited longest are dropped."""
    store = open_store(most_waiting=100)
    decisions = [make() for _ in range(250)]
    for decision in decisions:
        store.add(decision)
    assert store.dropped == 150
    assert [decision.id for decision in await store.list(Query(1000))] == [made.id for made in decisions[:149:-1]]


async def test_a_corrupt_file_is_moved_aside_and_reported(open_store: Open, make: Making) -> None:
    """The records that were waiting land in the new file, and the old one is kept beside it."""
    said: list[str] = []
    store = open_store(notice=said.append)
    store.path.parent.mkdir()
    store.path.write_bytes(b"this is no database" * 500)
    decision = make()
    store.add(decision)
    store.start()
    assert store.flush()
    assert await store.get(decision.id) == decision
    assert store.path.with_name("decisions.sqlite.damaged").read_bytes().startswith(b"this is no database")
    assert len(said) == 1
    assert "damaged" in said[0]
    assert "moved" in said[0]


async def test_a_newer_layout_is_not_touched(open_store: Open, make: Making) -> None:
    """A file of a newer version is set aside whole, not misread."""
    said: list[str] = []
    store = open_store(notice=said.append)
    store.path.parent.mkdir()
    with sqlite3.connect(store.path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    store.add(make())
    store.start()
    assert store.flush()
    assert "newer version" in said[0]


async def test_a_locked_file_is_waited_for(open_store: Open, make: Making) -> None:
    """While another process holds it the records wait in memory, and a notice says so; afterwards they are saved."""
    said: list[str] = []
    noticed = threading.Event()

    def notice(words: str) -> None:
        said.append(words)
        noticed.set()

    store = open_store(notice=notice)
    store.start()
    store.add(make())
    assert store.flush()
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    decision = make()
    store.add(decision)
    assert not store.flush(0.01)
    assert noticed.wait(20)
    assert await store.get(decision.id) == decision
    assert "locked" in said[0]
    other.execute("ROLLBACK")
    other.close()
    assert store.flush()
    assert said == [said[0]]
    store.close()
    assert store.trouble is None


async def test_an_unusable_folder_is_reported_and_the_loop_goes_on(tmp_path: Path, make: Making, clock: Clock) -> None:
    """A path below a plain file cannot hold records: they stay readable in memory."""
    (tmp_path / "file").write_text("")
    said: list[str] = []
    store = Store(tmp_path / "file" / "d.sqlite", retention_days=1, max_mb=1, clock=clock, notice=said.append)
    store.start()
    decision = make()
    store.add(decision)
    assert not store.flush(0.01)
    assert await store.get(decision.id) == decision
    store.close()
    assert len(said) == 1


def test_adding_costs_the_loop_next_to_nothing(open_store: Open, make: Making) -> None:
    """Ten thousand records are queued in far less than 20 µs each, on any machine."""
    store = open_store()
    decision = make()
    began = time.perf_counter()
    for _ in range(10_000):
        store.add(decision)
    assert time.perf_counter() - began < 0.2


async def test_one_unreadable_row_costs_that_row_alone(open_store: Open, make: Making) -> None:
    """A later start skips it, says so once, goes on saving and shows everything else."""
    first = open_store()
    decisions = [make() for _ in range(5)]
    for decision in decisions:
        first.add(decision)
    first.start()
    first.close()
    with sqlite3.connect(first.path) as db:
        bad, other = number_of(decisions[2].id), number_of(decisions[3].id)
        db.execute("UPDATE decisions SET body = ? WHERE number = ?", ('{"id": "x", "at": "yesterday"}', bad))
        db.execute("UPDATE decisions SET body = 7 WHERE number = ?", (other,))
    db.close()
    said: list[str] = []
    store = open_store(notice=said.append)
    store.start()
    later = make()
    store.add(later)
    assert store.flush()
    readable = [later, decisions[4], decisions[1], decisions[0]]
    assert await store.list(Query(10)) == tuple(readable)
    assert await store.list(Query(3)) == tuple(readable[:3])
    assert await store.get(decisions[2].id) is None
    assert store.recent(10) == tuple(readable)
    assert len(said) == 1
    assert "cannot be read" in said[0]
    assert store.trouble == said[0]


async def test_a_record_that_cannot_be_written_is_dropped_alone(open_store: Open, make: Making) -> None:
    """Text with half a surrogate pair has no encoding; its neighbours are saved, and the loss is counted."""
    said: list[str] = []
    store = open_store(notice=said.append)
    before, after = make(), make()
    for decision in (before, msgspec.structs.replace(make(), model="\ud800"), after):
        store.add(decision)
    store.start()
    assert store.flush()
    assert store.dropped == 1
    assert await store.get(before.id) == before
    assert await store.get(after.id) == after
    assert len(said) == 1
    assert store.trouble is None


async def test_an_unexpected_fault_costs_one_batch(
    open_store: Open, make: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer reports it, counts the batch as lost and saves the next one."""
    said: list[str] = []
    store = open_store(notice=said.append)
    with monkeypatch.context() as broken:
        broken.setattr(Database, "save", lambda *given: 1 // 0)
        store.add(make())
        store.start()
        assert store.flush()
    assert store.dropped == 1
    later = make()
    store.add(later)
    assert store.flush()
    assert await store.get(later.id) == later
    assert len(said) == 1
    assert "ZeroDivisionError" in said[0]


async def test_a_closed_log_does_not_end_the_writer(open_store: Open, make: Making) -> None:
    """The notice raises as a dead stderr does; the file is moved aside and begun anew all the same."""

    def dead(words: str) -> None:
        raise BrokenPipeError(words)

    store = open_store(notice=dead)
    store.path.parent.mkdir()
    store.path.write_bytes(b"this is no database" * 500)
    decision = make()
    store.add(decision)
    store.start()
    assert store.flush()
    assert await store.get(decision.id) == decision


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    ],
)
async def test_a_full_disk_and_a_read_only_folder_are_waited_out(
    open_store: Open, make: Making, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    """One sentence names the file and the fault; the records wait in memory and are saved when it is over."""
    noticed = threading.Event()
    said: list[str] = []

    def notice(sentence: str) -> None:
        said.append(sentence)
        noticed.set()

    def refuse(*given: object) -> None:
        fault = sqlite3.OperationalError(words)
        fault.sqlite_errorcode = code
        raise fault

    store = open_store(notice=notice)
    decision = make()
    with monkeypatch.context() as broken:
        broken.setattr(Database, "save", refuse)
        store.add(decision)
        store.start()
        assert noticed.wait(20)
        assert await store.get(decision.id) == decision
        assert store.trouble is not None
        assert f"cannot be written ({words})" in store.trouble
    assert store.flush()
    assert len(said) == 1
    assert store.dropped == 0
