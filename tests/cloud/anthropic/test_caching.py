"""Cache marks are the client's, else they stand where a prefix stays the same and is long enough."""

from __future__ import annotations

import json
from typing import Any

from runtime.contract.messages import Cache, Message, Reasoning, Request, Role, Text, Tool, ToolCall, ToolResult
from tests.cloud.anthropic.recorded import codec, target

NEW, OLD = "claude-sonnet-5-5", "claude-haiku-4-5"  # the least they cache: 512 and 4096 tokens
LONG = "word " * 600  # about 750 tokens


def system(text: str, cache: Cache | None = None) -> Message:
    return Message(Role.SYSTEM, (Text(text, cache),))


def user(text: str, cache: Cache | None = None) -> Message:
    return Message(Role.USER, (Text(text, cache),))


def model(text: str) -> Message:
    return Message(Role.ASSISTANT, (Text(text),))


def encoded(*messages: Message, tools: tuple[Tool, ...] = (), name: str = NEW, extra: Any = None) -> dict[str, Any]:
    request = Request("m", messages, tools, extra=extra or {})
    out: dict[str, Any] = json.loads(codec().encode(request, target(name)).call.body)
    return out


def marks(body: dict[str, Any]) -> list[str]:
    """The places of the marks: "tools 0", "system 1", "2.0" for a message and its block."""
    out = [
        f"{part} {n}" for part in ("tools", "system") for n, block in enumerate(body.get(part) or []) if _marked(block)
    ]
    for n, turn in enumerate(body["messages"]):
        out += [f"{n}.{m}" for m, block in enumerate(turn["content"]) if _marked(block)]
    return out


def _marked(block: dict[str, Any]) -> bool:
    return "cache_control" in block


def test_a_long_system_prompt_is_cached() -> None:
    """It is marked even with a single question, which itself is not, because it may have no successor."""
    assert marks(encoded(system(LONG), user(LONG))) == ["system 0"]


def test_a_short_prefix_is_left_alone() -> None:
    """The model caches nothing below its minimum."""
    assert marks(encoded(system("short"), user("hi"))) == []
    assert marks(encoded(system(LONG), user("hi"), name=OLD)) == []


def test_tools_count_and_are_marked_at_their_end() -> None:
    """Tools come first in a prompt, then the system prompt."""
    tools = (Tool("a", LONG), Tool("b", "short"))
    assert marks(encoded(system("short"), user("hi"), tools=tools)) == ["tools 1", "system 0", "0.0"]


def test_a_conversation_is_marked_at_its_last_two_user_turns() -> None:
    """The last mark is for the next turn, the one before it for what this turn may read."""
    talk = (user(LONG), model("a"), user("b"), model("c"), user("d"))
    assert marks(encoded(*talk)) == ["2.0", "4.0"]
    assert marks(encoded(system(LONG), *talk)) == ["system 0", "2.0", "4.0"]


def test_the_same_prefix_is_marked_again_with_the_next_turn() -> None:
    """The prefix that was written is read."""
    talk = (system(LONG), user(LONG), model("a"), user("b"))
    assert marks(encoded(*talk))[-1] == "2.0"
    assert marks(encoded(*talk, model("c"), user("d")))[-2:] == ["2.0", "4.0"]


def test_results_of_tools_are_marked_and_thinking_never_is() -> None:
    """A tool loop continues, so its prefix will be read."""
    call, result = ToolCall("c", "t", "{}"), ToolResult("c", (Text(LONG),))
    talk = (user("go"), Message(Role.ASSISTANT, (Reasoning("hm"), call)), Message(Role.USER, (result,)))
    body = encoded(*talk, tools=(Tool("t"),))
    assert marks(body)[-1] == "2.0"
    assert body["messages"][2]["content"][0]["type"] == "tool_result"


def test_a_clients_marks_are_kept_and_none_are_added() -> None:
    """The client's time to live is kept."""
    body = encoded(system(LONG, Cache("1h")), user(LONG), model("a"), user("b"))
    assert marks(body) == ["system 0"]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_more_marks_than_the_wire_takes_lose_their_middle() -> None:
    """The stable marks at the head and the newest ones stay; the loss is named."""
    talk = [turn for n in range(4) for turn in (user(f"u{n}", Cache()), model("a"))]
    request = Request("m", (system("s", Cache()), *talk, user("last", Cache())))
    out = codec().encode(request, target(NEW))
    assert marks(json.loads(out.call.body)) == ["system 0", "0.0", "6.0", "8.0"]
    assert out.dropped == ("cache_control",)


def test_marking_that_is_left_to_the_vendor_is_left_to_it() -> None:
    """A mark on the whole request is the vendor's own automatic."""
    assert (
        marks(encoded(system(LONG), user("x"), extra={"openai_chat": {"cache_control": {"type": "ephemeral"}}})) == []
    )
