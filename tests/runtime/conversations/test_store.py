"""Answers kept for later requests: chains of them, whose they are, how long they live, how many there may be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.conversations.store import Bounds, ResponseStore
from runtime.dialects.openai_responses.conversation import Kept
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody
from tests.fakes.clock import FakeClock


def item(text: str, **more: Any) -> bytes:
    return json.dumps({"role": "user", "content": text, **more}).encode()


def kept(name: str, previous: str | None = None, size: int = 0) -> Kept:
    output = [{"type": "message", "id": f"msg_{name}", "content": "x" * size}]
    response = json.dumps({"id": name, "output": output}).encode()
    return Kept(name, previous, (item(f"ask {name}"),), response)


def said(items: tuple[bytes, ...] | None) -> list[str]:
    return [json.loads(each).get("id") or json.loads(each)["content"] for each in items or ()]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_000_000.0)


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[ResponseStore]:
    found = ResponseStore(None, clock, Bounds(age_s=100, rows=4, size=20_000))
    yield found
    found.close()


async def test_a_chain_is_read_from_its_beginning(store: ResponseStore) -> None:
    """Each turn's own items and what was answered, oldest first."""
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        await store.keep(kept(name, previous))
    assert said(await store.history("c")) == ["ask a", "msg_a", "ask b", "msg_b", "ask c", "msg_c"]
    assert said(await store.input("c")) == ["ask a", "msg_a", "ask b", "msg_b", "ask c"]
    assert said(await store.history("a")) == ["ask a", "msg_a"]


async def test_a_conversation_may_branch(store: ResponseStore) -> None:
    """Two answers may go on from one."""
    for name, previous in (("a", None), ("b", "a"), ("c", "a")):
        await store.keep(kept(name, previous))
    assert said(await store.history("b"))[-1] == "msg_b"
    assert said(await store.history("c"))[:2] == ["ask a", "msg_a"]


async def test_responses_and_items_are_given_back_as_they_were(store: ResponseStore) -> None:
    """Byte by byte."""
    one = kept("a")
    await store.keep(one)
    assert await store.response("a") == one.response
    assert await store.items(["msg_a", "msg_z"]) == {"msg_a": one.output[0]}
    assert (await store.response("z"), await store.history("z"), await store.input("z")) == (None, None, None)


async def test_nobody_sees_what_belongs_to_another(store: ResponseStore) -> None:
    """Not the response, not its items, not as a predecessor; and nobody else forgets it."""
    await store.keep(kept("a"), "one")
    assert await store.response("a", "two") is None
    assert await store.history("a", "two") is None
    assert await store.items(["msg_a"], "two") == {}
    assert not await store.forget("a", "two")
    assert await store.response("a", "one") is not None


async def test_forgetting(store: ResponseStore) -> None:
    """What went on from it has lost its beginning."""
    await store.keep(kept("a"))
    await store.keep(kept("b", "a"))
    assert await store.forget("a")
    assert not await store.forget("a")
    assert await store.history("b") is None
    assert await store.items(["msg_a"]) == {}


async def test_what_is_too_old_is_gone(store: ResponseStore, clock: FakeClock) -> None:
    """Even before anything is kept anew; what is used stays young, with all it stands on."""
    await store.keep(kept("a"))
    await clock.advance(60)
    await store.keep(kept("b", "a"))
    await store.keep(kept("c"))
    await clock.advance(60)
    assert await store.history("b") is not None
    await clock.advance(60)
    assert await store.response("c") is None
    assert said(await store.history("b"))[0] == "ask a"


async def test_the_number_is_bounded(store: ResponseStore, clock: FakeClock) -> None:
    """The longest unused goes first, never the head of a chain in use."""
    for name, previous in (("a", None), ("x", None), ("y", None), ("b", "a"), ("c", "b")):
        await clock.advance(1)
        await store.keep(kept(name, previous))
    assert store.held[0] == 4
    assert await store.response("x") is None
    assert await store.history("c") is not None


async def test_the_bytes_are_bounded(store: ResponseStore, clock: FakeClock) -> None:
    """Whatever the number."""
    for name in "abc":
        await clock.advance(1)
        await store.keep(kept(name, size=9_000))
    assert store.held[1] <= 20_000
    assert await store.response("a") is None
    assert await store.response("c") is not None


async def test_an_answer_too_big_to_keep_is_not_kept(store: ResponseStore) -> None:
    """And the store goes on."""
    await store.keep(kept("a", size=50_000))
    assert store.held == (0, 0)
    await store.keep(kept("b"))
    assert await store.response("b") is not None


async def test_an_id_kept_again_is_replaced(store: ResponseStore) -> None:
    """The later answer counts."""
    await store.keep(kept("a"))
    await store.keep(kept("a", size=3))
    assert store.held[0] == 1
    assert await store.response("a") == kept("a", size=3).response


async def test_a_circle_ends(store: ResponseStore) -> None:
    """A chain that comes back to itself has no beginning."""
    await store.keep(kept("a", "b"))
    await store.keep(kept("b", "a"))
    assert await store.history("b") is None


async def test_a_body_is_resumed(store: ResponseStore) -> None:
    """With all before it and with the items it names; one that needs neither stays the very same."""
    await store.keep(kept("a"))
    await store.keep(kept("b", "a"))
    body = RawBody(b'{"input":"And?","previous_response_id":"b"}')
    found = (await store.resume(body)).data
    assert [each.get("id") or each["content"] for each in found["input"]] == [
        "ask a",
        "msg_a",
        "ask b",
        "msg_b",
        "And?",
    ]
    assert "previous_response_id" not in found
    named = RawBody(b'{"input":[{"type":"item_reference","id":"msg_a"}]}')
    assert (await store.resume(named)).data["input"] == [json.loads(kept("a").output[0])]
    alone = RawBody(b'{"input":"Hi"}')
    assert await store.resume(alone) is alone


async def test_a_predecessor_that_is_not_known_is_told(store: ResponseStore) -> None:
    """Never answered, of another owner, or gone."""
    await store.keep(kept("a"), "one")
    for name in ("a", "z"):
        with pytest.raises(ApiError, match=name):
            await store.resume(RawBody(b'{"input":"x","previous_response_id":"%b"}' % name.encode()), "two")


async def test_a_file_outlives_the_process(tmp_path: Path, clock: FakeClock) -> None:
    """Where one is asked for; only its owner may read it."""
    path = tmp_path / "state" / "responses.sqlite3"
    first = ResponseStore(path, clock)
    await first.keep(kept("a"))
    first.close()
    second = ResponseStore(path, clock)
    assert said(await second.history("a")) == ["ask a", "msg_a"]
    second.close()
    assert path.stat().st_mode & 0o077 == 0
