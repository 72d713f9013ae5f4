"""A fault planted at every seam on a request's way: the client gets its own dialect's error, and nothing is left behind."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runtime.contract.targets import LOCAL
from runtime.settings import Escalation, Retries
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import FakeBackend, Turn, told, whole
from tests.fakes.wires import CHAT, ENGINE, GENERATE, MESSAGES, Wire
from tests.runtime.floor.probe import Seen, Watch, no_task_left
from tests.runtime.floor.seams import BEFORE_LIFE, ERRORS, SEAMS, planted

CHAT_BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "SECRET-PROMPT"}]}
MESSAGES_BODY = CHAT_BODY | {"max_tokens": 50}


class Case(NamedTuple):
    """One kind of request. first: the wire of its first target. more: members of the body."""

    name: str
    path: str
    body: dict[str, Any]
    first: Wire
    model: str = "auto"
    hedged: bool = False


def cases() -> Iterator[Case]:
    for wire in (ENGINE, CHAT, MESSAGES, GENERATE):
        for stream in (False, True):
            how = f"{wire.name}, {'streamed' if stream else 'whole'}"
            yield Case(f"chat to {how}", "/v1/chat/completions", CHAT_BODY | {"stream": stream}, wire)
            yield Case(f"messages to {how}", "/v1/messages", MESSAGES_BODY | {"stream": stream}, wire)
            body = {"input": "SECRET-PROMPT", "store": True, "stream": stream}
            yield Case(f"responses to {how}", "/v1/responses", body, wire)
    completion = {"prompt": "SECRET-PROMPT"}
    yield Case("completions to engine, whole", "/v1/completions", completion, ENGINE)
    yield Case("completions to engine, streamed", "/v1/completions", completion | {"stream": True}, ENGINE)
    yield Case("a count by messages", "/v1/messages/count_tokens", CHAT_BODY, MESSAGES)
    yield Case("a count by nobody", "/v1/messages/count_tokens", CHAT_BODY, GENERATE)
    yield Case("a pinned chat", "/v1/chat/completions", CHAT_BODY | {"stream": True}, CHAT, model="first")
    yield Case("a hedged chat, streamed", "/v1/chat/completions", CHAT_BODY | {"stream": True}, CHAT, hedged=True)
    yield Case("a hedged chat, whole", "/v1/chat/completions", CHAT_BODY, CHAT, hedged=True)


def turn_of(case: Case) -> Turn:
    """A good answer on the wire of the first target."""
    passes = case.first in (ENGINE, CHAT) and case.path in ("/v1/chat/completions", "/v1/completions")
    if case.path.endswith("count_tokens"):
        return Turn([b'{"input_tokens": 7}'])
    if passes and not case.body.get("stream"):
        return Turn([whole("fine")])
    if case.path == "/v1/messages" and case.first is MESSAGES and not case.body.get("stream"):
        body = (
            b'{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","stop_sequence":null,'
            b'"content":[{"type":"text","text":"fine"}],"usage":{"input_tokens":7,"output_tokens":2}}'
        )
        return Turn([body])
    return case.first.told("fine") if case.first is not CHAT else Turn(told("fine"))


@contextlib.asynccontextmanager
async def scene(case: Case, folder: Path) -> AsyncIterator[Watch]:
    """A door with the case's target first, and another behind it that answers too."""
    first = case.first.target("first", turn_of(case))
    local = first if case.first is ENGINE else ENGINE.target("box", ENGINE.told("from the box"))
    second = CHAT.target("second", Turn(told("fine") if case.body.get("stream") else [whole("fine")]))
    clouds = [second] if case.first is ENGINE else [first, second]
    leaves = Escalation() if case.first is ENGINE else Escalation(queue_depth=0)
    retries = Retries(hedge_after=0.001) if case.hedged else Retries()
    setup = Setup(local, clouds, leaves, retries, total_s=3.0)
    async with opened(setup, folder) as door:
        yield Watch(door, [local, *clouds])


def honest(case: Case, seen: Seen) -> str | None:
    """A complaint about what the client saw; None where it is a whole answer, an error of its dialect, or a visible cut."""
    if seen.cut:
        return None
    if seen.status is None:
        return "no answer at all"
    if b"SECRET-PROMPT" in seen.body:
        return "the answer quotes the fault"
    if seen.status == 200:
        closing = {"/v1/chat/completions": b"[DONE]", "/v1/completions": b"[DONE]", "/v1/messages": b"message_stop"}
        mark = closing.get(case.path, b"response.completed")
        ended = not case.body.get("stream") or mark in seen.body
        return (
            None if ended or seen.errors else f"a stream that ended without its mark or an error: {seen.body[-200:]!r}"
        )
    if not seen.kind.startswith("application/json") or not seen.errors:
        return f"{seen.status} {seen.kind}: {seen.body[:200]!r}"
    return None


async def floor_holds(case: Case, folder: Path, nths: range, errors: range) -> int:
    """Plants one fault after another. Returns how many were met; fails with every one that was not survived."""
    met, complaints = 0, []
    async with scene(case, folder) as watch:
        body = case.body | {"model": case.model}
        healthy = await watch.ask(case.path, body)
        assert healthy.status == 200 and not healthy.errors, healthy
        assert await watch.at_rest() == []
        for number, seam in enumerate(SEAMS):
            for nth in nths:
                for turn in errors:
                    make = ERRORS[(number + nth + turn) % len(ERRORS)]
                    watch.forget()
                    async with no_task_left():
                        with planted(seam, nth, make) as fault:
                            seen = await watch.ask(case.path, body)
                            await watch.ended()
                        left = await watch.at_rest()
                    if not fault.fired:
                        break
                    met += 1
                    where = f"{case.name}: {seam[0].__name__}.{seam[1]} #{nth} {type(make()).__name__}"
                    records = len(watch.decisions)
                    wrong = [honest(case, seen), *left]
                    if records != 1 and not (seam in BEFORE_LIFE and records == 0):
                        wrong.append(f"{records} records")
                    complaints += [f"{where}: {each}" for each in wrong if each]
    assert not complaints, "\n".join(complaints)
    return met


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
async def test_a_fault_at_any_seam_leaves_an_answer_a_record_and_nothing_else(
    case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each seam raises at its first and second call, a different error each time."""
    caplog.set_level(logging.CRITICAL)
    assert await floor_holds(case, tmp_path, range(1, 3), range(1)) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
async def test_ten_thousand_faults(case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every error at every seam, at each of its first four calls: some 10,000 over all cases."""
    caplog.set_level(logging.CRITICAL)
    assert await floor_holds(case, tmp_path, range(1, 5), range(len(ERRORS))) >= 63


async def test_the_log_names_the_place_and_quotes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is there without what it happened on."""
    case = next(cases())
    async with scene(case, tmp_path) as watch:
        seam = next(seam for seam in SEAMS if seam[1] == "picture")
        with planted(seam, 1, ERRORS[0]):
            seen = await watch.ask(case.path, case.body | {"model": "auto"})
        assert seen.status == 500
        (decision,) = watch.decisions
        assert decision.status == 500
        assert decision.id in caplog.text
        assert "RuntimeError" in caplog.text and "SECRET" not in caplog.text


def test_the_local_target_is_called_what_the_scenes_assume() -> None:
    """`ENGINE` is the box's own."""
    backend: FakeBackend = ENGINE.target("any", Turn())
    assert backend.target.name == LOCAL
