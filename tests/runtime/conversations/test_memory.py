"""Responses in memory: how long they are kept, how many, and how many for one owner."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from runtime.conversations.limits import StoreLimits
from runtime.conversations.memory import Memory
from runtime.dialects.openai_responses.conversation import StoredResponse
from tests.fakes.clock import FakeClock
from tests.runtime.conversations.values import item, stored


def memory(
    clock: FakeClock, *, age_s: float = 100, responses: int = 4, size: int = 1 << 20, share: float = 1.0
) -> Memory:
    return Memory(clock, StoreLimits(age_s, responses, size, share))


async def test_the_oldest_unused_is_dropped_first() -> None:
    """A conversation in use keeps all its turns."""
    clock = FakeClock()
    held = memory(clock)
    for name in ("a", "x", "y"):
        held.add(stored(name), "")
    held.add(stored("b", "a"), "")
    held.touch(["b", "a"], "")
    held.add(stored("c", "b"), "")
    assert [held.get(name, "") is not None for name in ("a", "b", "c", "x", "y")] == [True, True, True, False, True]


async def test_an_old_response_is_gone() -> None:
    """Even before the next one is added."""
    clock = FakeClock()
    held = memory(clock)
    held.add(stored("a"), "")
    await clock.advance(101)
    assert held.get("a", "") is None and held.item("msg_a", "") is None
    held.add(stored("b"), "")
    assert held.held[0] == 1


def test_items_are_found_by_owner_and_id() -> None:
    """With the certificates that their request demanded; not after the response was removed."""
    held = memory(FakeClock())
    held.add(stored("a", requires=frozenset({"hipaa"})), "one")
    found = held.item("msg_a", "one")
    assert found is not None and json.loads(found[0])["id"] == "msg_a" and found[1] == {"hipaa"}
    assert held.item("msg_a", "two") is None
    assert held.remove("a", "one") and not held.remove("a", "one")
    assert held.item("msg_a", "one") is None and held.held == (0, 0)


def test_an_item_stored_twice_outlives_its_first_response() -> None:
    """A later response that contains the same item answers for it."""
    held = memory(FakeClock())
    later = StoredResponse("b", None, b"[" + item("x", id="msg_a") + b"]", b'{"id":"b","output":[]}')
    held.add(stored("a"), "")
    held.add(later, "")
    held.remove("a", "")
    assert held.item("msg_a", "") is not None


def test_one_owner_cannot_push_out_the_others() -> None:
    """An owner that stores without end keeps its share; everybody else's responses stay."""
    held = memory(FakeClock(), responses=100, share=0.5)
    held.add(stored("a"), "quiet")
    for place in range(10_000):
        held.add(stored(f"r{place}"), "loud")
    assert held.held[0] == 51
    assert held.get("a", "quiet") is not None and held.get("r9999", "loud") is not None


@pytest.mark.parametrize("owners", [1, 1_000])
def test_memory_does_not_grow_without_end(owners: int) -> None:
    """100 MB of responses leave what the limit allows, tables included."""
    held = memory(FakeClock(), responses=10**9, size=4 << 20)
    for place in range(10_000):
        held.add(stored(f"r{place}", size=10_000), str(place % owners))
    count, size = held.held
    assert size <= 4 << 20 and count < 500
    assert len(held._items) == len(held._entries) == count
    assert len(held._owners) == len(held._owned) <= min(owners, count)


def test_many_small_items_count_with_their_table() -> None:
    """A response of tiny items costs more than its bytes; the limit holds for what it costs."""
    names = [b'{"id":"%d","role":""}' % place for place in range(10_000)]
    small = StoredResponse("a", None, b"[" + b",".join(names) + b"]", b'{"id":"a","output":[]}')
    held = memory(FakeClock(), size=1 << 20)
    held.add(small, "")
    assert held.held == (0, 0)
    held = memory(FakeClock(), size=16 << 20)
    tracemalloc.start()
    held.add(small, "")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < held.held[1]
