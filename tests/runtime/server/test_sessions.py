"""Conversations over HTTP: what belongs to a model returns to it, and a cached prefix is worth what it saves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.contract.prices import Price
from runtime.fleet.fleet import Clouds
from runtime.settings import Escalation, Routes
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import FakeBackend, Turn, cloud, engine_backend

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
LEAVE = Escalation(queue_depth=0, complexity=1)
STAY = Escalation(complexity=1)
CACHED = Price(3.0, 15.0, cache_read=0.3)
OTHERS = Price(2.0, 10.0, cache_read=0.2)


def answer(prompt: int = 1_000, **message: Any) -> bytes:
    """A whole chat answer by the engine."""
    usage = {"prompt_tokens": prompt, "completion_tokens": 10, "total_tokens": prompt + 10}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes.", **message}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def streamed(prompt: int = 1_000, **delta: Any) -> tuple[bytes, ...]:
    """The same as a cloud streams it."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": "Yes.", **delta}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt, "completion_tokens": 10, "total_tokens": prompt + 10}
    chunks = ({"choices": [choice]}, {"choices": [end]}, {"choices": [], "usage": usage})
    return (*(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks), b"data: [DONE]\n\n")


def box(prompt: int = 1_000) -> tuple[FakeBackend, list[FakeBackend]]:
    """An engine and two clouds that answer everything."""
    engine = engine_backend(tuple(Turn([answer(prompt)]) for _ in range(6)))
    turns = [Turn(streamed(prompt)) for _ in range(6)]
    return engine, [cloud("one", *turns, price=CACHED), cloud("two", *turns, price=OTHERS)]


def under(
    door: Door, clouds: Sequence[FakeBackend], escalation: Escalation, order: Sequence[str] = ("one", "two")
) -> None:
    """Another load, and another order of the targets."""
    door.desk.fleet.reload(Clouds({each.target.name: each for each in clouds}), escalation)
    policy = door.desk.planner.policy
    routes = Routes(default=tuple(order))
    door.desk.planner.policy = dataclasses.replace(policy, escalation=escalation, routes=routes)


async def ask(door: Door, turns: Sequence[Any], key: str = "", session: str = "", **more: Any) -> tuple[str, str]:
    """The target and the reason of one turn."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    body = {"model": "auto", "messages": list(turns), **more} | ({"hearth": {"session": session}} if session else {})
    given: httpx.Response = await door.client.post("/v1/chat/completions", json=body, headers=headers)
    assert given.status_code == 200, given.text
    return given.headers["x-hearth-target"], given.headers["x-hearth-reason"]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "42"}
SAID = {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize("begins", [STAY, LEAVE])
async def test_a_conversation_with_tools_stays_when_the_load_changes(begins: Escalation, tmp_path: Path) -> None:
    """On the engine when it fills, and at a cloud when the engine is free again; the next plain turn is free to move."""
    engine, clouds = box()
    ends = LEAVE if begins is STAY else STAY
    async with opened(Setup(engine, clouds, begins), tmp_path) as door:
        home, _ = await ask(door, [user("look it up")], tools=TOOLS)
        under(door, clouds, ends, ("two", "one"))
        turns = [user("look it up"), CALLED, RESULT]
        assert await ask(door, turns, tools=TOOLS) == (home, "session")
        assert await ask(door, [*turns, CALLED, RESULT], tools=TOOLS) == (home, "session")
        moved, _ = await ask(door, [*turns, SAID, user("thanks")], tools=TOOLS)
        assert moved != home
        row = (await door.client.get("/hearth/decisions")).json()["data"][-2]
        assert row["reason"] == "session" and home in row["words"]
        assert row["kept"]["session"]["label"] == home


async def test_a_plain_conversation_moves_if_the_saving_is_larger(tmp_path: Path) -> None:
    """Long enough, its prefix is worth more at the cloud that holds it; a short answer to a short prompt moves."""
    for prompt, long, target in ((4_000, "word " * 3_000, "vendor/one-model"), (10, "", "vendor/two-model")):
        engine, clouds = box(prompt)
        async with opened(Setup(engine, clouds, LEAVE), tmp_path / str(prompt)) as door:
            assert (await ask(door, [user(f"hello {long}")], max_tokens=50))[0] == "vendor/one-model"
            under(door, clouds, LEAVE, ("two", "one"))
            turns = [user(f"hello {long}"), SAID, user("and now?")]
            explained = (await door.client.post("/hearth/explain", json={"model": "auto", "messages": turns})).json()
            assert explained["session"] == {"target": "vendor/one-model", "cached_tokens": {"one": prompt}}
            assert (await ask(door, turns, max_tokens=50))[0] == target


async def test_no_key_sees_the_conversation_of_another(tmp_path: Path) -> None:
    """The same beginning and the same hint are another conversation under another key."""
    engine, clouds = box()
    turns = [user("look it up"), CALLED, RESULT]
    async with opened(Setup(engine, clouds, STAY, keys=("a" * 20, "b" * 20)), tmp_path) as door:
        for name in ("", "mine"):
            under(door, clouds, STAY)
            await ask(door, [user("look it up")], "a" * 20, name, tools=TOOLS)
            under(door, clouds, LEAVE)
            assert await ask(door, turns, "b" * 20, name, tools=TOOLS) == ("vendor/one-model", "queue_depth")
            assert await ask(door, turns, "a" * 20, name, tools=TOOLS) == ("local/small", "session")


async def test_a_hint_names_a_conversation_whose_beginning_changes(tmp_path: Path) -> None:
    """An agent that rewrites its system prompt keeps its model by a name of its own."""
    engine, clouds = box()
    async with opened(Setup(engine, clouds, STAY), tmp_path) as door:
        begins = [{"role": "system", "content": "It is one o'clock."}, user("look it up")]
        await ask(door, begins, session="run 7", tools=TOOLS)
        under(door, clouds, LEAVE)
        later = [{"role": "system", "content": "It is two o'clock."}, user("look it up"), CALLED, RESULT]
        assert (await ask(door, later, tools=TOOLS))[1] == "queue_depth"
        under(door, clouds, STAY)
        await ask(door, begins, session="run 7", tools=TOOLS)
        under(door, clouds, LEAVE)
        assert await ask(door, later, session="run 7", tools=TOOLS) == ("local/small", "session")


async def test_stored_responses_are_conversations_of_their_own(tmp_path: Path) -> None:
    """Two that begin alike and went to different models each return to their own."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    engine = engine_backend(tuple(Turn([answer(content=None, tool_calls=[CALL])]) for _ in range(3)))
    clouds = [cloud("one", *[Turn(streamed(content=None, tool_calls=[call])) for _ in range(3)], price=CACHED)]
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    body = {"model": "auto", "input": "look it up", "tools": tools}
    result = [{"type": "function_call_output", "call_id": "call_1", "output": "42"}]
    async with opened(Setup(engine, clouds, STAY), tmp_path) as door:
        firsts = []
        for load in (STAY, LEAVE):
            under(door, clouds, load, ("one",))
            firsts.append(await door.client.post("/v1/responses", json=body))
        assert [each.headers["x-hearth-target"] for each in firsts] == ["local/small", "vendor/one-model"]
        for load, first in ((LEAVE, firsts[0]), (STAY, firsts[1])):
            under(door, clouds, load, ("one",))
            more = {"input": result, "previous_response_id": first.json()["id"]}
            second = await door.client.post("/v1/responses", json=body | more)
            assert second.headers["x-hearth-target"] == first.headers["x-hearth-target"]
            assert second.headers["x-hearth-reason"] == "session"
            again = await door.client.post(
                "/v1/responses", json=body | {"input": result, "previous_response_id": second.json()["id"]}
            )
            assert again.headers["x-hearth-reason"] == "session"
