"""Stored responses as the door uses them: conversations, owners, what reaches the disk, and a disk that fails."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.conversations.file import ResponseFile
from runtime.conversations.limits import ConversationLimits, StoreLimits
from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses.conversation import stored_response
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody
from tests.fakes.clock import FakeClock
from tests.runtime.conversations.values import stored, texts


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_000_000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "responses.sqlite3"


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[ResponseStore]:
    found = ResponseStore(None, clock)
    yield found
    found.close()


def damage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database, " * 1_000)


def holds(path: Path, words: bytes) -> bool:
    """True if the file, or its journal, contains these words."""
    return any(words in each.read_bytes() for each in path.parent.glob("responses.sqlite3*"))


def body(**members: Any) -> RawBody:
    return RawBody(json.dumps(members).encode())


async def test_a_conversation_is_read_from_its_beginning(store: ResponseStore) -> None:
    """Each turn's own items and its answer, oldest first."""
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        store.add(stored(name, previous))
    assert texts(await store.history("c")) == ["ask a", "msg_a", "ask b", "msg_b", "ask c", "msg_c"]
    assert texts(await store.input("c")) == ["ask a", "msg_a", "ask b", "msg_b", "ask c"]
    assert texts(await store.history("a")) == ["ask a", "msg_a"]


async def test_a_conversation_may_branch(store: ResponseStore) -> None:
    """Two responses may continue one."""
    for name, previous in (("a", None), ("b", "a"), ("c", "a")):
        store.add(stored(name, previous))
    assert texts(await store.history("b"))[-1] == "msg_b"
    assert texts(await store.history("c"))[:2] == ["ask a", "msg_a"]


async def test_an_unknown_response_is_none(store: ResponseStore) -> None:
    """By each way of asking; a known one is given byte by byte."""
    store.add(stored("a"))
    assert await store.response("a") == stored("a").response
    assert (await store.response("z"), await store.history("z"), await store.input("z")) == (None, None, None)


async def test_nobody_sees_the_responses_of_another(store: ResponseStore) -> None:
    """Not the response, not its items, not as a predecessor; and nobody else deletes it."""
    store.add(stored("a"), "one")
    assert await store.response("a", "two") is None
    assert await store.history("a", "two") is None
    named = body(input=[{"type": "item_reference", "id": "msg_a"}])
    assert (await store.resume(named, "two")).body.data["input"] == named.data["input"]
    assert not await store.forget("a", "two")
    assert await store.response("a", "one") is not None


async def test_deleting(path: Path, clock: FakeClock) -> None:
    """From memory and from disk; a response that continued it has lost its first turn."""
    store = ResponseStore(path, clock)
    store.add(stored("a"))
    store.add(stored("b", "a"))
    assert await store.forget("a")
    assert not await store.forget("a")
    assert await store.history("b") is None
    store.close()
    again = ResponseStore(path, clock)
    assert await again.response("a") is None and await again.response("b") is not None
    again.close()


async def test_a_response_of_the_same_id_is_replaced(store: ResponseStore) -> None:
    """The later one counts."""
    store.add(stored("a"))
    store.add(stored("a", size=3))
    assert store.held[0] == 1
    assert await store.response("a") == stored("a", size=3).response


async def test_a_body_is_resumed(store: ResponseStore) -> None:
    """With every turn before it and with the items it refers to; one that needs neither stays the very same."""
    store.add(stored("a"))
    store.add(stored("b", "a"))
    found = (await store.resume(body(input="And?", previous_response_id="b"))).body.data
    assert [each.get("id") or each["content"] for each in found["input"]] == [
        "ask a",
        "msg_a",
        "ask b",
        "msg_b",
        "And?",
    ]
    assert "previous_response_id" not in found
    named = body(input=[{"type": "item_reference", "id": "msg_a"}])
    assert (await store.resume(named)).body.data["input"] == [json.loads(stored("a").output[0])]
    alone = body(input="Hi")
    assert (await store.resume(alone)).body is alone


async def test_a_response_to_a_reference_is_stored_with_the_item(store: ResponseStore) -> None:
    """A later turn finds the item by its id, and in the history, and never the reference in its place."""
    store.add(stored("a"))
    named = body(input=[{"type": "item_reference", "id": "msg_a"}, {"id": "msg_z"}])
    kept = stored_response((await store.resume(named)).own, stored("b").response)
    assert kept is not None
    store.add(kept)
    item = json.loads(stored("a").output[0])
    assert (await store.resume(named)).body.data["input"] == [item, {"id": "msg_z"}]
    later = (await store.resume(body(input="And?", previous_response_id="b"))).body.data["input"]
    assert later[0] == item and later[1] == {"id": "msg_z"}


async def test_an_unknown_predecessor_is_refused(store: ResponseStore) -> None:
    """Never answered, of another owner, or dropped."""
    store.add(stored("a"), "one")
    for name in ("a", "z"):
        with pytest.raises(ApiError, match=name):
            await store.resume(body(input="x", previous_response_id=name), "two")


async def test_requirements_are_inherited(store: ResponseStore) -> None:
    """Through every turn, and through an item that is only referred to."""
    store.add(stored("a", requires=frozenset({"hipaa"})))
    store.add(stored("b", "a", requires=frozenset({"zdr"})))
    assert (await store.resume(body(input="x", previous_response_id="b"))).requires == {"hipaa", "zdr"}
    assert (await store.resume(body(input=[{"id": "msg_a"}]))).requires == {"hipaa"}
    assert (await store.resume(body(input="x"))).requires == frozenset()


async def test_only_durable_responses_reach_the_disk(path: Path, clock: FakeClock) -> None:
    """Without one, there is not even a file."""
    store = ResponseStore(path, clock)
    store.add(stored("a", durable=False))
    assert await store.response("a") is not None and await store.response("z") is None
    assert not path.parent.exists()
    store.add(stored("b"))
    store.close()
    assert holds(path, b"ask b") and not holds(path, b"ask a")


async def test_a_conversation_outlives_the_process(path: Path, clock: FakeClock) -> None:
    """If its client asked for it. The next turns may be in memory."""
    first = ResponseStore(path, clock)
    first.add(stored("a"))
    first.close()
    second = ResponseStore(path, clock)
    second.add(stored("b", "a", durable=False))
    assert texts(await second.history("b")) == ["ask a", "msg_a", "ask b", "msg_b"]
    named = body(input=[{"type": "item_reference", "id": "msg_a"}, {"type": "item_reference", "id": "msg_b"}])
    assert [each["id"] for each in (await second.resume(named)).body.data["input"]] == ["msg_a", "msg_b"]
    assert second.trouble is None
    assert getattr(asyncio.get_running_loop(), "_default_executor", None) is None  # which resolves names for clouds
    second.close()


async def test_invented_predecessors_grow_nothing(path: Path, clock: FakeClock) -> None:
    """Ten thousand of them, in memory and on disk."""
    store = ResponseStore(path, clock)
    store.add(stored("a"))
    await store.history("a")
    held = store.held
    for place in range(10_000):
        with pytest.raises(ApiError):
            await store.resume(body(input="x", previous_response_id=f"invented_{place}"), f"owner_{place}")
    assert store.held == held and len(store._memory._owners) == 1
    store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM responses").fetchone() == (1,)


async def test_responses_are_stored_without_end(clock: FakeClock) -> None:
    """Memory holds what its limits allow."""
    store = ResponseStore(None, clock, memory=StoreLimits(100, 50, 1 << 20))
    for place in range(10_000):
        store.add(stored(f"r{place}", f"r{place - 1}" if place else None), str(place % 7))
    assert store.held[0] == 50
    store.close()


async def test_a_response_that_is_too_large_is_not_stored(path: Path, clock: FakeClock) -> None:
    """Neither by its bytes nor by its items; and the store goes on."""
    store = ResponseStore(path, clock, conversation=ConversationLimits(response_size=10_000))
    store.add(stored("a", size=50_000))
    assert await store.response("a") is None
    store.add(stored("b"))
    assert await store.response("b") is not None
    store.close()


async def test_the_references_of_a_body_are_bounded(clock: FakeClock) -> None:
    """Each costs a look-up."""
    store = ResponseStore(None, clock, conversation=ConversationLimits(items=10))
    with pytest.raises(BadBody, match="10 items"):
        await store.resume(body(input=[{"id": f"x{place}"} for place in range(11)]))
    store.close()


async def test_a_conversation_that_is_too_long_is_refused(path: Path, clock: FakeClock) -> None:
    """Wherever its turns are stored."""
    first = ResponseStore(path, clock)
    for place in range(6):
        first.add(stored(f"r{place}", f"r{place - 1}" if place else None))
    first.close()
    second = ResponseStore(path, clock, conversation=ConversationLimits(turns=5))
    assert len(await second.history("r4") or ()) == 10
    with pytest.raises(ApiError, match="5 turns"):
        await second.history("r5")
    second.close()


async def test_a_damaged_file_does_not_keep_the_process_from_starting(path: Path, clock: FakeClock) -> None:
    """It is moved aside, said in one sentence, and a new file is begun."""
    damage(path)
    noticed: list[str] = []
    store = ResponseStore(path, clock, notice=noticed.append)
    with pytest.raises(ApiError, match="not found"):
        await store.resume(body(input="x", previous_response_id="a"))
    assert "moved to responses.sqlite3.damaged" in str(store.trouble)
    store.add(stored("b"))
    store.close()
    assert noticed == [noticed[0]] and store.trouble is None
    assert holds(path, b"no database")
    again = ResponseStore(path, clock)
    assert await again.response("b") is not None
    again.close()


async def test_a_write_begins_a_new_file_in_place_of_a_damaged_one(path: Path, clock: FakeClock) -> None:
    """The response that met the damage is not lost."""
    damage(path)
    store = ResponseStore(path, clock, notice=lambda words: None)
    store.add(stored("b"))
    store.close()
    again = ResponseStore(path, clock)
    assert await again.response("b") is not None
    again.close()


async def test_a_damaged_file_that_cannot_be_moved(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything continues from memory; one sentence says both faults."""
    damage(path)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    noticed: list[str] = []
    store = ResponseStore(path, clock, notice=noticed.append)
    for name in "abc":
        store.add(stored(name))
    store.close()
    assert len(noticed) == 1 and "damaged" in noticed[0] and "Permission denied" in noticed[0]
    assert await store.response("a") is not None


@pytest.mark.parametrize(
    "fault", [sqlite3.OperationalError("database or disk is full"), OSError(30, "Read-only file system")]
)
async def test_a_disk_that_refuses_costs_no_answer(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """A full disk or a read-only folder is said once; conversations continue from memory, and on disk when it works again."""

    def fail(self: ResponseFile, *arguments: object) -> None:
        raise fault

    noticed: list[str] = []
    store = ResponseStore(path, clock, notice=noticed.append)
    with monkeypatch.context() as broken:
        broken.setattr(ResponseFile, "add", fail)
        for name, previous in (("a", None), ("b", "a")):
            store.add(stored(name, previous))
            assert texts(await store.history(name))[-1] == f"msg_{name}"
        assert await store.response("a") is not None
        with pytest.raises(ApiError):
            await store.response("z")  # it waits for both writes: the file rests, and nobody knows what is in it
    assert [str(store.trouble)] == noticed
    assert str(fault) in noticed[0] and "kept in memory alone" in noticed[0]
    await clock.advance(6)
    store.add(stored("c"))
    store.close()
    assert store.trouble is None


async def test_a_folder_that_cannot_be_made(tmp_path: Path, clock: FakeClock) -> None:
    """A file stands where the state folder should be: no exception leaves the store."""
    (tmp_path / "state").write_text("in the way")
    noticed: list[str] = []
    store = ResponseStore(tmp_path / "state" / "responses.sqlite3", clock, notice=noticed.append)
    store.add(stored("a"))
    assert await store.history("a") is not None and await store.response("z") is None
    store.close()
    assert len(noticed) == 1


async def test_a_slow_disk_holds_nobody_up(path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses in memory are found at once, others are refused in time; what cannot be queued is said."""
    release, begun = threading.Event(), threading.Event()

    def stand_still(self: ResponseFile, *arguments: object) -> None:
        begun.set()
        release.wait()

    store = ResponseStore(path, clock, read_timeout_s=0.05, notice=lambda words: None)
    store.add(stored("old"))
    store.add(stored("a", durable=False))
    monkeypatch.setattr(ResponseFile, "add", stand_still)
    for place in range(2_000):
        store.add(stored(f"r{place}"))
    await asyncio.to_thread(begun.wait)
    assert texts(await store.history("a")) == ["ask a", "msg_a"]
    with pytest.raises(ApiError) as refused:
        await store.resume(body(input="x", previous_response_id="unknown"))
    assert (refused.value.status, refused.value.code) == (503, "store_unavailable")
    assert store.trouble is not None and "too slow" in store.trouble
    release.set()
    store.close()
