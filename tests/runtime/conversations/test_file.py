"""The file of stored responses: limits, order of dropping, and rows that cannot be decoded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.conversations.chain import Chain
from runtime.conversations.file import ResponseFile
from runtime.conversations.limits import ConversationLimits, StoreLimits
from tests.fakes.clock import FakeClock
from tests.runtime.conversations.values import stored, texts

LIMITS = StoreLimits(age_s=100, responses=4, size=20_000, owner_share=1.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_000_000.0)


@pytest.fixture
def file(tmp_path: Path, clock: FakeClock) -> Iterator[ResponseFile]:
    opened = ResponseFile(tmp_path / "state" / "responses.sqlite3", clock, LIMITS)
    yield opened
    opened.close()


def followed(file: ResponseFile, name: str, owner: str = "") -> list[str]:
    chain = Chain(name, ConversationLimits())
    file.follow(chain, owner)
    return texts(chain.items(with_output=False)) if chain.wanted is None else []


def rows(path: Path) -> int:
    with sqlite3.connect(path) as db:
        return int(db.execute("SELECT (SELECT count(*) FROM responses) + (SELECT count(*) FROM items)").fetchone()[0])


async def test_the_number_is_bounded(file: ResponseFile, clock: FakeClock) -> None:
    """The least recently used goes first, never the first turn of a conversation in use."""
    for name, previous in (("a", None), ("x", None), ("y", None), ("b", "a"), ("c", "b")):
        await clock.advance(1)
        if previous:
            followed(file, previous)
        file.add(stored(name, previous), "")
    assert file.held[0] == 4
    assert file.get("x", "") is None
    assert followed(file, "c") == ["ask a", "msg_a", "ask b", "msg_b", "ask c"]


def test_the_bytes_are_bounded(file: ResponseFile) -> None:
    """Whatever the number; a response larger than everything together is not kept."""
    for name in "abc":
        file.add(stored(name, size=9_000), "")
    assert file.held[1] <= 20_000 and file.get("c", "") is None
    file.add(stored("d", size=50_000), "")
    assert file.held[1] <= 20_000 and file.get("d", "") is None


def test_one_owner_cannot_push_out_the_others(tmp_path: Path, clock: FakeClock) -> None:
    """An owner that stores without end keeps its share; the file stays small."""
    path = tmp_path / "responses.sqlite3"
    file = ResponseFile(path, clock, StoreLimits(100, 20, 1 << 20, 0.5))
    file.add(stored("a"), "quiet")
    for place in range(500):
        file.add(stored(f"r{place}"), "loud")
    assert file.held[0] == 11 and file.get("a", "quiet") is not None
    file.close()
    assert rows(path) == 22


async def test_old_responses_are_gone(file: ResponseFile, clock: FakeClock) -> None:
    """What is used stays young, with all it stands on."""
    file.add(stored("a"), "")
    await clock.advance(60)
    followed(file, "a")
    file.add(stored("b", "a"), "")
    file.add(stored("c"), "")
    await clock.advance(60)
    assert followed(file, "b")
    await clock.advance(60)
    assert file.get("c", "") is None and file.items(["msg_c"], "") == {}
    assert followed(file, "b")


def test_the_counts_survive_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    """And only the owner of the file may read it."""
    path = tmp_path / "responses.sqlite3"
    first = ResponseFile(path, clock, LIMITS)
    first.add(stored("a"), "one")
    first.add(stored("b"), "two")
    held = first.held
    first.close()
    second = ResponseFile(path, clock, LIMITS)
    assert second.held == held and second.remove("a", "one") and second.held[0] == 1
    second.close()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("value", [b"\xff{", b'{"role":', "text", 5])
@pytest.mark.parametrize("column", ["input", "response"])
def test_a_row_that_cannot_be_decoded_is_skipped(tmp_path: Path, clock: FakeClock, column: str, value: object) -> None:
    """It is deleted and named once; its conversation is not known any more, every other one is."""
    path = tmp_path / "responses.sqlite3"
    file = ResponseFile(path, clock, LIMITS)
    for name, previous in (("a", None), ("b", "a"), ("c", None)):
        file.add(stored(name, previous), "")
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE responses SET {column} = ? WHERE id = 'a'", (value,))
    assert followed(file, "b") == []
    assert "could not be decoded and was deleted (a: " in str(file.trouble)
    assert followed(file, "c") == ["ask c"]
    file.add(stored("d"), "")
    assert (file.trouble, file.held[0]) == (None, 3)
    file.close()


def test_an_item_that_cannot_be_decoded_is_left_out(tmp_path: Path, clock: FakeClock) -> None:
    """The others are found."""
    path = tmp_path / "responses.sqlite3"
    file = ResponseFile(path, clock, LIMITS)
    file.add(stored("a"), "")
    file.add(stored("b"), "")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE items SET item = '{' WHERE id = 'msg_a'")
    assert list(file.items(["msg_a", "msg_b", "msg_z"], "")) == ["msg_b"]
    assert file.trouble is not None and "msg_a" in file.trouble
    file.close()


def test_a_fault_in_the_middle_changes_nothing(file: ResponseFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old response of the same id and the counts are as they were."""
    file.add(stored("a"), "")
    held = file.held

    def fail(owner: str, now: float) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(file, "_drop", fail)
    with pytest.raises(sqlite3.OperationalError):
        file.add(stored("a", size=500), "")
    assert file.held == held and file.get("a", "") == stored("a")
