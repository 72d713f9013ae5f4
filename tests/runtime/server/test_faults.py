"""Every row of the fault list through the HTTP door, on each wire an upstream may speak and on the box's own engine.

The rule beneath them: a whole answer or a clear, bounded error; never a cut answer as a whole one, never text twice, never a
hang, and no hammering.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.contract.targets import Capabilities, Timeouts
from runtime.settings import Escalation, Retries
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import CUT, HANG, RESET, FakeBackend, Turn, cloud, engine_backend, told, whole
from tests.fakes.wires import WIRES, Wire

Faulty = Callable[..., AbstractAsyncContextManager["Scene"]]
QUOTA = {
    "chat": "insufficient_quota",
    "engine": "insufficient_quota",
    "messages": "rate_limit_error",
    "generate": "RESOURCE_EXHAUSTED",
}


class Scene:
    """The faulty target first, a good one behind it; or the faulty one alone, pinned."""

    def __init__(self, door: Door, wire: Wire, first: FakeBackend, second: FakeBackend) -> None:
        self.door, self.wire, self.first, self.second = door, wire, first, second

    async def ask(self, *, pinned: bool = False, **more: Any) -> httpx.Response:
        name = self.first.target.name
        return await self.door.chat(model=name if pinned else "auto", **more)

    @property
    def calls(self) -> int:
        return len(self.first.lanes[0].hop.calls)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    return WIRES[request.param]


@pytest.fixture
def faulty(wire: Wire, tmp_path: Path) -> Faulty:
    @contextlib.asynccontextmanager
    async def scene(
        *turns: Turn, retries: Retries | None = None, total_s: float = 5.0, **facts: Any
    ) -> AsyncIterator[Scene]:
        first, second = wire.target("first", *turns, **facts), cloud("second", Turn(told("fine")))
        if wire.name == "engine":
            local, clouds, escalation = first, [second], Escalation()
        else:
            local, clouds, escalation = (
                engine_backend((Turn([whole("spare")]),)),
                [first, second],
                Escalation(queue_depth=0),
            )
        setup = Setup(local, clouds, escalation, retries or Retries(), total_s=total_s)
        async with opened(setup, tmp_path) as door:
            yield Scene(door, wire, first, second)

    return scene


def text_of(events: str) -> str:
    chunks = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


def rescued(answer: httpx.Response) -> None:
    """The next candidate's answer, whole, once."""
    assert answer.status_code == 200 and text_of(answer.text) == "fine" and answer.text.endswith("data: [DONE]\n\n")
    assert (
        answer.headers["x-hearth-target"] == "vendor/second-model" and answer.headers["x-hearth-reason"] == "fallback"
    )


async def test_429_with_a_short_retry_after_is_waited_out_here(faulty: Faulty, wire: Wire) -> None:
    """Up to three seconds: the same target, after the wait."""
    async with faulty(wire.refuses(429, headers={"retry-after": "2"}), wire.told("Hello")) as s:
        answer = await s.ask(stream=True)
        assert text_of(answer.text) == "Hello" and s.second.lanes[0].hop.calls == []
        assert s.door.slept and 2.0 <= s.door.slept[0] <= 2.6


async def test_429_with_a_long_retry_after_goes_on_at_once(faulty: Faulty, wire: Wire) -> None:
    """Nobody waits half a minute while another can answer."""
    async with faulty(wire.refuses(429, headers={"retry-after": "30"})) as s:
        rescued(await s.ask(stream=True))
        assert s.calls == 1 and s.door.slept == []


async def test_429_without_a_wait_again_and_again(faulty: Faulty, wire: Wire) -> None:
    """Few attempts, then the next candidate; pinned, a bounded number with jittered waits and then a clear error."""
    async with faulty(wire.refuses(429, code="rate_limit_error" if wire.name == "messages" else "")) as s:
        rescued(await s.ask(stream=True))
        assert s.calls <= 2
        before = s.calls
        answer = await s.ask(pinned=True)
        assert answer.status_code == 429 and s.calls - before <= 2


async def test_429_of_a_spent_quota_is_not_tried_again(faulty: Faulty, wire: Wire) -> None:
    """Waiting does not bring money: the next candidate at once."""
    turn = wire.refuses(429, "spent", QUOTA[wire.name])
    if wire.name == "messages":
        body = {
            "type": "rate_limit_error",
            "message": "spent",
            "details": {"error_code": "enforced_spend_limit_reached"},
        }
        turn = Turn([json.dumps({"type": "error", "error": body}).encode()], 429)
    elif wire.name == "generate":
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36000s"}
        detail = {"code": 429, "message": "spent", "status": "RESOURCE_EXHAUSTED", "details": [retry]}
        turn = Turn([json.dumps({"error": detail}).encode()], 429)
    async with faulty(turn) as s:
        rescued(await s.ask(stream=True))
        assert s.calls == 1 and s.door.slept == []


@pytest.mark.parametrize("fault", ["500", "reset"])
async def test_a_passing_fault_is_tried_once_more_here(faulty: Faulty, wire: Wire, fault: str) -> None:
    """A 500 once, or a reset before the head: one more try on the same target answers."""
    turn = wire.refuses(500) if fault == "500" else Turn(refuse=RESET)
    async with faulty(turn, wire.told("Hello")) as s:
        answer = await s.ask(stream=True)
        assert text_of(answer.text) == "Hello" and s.calls == 2 and s.second.lanes[0].hop.calls == []


@pytest.mark.parametrize("status", [503, 529])
async def test_a_persistent_overload_goes_on_within_the_budget(faulty: Faulty, wire: Wire, status: int) -> None:
    """Two tries at most, then the next candidate."""
    code = {"messages": "overloaded_error", "generate": "UNAVAILABLE"}.get(wire.name, "")
    async with faulty(wire.refuses(status, code=code)) as s:
        rescued(await s.ask(stream=True))
        assert s.calls <= 2


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_is_given_up_in_time_and_not_asked_again(faulty: Faulty, stream: bool) -> None:
    """Accepted, then nothing: the first-token limit, the next candidate, no second try on the silent one."""
    async with faulty(Turn(wait=HANG), timeouts=Timeouts(0.2, 0.2, 0.2, 0.3)) as s:
        answer = await asyncio.wait_for(s.ask(stream=True, hearth={"delivery": "whole" if not stream else "live"}), 4)
        rescued(answer)
        assert s.calls == 1


async def test_a_slow_first_token_goes_to_the_next(faulty: Faulty, wire: Wire) -> None:
    """The head came, the first content does not."""
    async with faulty(Turn([*wire.head, HANG]), timeouts=Timeouts(0.2, 0.2, 0.2, 0.5)) as s:
        rescued(await asyncio.wait_for(s.ask(stream=True), 4))


def _broken(wire: Wire) -> dict[str, Turn]:
    return {
        "cut": wire.begun(CUT),
        "stalled": wire.begun(HANG),
        "malformed": wire.begun(b"data: {nonsense\n\n", *wire.last, *wire.mark),
        "an error event": wire.begun(wire.stream_error, *wire.mark),
        "no finish reason": wire.begun(*wire.mark),
    }


@pytest.mark.parametrize("fault", ["cut", "stalled", "malformed", "an error event", "no finish reason"])
async def test_a_stream_that_breaks_after_content_is_told(faulty: Faulty, wire: Wire, fault: str) -> None:
    """What came stays, an error event, no closing mark; no other model goes on; text never twice."""
    async with faulty(_broken(wire)[fault]) as s:
        answer = await asyncio.wait_for(s.ask(stream=True), 4)
        assert text_of(answer.text) == "Hel" and "[DONE]" not in answer.text
        assert "broke off" in json.loads(answer.text.strip().splitlines()[-1][6:])["error"]["message"]
        assert s.second.lanes[0].hop.calls == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["cut", "stalled", "malformed", "an error event", "no finish reason"])
async def test_held_back_every_break_is_rescued(faulty: Faulty, wire: Wire, fault: str, stream: bool) -> None:
    """In `whole` delivery nothing was shown yet, so the next candidate's answer takes its place."""
    if wire.dialects and "openai_chat" in wire.dialects and not stream:
        stream = True  # a whole answer of the same wire is one JSON body: its faults have their own tests
    async with faulty(_broken(wire)[fault]) as s:
        answer = await asyncio.wait_for(s.ask(stream=stream, hearth={"delivery": "whole"}), 4)
        text = text_of(answer.text) if stream else None
        if stream:
            assert text == "fine" and answer.text.endswith("data: [DONE]\n\n")
        else:
            assert answer.headers["x-hearth-target"] != f"vendor/{s.first.target.model}"


async def test_before_any_content_a_break_is_not_seen(faulty: Faulty, wire: Wire) -> None:
    """Cut between the head and the first content: the next candidate."""
    async with faulty(Turn([*wire.head, CUT])) as s:
        rescued(await s.ask(stream=True))


async def test_complete_without_the_closing_mark_is_whole(faulty: Faulty, wire: Wire) -> None:
    """A finish reason came: the answer ends after `idle`, with usage, although the upstream lingers."""
    turn = wire.begun(wire.says("lo"), *wire.last, HANG)
    async with faulty(turn, timeouts=Timeouts(1, 5, 0.5, 30), total_s=30) as s:
        answer = await asyncio.wait_for(s.ask(stream=True, stream_options={"include_usage": True}), 6)
        assert text_of(answer.text) == "Hello" and answer.text.endswith("data: [DONE]\n\n")
        assert '"prompt_tokens":7' in answer.text.replace(" ", "")


TOO_LONG = {
    "chat": ("This model's maximum context length is 10 tokens", "context_length_exceeded"),
    "messages": ("prompt is too long: 300000 tokens > 200000 maximum", "invalid_request_error"),
    "generate": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "INVALID_ARGUMENT",
    ),
    "engine": ("This model's maximum context length is 10 tokens", "context_length_exceeded"),
}


async def test_a_context_too_long_goes_to_a_larger_window_or_is_told(faulty: Faulty, wire: Wire) -> None:
    """No retry on the same model; with nobody larger the error has its own code."""
    words, code = TOO_LONG[wire.name]
    async with faulty(wire.refuses(400, words, code)) as s:
        rescued(await s.ask(stream=True))
        assert s.calls == 1
        answer = await s.ask(pinned=True)
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "context_length_exceeded"


async def test_a_content_filter_is_told_and_not_routed_around(faulty: Faulty, wire: Wire) -> None:
    """The provider's reason reaches the caller; nobody else is asked."""
    if wire.name == "messages":
        details = {"type": "refusal", "explanation": "unsafe"}
        delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
        said = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 1}}
        end = f"event: message_delta\ndata: {json.dumps(said)}\n\n"
        turn = Turn([*wire.head, end.encode(), *wire.mark])
    elif wire.name == "generate":
        turn = Turn([b'data: {"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}\r\n\r\n'])
    else:
        turn = wire.refuses(400, "unsafe", "content_filter")
    async with faulty(turn) as s:
        answer = await s.ask(stream=True)
        assert s.second.lanes[0].hop.calls == [] and s.calls == 1
        told_so = "content_filter" in answer.text or "unsafe" in answer.text
        assert told_so and "fine" not in answer.text


async def test_the_callers_own_fault_comes_straight_back(faulty: Faulty, wire: Wire) -> None:
    """The provider's words and status; no other candidate; no breaker hears of it."""
    code = {"messages": "invalid_request_error", "generate": "INVALID_ARGUMENT"}.get(wire.name, "invalid_request_error")
    async with faulty(wire.refuses(400, "temperature must be a number", code)) as s:
        for _ in range(6):
            answer = await s.ask()
            assert answer.status_code == 400 and "temperature must be a number" in answer.json()["error"]["message"]
        assert s.second.lanes[0].hop.calls == []
        assert set(s.door.desk.fleet.breakers().values()) == {"closed"}


async def test_busy_never_opens_a_breaker(faulty: Faulty, wire: Wire) -> None:
    """Busy is alive."""
    code = "rate_limit_error" if wire.name == "messages" else "RESOURCE_EXHAUSTED" if wire.name == "generate" else ""
    async with faulty(wire.refuses(429, code=code), retries=Retries(attempts=1)) as s:
        for _ in range(7):
            rescued(await s.ask(stream=True))
        assert set(s.door.desk.fleet.breakers().values()) == {"closed"}


async def test_a_flapping_cloud_is_left_alone_and_taken_back(faulty: Faulty, wire: Wire) -> None:
    """Its breaker opens after failures in a row; it is asked no more while it is open."""
    if wire.name == "engine":
        return  # the engine's supervisor does this: see tests/engine
    async with faulty(wire.refuses(500), retries=Retries(attempts=1)) as s:
        for _ in range(8):
            rescued_or_behind = await s.ask(stream=True)
            assert text_of(rescued_or_behind.text) == "fine"
        assert s.calls == 5 and s.door.desk.fleet.breakers()["first"] == "open"


async def test_everything_down_is_one_clear_error(faulty: Faulty, wire: Wire) -> None:
    """502 naming each attempt, within the deadline."""
    async with faulty(wire.refuses(500, "first is down")) as s:
        s.second.lanes[0].hop.turns = [Turn(refuse=RESET)]
        for lane in s.door.desk.fleet.local.lanes:
            lane.hop.turns = [Turn(refuse=RESET)] if wire.name != "engine" else lane.hop.turns  # type: ignore[attr-defined]
        answer = await asyncio.wait_for(s.ask(), 10)
        message = answer.json()["error"]["message"]
        assert answer.status_code == 502 and "first is down" in message and "second-model" in message


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_closes_the_upstream(faulty: Faulty, wire: Wire, stream: bool) -> None:
    """Within a second, streaming or not; what was generated is on record."""
    turn = wire.begun(HANG)
    async with faulty(turn, timeouts=Timeouts(30, 30, 30, 30), total_s=30) as s:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.6):
                await s.ask(stream=stream)
        async with asyncio.timeout(1.5):
            while not s.door.desk.latest:
                await asyncio.sleep(0.01)
        hop = s.first.lanes[0].hop
        assert hop.cancelled or hop.replies[0].closed_early
        assert s.door.desk.latest[0].status == 499


async def test_a_prefill_that_the_fallback_refuses_does_not_hide_the_first_failure(faulty: Faulty, wire: Wire) -> None:
    """Its 400 is its own limitation."""
    async with faulty(wire.refuses(500, "first is down")) as s:
        s.second.lanes[0].hop.turns = [wire_chat_refusal()]
        for lane in s.door.desk.fleet.local.lanes:
            if wire.name != "engine":
                lane.hop.turns = [Turn(refuse=RESET)]  # type: ignore[attr-defined]
        answer = await s.ask()
        assert answer.status_code == 502 and "first is down" in answer.text and "prefill" in answer.text


def wire_chat_refusal() -> Turn:
    return WIRES["chat"].refuses(400, "assistant prefill is not supported", "invalid_request_error")


async def test_64_clients_while_every_third_connection_is_reset(tmp_path: Path) -> None:
    """Every answer complete, exactly once."""
    counter = itertools.count(1)
    good = Turn(told("fine"))
    first = cloud("first", good)
    hop = first.lanes[0].hop
    honest = hop.open

    async def resetting(call: Any, *, connect_s: float) -> Any:
        if next(counter) % 3 == 0:
            raise RESET
        return await honest(call, connect_s=connect_s)

    hop.open = resetting  # type: ignore[method-assign]
    second = cloud("second", good, capabilities=Capabilities())
    setup = Setup(engine_backend((Turn([whole("x")]),)), [first, second], Escalation(queue_depth=0))
    async with opened(setup, tmp_path) as door:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=door.url, timeout=30, limits=limits) as client:

            async def one() -> str:
                body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
                return (await client.post("/v1/chat/completions", json=body)).text

            answers = await asyncio.gather(*(one() for _ in range(64)))
    assert all(text_of(text) == "fine" and text.count("[DONE]") == 1 for text in answers)
