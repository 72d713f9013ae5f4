"""What clients can make grow, and how long they can hold the loop: invented names, bodies of a megabyte."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from runtime.conversations.store import ResponseStore
from runtime.routing.plan.names import Lent
from runtime.server.app import App
from tests.fakes.box import LEAVE, Box, asked
from tests.fakes.upstream import FakeBackend, Silence, Turn, cloud, engine_backend, told, whole

MIB = 1 << 20
A_TURN_S = 0.05  # CPU of one turn of the loop
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


class NextTurn(Silence):
    """An upstream that answers in the next turn of the loop, as the quickest real one does."""

    async def wait(self) -> None:
        await asyncio.sleep(0)


def forgetful(backend: FakeBackend) -> FakeBackend:
    """The backend without the fake's own memory of calls, which would grow too."""
    for lane in backend.lanes:
        lane.hop.calls, lane.hop.replies = deque(maxlen=1), deque(maxlen=1)  # type: ignore[assignment]
    return backend


class Crowd:
    """A box, its application, and requests that are all different."""

    def __init__(self) -> None:
        answer = Turn(told("Hello"), wait=NextTurn())

        def lend(lent: Lent) -> FakeBackend:
            return forgetful(cloud(lent.target, Turn([whole("Hello")], wait=NextTurn())))

        local = forgetful(engine_backend((answer,)))
        self.box = Box(local, [forgetful(cloud("first", answer))], LEAVE, lend=lend)
        self.box.desk.settled = (self.box.desk.latest.appendleft, self.box.desk.metrics.settled)
        self.store = ResponseStore(None, time.time)
        self.app: App = self.box.app(self.store)

    async def invented_model(self, number: int) -> int:
        body = {"model": f"vendor/invented-{number}", "messages": [{"role": "user", "content": "hi"}]}
        return (await asked(self.app, CHAT, body)).status

    async def unknown_model(self, number: int) -> int:
        body = {"model": f"nothing-{number}", "messages": [{"role": "user", "content": "hi"}]}
        return (await asked(self.app, CHAT, body)).status

    async def invented_session(self, number: int) -> int:
        body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        return (await asked(self.app, CHAT, body | {"hearth": {"session": f"session-{number}"}})).status

    async def invented_response(self, number: int) -> int:
        body = {"model": "auto", "input": "hi", "previous_response_id": f"resp_invented_{number:020}"}
        return (await asked(self.app, RESPONSES, body)).status

    async def quiet(self) -> float:
        """CPU seconds of another client's request."""
        began = time.thread_time()
        body = {"model": "first", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        seen = await asked(self.app, CHAT, body)
        assert seen.status == 200 and b"[DONE]" in seen.body
        return time.thread_time() - began


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    each = Crowd()
    yield each
    each.store.close()


async def p99(crowd: Crowd) -> float:
    """Of 300 requests of another client, CPU seconds."""
    gc.collect()
    return sorted([await crowd.quiet() for _ in range(300)])[-4]


async def floods(crowd: Crowd, count: int, most: int) -> None:
    """`count` requests of each kind: memory grows by less than `most` bytes, and another client waits no longer than before."""
    kinds: tuple[tuple[Callable[[int], Any], int], ...] = (
        (crowd.invented_model, 200),
        (crowd.unknown_model, 404),
        (crowd.invented_session, 200),
        (crowd.invented_response, 400),
    )
    for ask, status in kinds:  # until every table is warm
        for number in range(300):
            assert await ask(-number - 1) == status, ask.__name__
    before = await p99(crowd)
    tracemalloc.start()
    try:
        started, _ = tracemalloc.get_traced_memory()
        for ask, _ in kinds:
            for number in range(count):
                await ask(number)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - started
    finally:
        tracemalloc.stop()
    fleet = crowd.box.fleet
    assert grown < most, f"{grown / MIB:.1f} MiB"
    assert len(fleet._lent) <= 256 and len(fleet._breakers) <= 257 and len(fleet._lanes._ledgers) <= 258
    assert fleet.in_flight == {} and len(crowd.box.desk.latest) <= 10
    latest = min([await p99(crowd) for _ in range(3)])
    assert latest < 2 * before, f"p99 {before * 1000:.2f} ms before, {latest * 1000:.2f} ms after"


async def test_five_hundred_invented_names_sessions_and_responses(crowd: Crowd) -> None:
    """Less than 4 MiB, and nobody else is slower for it."""
    await floods(crowd, 500, 4 * MIB)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_invented_names_sessions_and_responses(crowd: Crowd) -> None:
    """Less than 32 MiB in all, and nobody else is slower for it."""
    await floods(crowd, 10_000, 32 * MIB)


class Turns:
    """The CPU of the loop's longest turn, by a callback that asks to be called again in every turn."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Turns:
        self._at = time.thread_time()
        self._handle = self._loop.call_soon(self._turn)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()

    def _turn(self) -> None:
        now = time.thread_time()
        self.longest, self._at = max(self.longest, now - self._at), now
        self._handle = self._loop.call_soon(self._turn)


def of_a_megabyte(make: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """The largest such body of at most 10**6 bytes."""
    one, two = (len(json.dumps(make(number))) for number in (1, 2))
    return make(max(1, (1_000_000 - one) // max(1, two - one)))


def _messages(content: Any) -> Callable[[int], dict[str, Any]]:
    return lambda count: {"model": "first", "stream": True, "messages": [{"role": "user", "content": content}] * count}


BIG: dict[str, tuple[str, dict[str, Any]]] = {
    "one text": (CHAT, {"model": "first", "messages": [{"role": "user", "content": "word " * 199_000}]}),
    "one text of escapes": (CHAT, {"model": "first", "messages": [{"role": "user", "content": '"\n' * 240_000}]}),
    "one text of CJK": (CHAT, {"model": "first", "messages": [{"role": "user", "content": "\u6c34" * 160_000}]}),
    "many messages": (CHAT, of_a_megabyte(_messages("hi there, how are you this morning, and what is on?"))),
    "many parts": (CHAT, of_a_megabyte(_messages([{"type": "text", "text": "hi there"}] * 8))),
    "an image": (
        CHAT,
        {
            "model": "first",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 990_000}}],
                }
            ],
        },
    ),
    "to the messages wire": (
        "/v1/messages",
        of_a_megabyte(_messages("hi there, and good morning")) | {"max_tokens": 5},
    ),
    "items of a response": (
        RESPONSES,
        of_a_megabyte(
            lambda count: {"model": "first", "input": [{"role": "user", "content": "hi there, you"}] * count}
        ),
    ),
    "many tools": (
        CHAT,
        of_a_megabyte(
            lambda count: {
                "model": "first",
                "messages": [{"role": "user", "content": "hi"}],
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}] * count,
            }
        ),
    ),
}


async def longest_turn(crowd: Crowd, name: str, tries: int) -> float:
    """CPU seconds of the longest turn of the loop while such a body is read, planned and sent on: the best of some tries."""
    path, body = BIG[name]
    longest, encoded = [], json.dumps(body | {"stream": True}).encode()
    await crowd.quiet()
    gc.collect()
    gc.freeze()  # the heap of the other tests is not the server's
    try:
        for _ in range(tries):
            with Turns() as turns:
                seen = await asked(crowd.app, path, encoded)
            assert seen.status in (200, 400, 413), seen
            longest.append(turns.longest)
            gc.collect()
    finally:
        gc.unfreeze()
    return min(longest)


@pytest.mark.parametrize("name", BIG)
async def test_no_turn_of_the_loop_is_long_for_a_body_of_a_megabyte(crowd: Crowd, name: str) -> None:
    """Three times the figure, because a busy machine shows three times the CPU."""
    assert await longest_turn(crowd, name, 2) < 3 * A_TURN_S


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
async def test_no_turn_of_the_loop_takes_fifty_milliseconds(crowd: Crowd, name: str) -> None:
    """The figure itself."""
    assert await longest_turn(crowd, name, 10) < A_TURN_S
