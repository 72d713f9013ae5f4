"""Faults at what is no method of a class: the server's own `receive` and `send`, clocks, media that are settled beforehand.

After each: at most one record, nothing in flight, no open reply, no task; and the record is no 200 where the client was not
served.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.record.decisions import Decision
from runtime.server.asgi import Message
from tests.fakes.box import LEAVE, Box, asked
from tests.fakes.upstream import FakeBackend, Turn, engine_backend, told, whole
from tests.fakes.wires import GENERATE, MESSAGES
from tests.runtime.floor.seams import ERRORS

TEXT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "SECRET-PROMPT"}]}
CHAT = "/v1/chat/completions"
Fault = Callable[[], BaseException]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def at_rest(box: Box) -> bool:
    """Nothing of a request is left."""
    lanes = [lane for each in box.backends for lane in each.lanes]
    ledgers = [box.fleet.ledger(lane) for lane in lanes]
    return (
        box.fleet.in_flight == {}
        and all((each.waiting, each.running) == (0, 0) for each in ledgers)
        and all(reply.closed for lane in lanes for reply in lane.hop.replies)
        and asyncio.all_tasks() == {asyncio.current_task()}
    )


def local(*, stream: bool) -> Box:
    return Box(engine_backend((Turn(told("Hello") if stream else [whole("Hello")]),)))


class Server:
    """A server whose n-th `send` or `receive` raises, and what had been sent by then."""

    def __init__(self, box: Box, body: dict[str, Any], *, fails: str, nth: int, make: Fault) -> None:
        self._box = box
        self._body = json.dumps(body).encode()
        self._fails, self._nth, self._make = fails, nth, make
        self._calls = {"send": itertools.count(1), "receive": itertools.count(1)}
        self.met = False
        self.status = 0
        self.body = b""

    def _count(self, name: str) -> None:
        if name == self._fails and next(self._calls[name]) == self._nth:
            self.met = True
            raise self._make()

    async def receive(self) -> Message:
        self._count("receive")
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        self._count("send")
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")

    async def run(self) -> BaseException | None:
        """The request; what it raised into the server, which ends the connection."""
        scope = {"type": "http", "method": "POST", "path": CHAT, "raw_path": CHAT.encode(), "query_string": b""}
        scope |= {"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 5000)}
        try:
            await self._box.app()(scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the server closes
            return error
        return None


@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("nth", range(1, 6))
async def test_a_server_that_cannot_send(nth: int, stream: bool, make: Fault) -> None:
    """Head, body or end: one record, and no 200 for an answer that did not go out."""
    box = local(stream=stream)
    server = Server(box, TEXT | {"stream": stream}, fails="send", nth=nth, make=make)
    await server.run()
    delivered = b"[DONE]" in server.body if stream else b"Hello" in server.body
    assert len(box.records.rows) == 1 and at_rest(box)
    assert (box.records.rows[0].status == 200) is delivered
    assert delivered or server.met


@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
async def test_a_body_that_cannot_be_received(make: Fault) -> None:
    """Nothing was decided: an error for the client, and no record."""
    box = local(stream=True)
    server = Server(box, TEXT, fails="receive", nth=1, make=make)
    assert await server.run() is None
    assert server.status in (500, 503) and b"SECRET" not in server.body and json.loads(server.body)["error"]
    assert box.records.rows == [] and at_rest(box)


def raising_once(real: Callable[[], float], nth: int, make: Fault) -> Callable[[], float]:
    calls = itertools.count(1)

    def clock() -> float:
        if next(calls) == nth:
            raise make()
        return real()

    return clock


@pytest.mark.parametrize("nth", range(2, 12))
@pytest.mark.parametrize("which", ["clock", "wall"])
async def test_a_clock_that_raises(which: str, nth: int) -> None:
    """The desk's clocks, at any of their readings within a request."""
    box = local(stream=True)
    setattr(box.desk, which, raising_once(time.monotonic if which == "clock" else time.time, nth, RuntimeError))
    seen = await asked(box.app(), CHAT, TEXT | {"stream": True})
    assert seen.status in (200, 500) and seen.ended and at_rest(box)
    assert len(box.records.rows) == 1


@pytest.mark.parametrize("nth", range(1, 12))
async def test_the_dispatchers_clock_raises(nth: int) -> None:
    """Between any two steps of an attempt."""
    box = local(stream=True)
    effects = box.desk.dispatcher._effects
    object.__setattr__(effects, "clock", raising_once(time.monotonic, nth, RuntimeError))
    seen = await asked(box.app(), CHAT, TEXT | {"stream": True})
    assert seen.ended and len(box.records.rows) == 1 and at_rest(box)
    assert (box.records.rows[0].status == 200) is (b"[DONE]" in seen.body)


class Settling:
    """Media settled beforehand, whose settling fails."""

    def __init__(self, make: Fault) -> None:
        self._make = make

    async def settled(self, *_: Any, **__: Any) -> Any:
        raise self._make()


@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("where", ["fetching", "uploads"])
async def test_media_that_cannot_be_settled(where: str, make: Fault) -> None:
    """A fault of the program while media are fetched or uploaded: an error, one record, every claim given back."""
    first: FakeBackend = GENERATE.target("first", GENERATE.told("never"))
    if where == "uploads":
        first.uploads = Settling(make)  # type: ignore[assignment]
    fetching: Any = Settling(make) if where == "fetching" else None
    box = Box(engine_backend((Turn(told("fine")),)), [first], LEAVE, fetching=fetching)
    box.fleet.remember({"first": (1, 0.0)})
    seen = await asked(box.app(), CHAT, TEXT | {"stream": True})
    assert seen.status in (500, 503) and b"SECRET" not in seen.body and json.loads(seen.body)["error"]
    assert [row.status for row in box.records.rows] == [seen.status] and at_rest(box)
    assert box.fleet.allows(first.target) and first.lanes[0].hop.calls == []


async def test_media_that_cannot_be_had_are_the_next_candidates_turn() -> None:
    """A foreseen failure is no fault: the next one answers."""
    gone = HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "the picture is gone"))
    first = MESSAGES.target("first", MESSAGES.told("never"))
    first.uploads = Settling(lambda: gone)  # type: ignore[assignment]
    box = Box(engine_backend((Turn(told("fine")),)), [first], LEAVE)
    seen = await asked(box.app(), CHAT, TEXT | {"stream": True})
    assert seen.status == 200 and b"[DONE]" in seen.body and at_rest(box)


@pytest.mark.parametrize("make", ERRORS[:-1], ids=lambda make: type(make()).__name__)
async def test_every_listener_raises_and_the_client_has_its_answer(make: Fault) -> None:
    """Store, latest decisions and metrics: none of them is the client's business."""
    box = local(stream=True)

    def raising(decision: Decision) -> None:
        raise make()

    box.desk.settled = (raising, raising, raising)
    seen = await asked(box.app(), CHAT, TEXT | {"stream": True})
    assert seen.status == 200 and b"[DONE]" in seen.body and seen.ended and at_rest(box)


async def test_an_error_that_cannot_be_written_is_written_by_the_floor() -> None:
    """The dialect fails on the error itself, once: the client still gets JSON."""
    calls = itertools.count(1)
    real = ChatDialect.error_body

    def once(self: ChatDialect, error: Any) -> bytes:
        if next(calls) == 1:
            raise RuntimeError("SECRET")
        return real(self, error)

    box = local(stream=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChatDialect, "error_body", once)
        seen = await asked(box.app(), CHAT, TEXT | {"model": "unknown"})
    assert seen.status == 500 and json.loads(seen.body)["error"]["code"] == "internal_error" and at_rest(box)
    assert [row.status for row in box.records.rows] == [404]
