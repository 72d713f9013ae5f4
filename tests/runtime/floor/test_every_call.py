"""A fault at the n-th call of every seam, in memory: before the call does anything, and after it has done its work.

The seams are those of `seams`, and besides them:

    around the request   receive and send of the server, the clock, the wall clock
    claims               in flight and breaker, the ledger's entry and exit, tokens, lanes and breakers asked
    media                fetched by address, uploaded beforehand
    translating          readers of the vendors' events, writers of the clients'
    giving back          a reply closed, a claim and a ledger entry left: raised after they have done so
    conversations        resumed and stored

Every target's breaker is half-open when a request begins, so that a probe that is not given back shows. Besides what
`probe` asks, the record must be honest: a whole answer is a 200, and nothing else is.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pytest

from cloud.anthropic.read_answer import ClaudeAnswerReader
from cloud.gemini.read_answer import GeminiAnswerReader
from runtime.conversations.store import ResponseStore
from runtime.dialects.anthropic_messages.write_answer import MessagesStreamWriter, MessagesWholeWriter
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_chat.write_answer import ChatStreamWriter, ChatWholeWriter
from runtime.dialects.openai_responses.write_answer import ResponsesStreamWriter, ResponsesWholeWriter
from runtime.dispatch.candidates import Candidates
from runtime.dispatch.gate import Gate
from runtime.dispatch.hedge import Race
from runtime.fleet.claim import Claim
from runtime.fleet.fleet import LiveFleet
from runtime.fleet.lanes import Lanes
from runtime.load.ledger import InFlight, Ledger
from runtime.record.decisions import Decision
from runtime.server.app import App
from runtime.server.asgi import ClientRequest
from runtime.server.sink import ClientSink
from runtime.settings import Retries
from tests.fakes.box import LEAVE, Box, Exchanged
from tests.fakes.box import asked as asked_in_memory
from tests.fakes.upstream import (
    CUT,
    HANG,
    ROLE,
    FakeBackend,
    ScriptedReply,
    Turn,
    chunk,
    engine_backend,
    error,
    told,
    whole,
)
from tests.fakes.wires import CHAT, GENERATE, MESSAGES
from tests.runtime.floor.seams import BEFORE_LIFE, ERRORS, IN_LIFE, Seam, planted

MORE: tuple[Seam, ...] = (
    (LiveFleet, "allows"),
    (LiveFleet, "not_ready"),
    (Lanes, "best"),
    (Lanes, "judged"),
    (InFlight, "tokens"),
    (InFlight, "__enter__"),
    (Candidates, "each_candidate"),
    (Race, "won"),
    (Gate, "hold"),
    (Gate, "release"),
    (ScriptedReply, "relay"),
    (ClientSink, "write_now"),
    (Claim, "ended"),
    *(
        (reader, name)
        for reader in (ClaudeAnswerReader, GeminiAnswerReader, ChatAnswerReader)
        for name in ("feed", "finish")
    ),
    *(
        (writer, name)
        for writer in (
            ChatStreamWriter,
            ChatWholeWriter,
            MessagesStreamWriter,
            MessagesWholeWriter,
            ResponsesStreamWriter,
            ResponsesWholeWriter,
        )
        for name in ("feed", "end")
    ),
)
AFTER: tuple[Seam, ...] = (
    (ScriptedReply, "close"),
    (InFlight, "__exit__"),
    (Claim, "__exit__"),
    (Claim, "ended"),
    (InFlight, "done"),
    (Ledger, "claim"),
    (LiveFleet, "lane"),
    (ScriptedReply, "chunk"),
    (ClientRequest, "start"),
    (ResponseStore, "add"),
)
_ERROR = re.compile(rb'"error":\s*\{|"type":\s*"error"')
MARKS = {"/v1/messages": b"message_stop", "/v1/responses": b"response.completed"}


class Case(NamedTuple):
    """One kind of request over a box. turns: of the first target, on its wire."""

    name: str
    path: str
    body: dict[str, Any]
    first: Callable[[], FakeBackend]
    local_first: bool = False
    hedged: bool = False
    model: str = "auto"


TEXT: dict[str, Any] = {"messages": [{"role": "user", "content": "SECRET-PROMPT"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": TEXT,
    "/v1/messages": TEXT | {"max_tokens": 50},
    "/v1/responses": {"input": "SECRET-PROMPT", "store": True},
}
CUT_ANSWER = Turn([ROLE, chunk("Hel"), CUT])


def cases() -> Iterator[Case]:
    for path, stream in itertools.product(BODIES, (True, False)):
        body = BODIES[path] | {"stream": stream}
        how = f"{path.removeprefix('/v1/')}, {'streamed' if stream else 'whole'}"
        chat = Turn(told("fine")) if stream or path != "/v1/chat/completions" else Turn([whole("fine")])
        yield Case(f"{how}, local first", path, body, lambda: CHAT.target("first", error(500)), local_first=True)
        yield Case(f"{how}, pinned to chat", path, body, partial(CHAT.target, "first", chat), model="first")
        yield Case(f"{how}, to gemini", path, body, lambda: GENERATE.target("first", GENERATE.told("fine")))
        if path != "/v1/messages":
            yield Case(f"{how}, to claude", path, body, lambda: MESSAGES.target("first", MESSAGES.told("fine")))
        yield Case(f"{how}, hedged", path, body, lambda: CHAT.target("first", Turn(wait=HANG)), hedged=True)
        yield Case(f"{how}, second try", path, body, partial(CHAT.target, "first", error(500), chat))
        yield Case(f"{how}, falling back", path, body, lambda: CHAT.target("first", CUT_ANSWER))
    for stream in (True, False):
        body = {"prompt": "SECRET-PROMPT", "stream": stream}
        yield Case(
            f"completions, {stream}",
            "/v1/completions",
            body,
            lambda: CHAT.target("first", error(500)),
            local_first=True,
        )
    yield Case(
        "counted", "/v1/messages/count_tokens", TEXT, lambda: MESSAGES.target("first", Turn([b'{"input_tokens": 7}']))
    )


@dataclass
class Scene:
    """A box, its application, and what it left behind."""

    box: Box
    app: App
    decisions: list[Decision]

    def left(self) -> list[str]:
        """Complaints about what a request left behind."""
        fleet, found = self.box.fleet, []
        if fleet.in_flight:
            found.append(f"in flight: {fleet.in_flight}")
        for backend in self.box.backends:
            for lane in backend.lanes:
                ledger = fleet.ledger(lane)
                if ledger.waiting or ledger.running:
                    found.append(f"ledger of {lane.name}: {ledger.waiting} waiting, {ledger.running} running")
                if not all(reply.closed for reply in lane.hop.replies):
                    found.append(f"an open reply of {lane.name}")
            breaker = fleet._breakers.get(backend.target.name)
            if breaker is not None and breaker._probe_at is not None:
                found.append(f"a probe of {backend.target.name}")
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            found.append(f"tasks: {others}")
        return found


def scene(case: Case) -> Scene:
    stream = case.body.get("stream") or case.path in ("/v1/messages", "/v1/responses")
    good = Turn(told("fine") if stream else [whole("fine")])
    clouds = [case.first(), CHAT.target("second", good)]
    escalation = LEAVE if not case.local_first else None
    retries = Retries(hedge_after=0.002) if case.hedged else Retries()
    more = {} if escalation is None else {"escalation": escalation}
    box = Box(engine_backend((good,)), clouds, retries=retries, **more)  # type: ignore[arg-type]
    box.fleet.remember({"first": (1, 0.0), "second": (1, 0.0)})
    found: list[Decision] = []
    box.desk.settled = (found.append, *box.desk.settled)
    return Scene(box, box.app(ResponseStore(None, time.time)), found)


def complaints(case: Case, seen: Exchanged, decisions: list[Decision], *, before_life: bool) -> Iterator[str]:
    """What is wrong with the client's view and the record of it."""
    if len(decisions) != 1 and not (before_life and not decisions):
        yield f"{len(decisions)} records"
    if b"SECRET-PROMPT" in seen.body:
        yield "the answer quotes the fault"
    stream = bool(case.body.get("stream"))
    mark = MARKS.get(case.path, b"[DONE]")
    failed = _ERROR.search(seen.body) is not None
    given = mark in seen.body if stream else seen.ended and not failed
    whole_answer = seen.status == 200 and given and not (stream and failed)
    if stream and mark in seen.body and failed:
        yield "an error behind the closing mark"
    if seen.status == 0:
        yield "no answer"
    elif seen.status != 200 and not (seen.headers.get("content-type") == "application/json" and failed):
        yield f"{seen.status} in no dialect: {seen.body[:200]!r}"
    elif seen.status == 200 and seen.ended and not whole_answer and not failed:
        yield f"it ends as if it were whole: {seen.body[-200:]!r}"
    for decision in decisions:
        if whole_answer != (decision.status == 200):
            yield f"on record as {decision.status}: {seen.status}, {seen.body[-120:]!r}"


async def after(
    case: Case, seam: Seam, nth: int, make: Callable[[], BaseException], *, late: bool
) -> tuple[bool, list[str]]:
    """One request with one fault. True if it was met, with what did not hold."""
    each = scene(case)
    with planted(seam, nth, make, late=late) as fault:
        seen = await asyncio.wait_for(asked_in_memory(each.app, case.path, case.body | {"model": case.model}), 5)
    for _ in range(20):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0)
    if not fault.fired:
        return False, []
    found = [*complaints(case, seen, each.decisions, before_life=seam in BEFORE_LIFE), *each.left()]
    where = f"{case.name}: {seam[0].__name__}.{seam[1]} #{nth}{' after' if late else ''}, {type(make()).__name__}"
    return True, [f"{where}: {words}" for words in found]


async def every_fault(case: Case, nths: range, per_call: int) -> int:
    """Plants one fault after another, and fails with all that was not survived. Returns how many were met."""
    met, wrong = 0, []
    seams = [*((seam, False) for seam in (*BEFORE_LIFE, *IN_LIFE, *MORE)), *((seam, True) for seam in AFTER)]
    for number, (seam, late) in enumerate(seams):
        for nth in nths:
            reached = False
            for turn in range(per_call):
                make = ERRORS[(number + nth + turn) % len(ERRORS)]
                reached, found = await after(case, seam, nth, make, late=late)
                if not reached:
                    break
                met += 1
                wrong += found
            if not reached:
                break
    assert not wrong, f"{len(wrong)} of {met}:\n" + "\n".join(wrong[:40])
    return met


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
async def test_a_fault_at_every_call(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """The first call of each seam raises, a different error each time: some 1,500 faults over all cases."""
    caplog.set_level(logging.CRITICAL)
    healthy = scene(case)
    seen = await asked_in_memory(healthy.app, case.path, case.body | {"model": case.model})
    assert seen.status == 200 and not list(complaints(case, seen, healthy.decisions, before_life=False)), seen
    assert healthy.left() == []
    assert await every_fault(case, range(1, 2), 1) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
async def test_every_error_at_every_call(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """Each error at each of the first four calls: some 40,000 faults."""
    caplog.set_level(logging.CRITICAL)
    assert await every_fault(case, range(1, 5), len(ERRORS)) >= 300


@contextlib.contextmanager
def raising_clock(box: Box, nth: int, make: Callable[[], BaseException]) -> Iterator[None]:
    """The desk's clock raises once."""
    calls, real = itertools.count(1), box.desk.clock

    def clock() -> float:
        if next(calls) == nth:
            raise make()
        return real()

    box.desk.clock = clock
    yield
    box.desk.clock = real


@pytest.mark.parametrize("nth", range(1, 6))
async def test_a_clock_that_raises(nth: int, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it is read: an answer or an error, and nothing left behind."""
    caplog.set_level(logging.CRITICAL)
    case = next(cases())
    each = scene(case)
    with raising_clock(each.box, nth, RuntimeError):
        try:
            seen = await asked_in_memory(each.app, case.path, case.body | {"model": "auto"})
        except RuntimeError:
            assert nth == 1, "only before there is a request"
            return
    assert seen.status in (200, 500) and each.left() == [] and len(each.decisions) <= 1
