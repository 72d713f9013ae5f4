"""Answers as events of the contract, and the bytes that both writers make of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.messages import Message, Opaque, Request, Role, Text
from runtime.contract.usage import Usage
from runtime.dialects.openai_responses.dialect import ResponsesDialect

USAGE = UsageReport(Usage(prompt=12, completion=7, cached=4, cache_write=2, reasoning=3))
TEXT: tuple[Event, ...] = (Start("up", "m-1"), TextDelta(0, "Hel"), TextDelta(0, "lo."), USAGE, Stop("stop"))
THOUGHT: tuple[Event, ...] = (
    Start("up", "m-1"),
    ReasoningDelta(0, "Let me "),
    ReasoningDelta(0, "see."),
    ReasoningDelta(0, signature="vendor#sig"),
    BlockEnd(0),
    TextDelta(1, "Yes."),
    Stop("stop"),
)
CALLS: tuple[Event, ...] = (
    Start("up", "m-1"),
    TextDelta(0, "I look."),
    ToolCallStart(1, "call_a", "look", signature="thought"),
    ToolCallStart(2, "call_b", "look"),
    ArgumentsDelta(1, '{"q":'),
    ArgumentsDelta(2, '{"q":"b"}'),
    ArgumentsDelta(1, '"a"}'),
    ToolCallStart(3, "call_c", "now"),
    BlockEnd(1),
    UsageReport(Usage(5, 6)),
    Stop("tool_calls"),
)
CUT: tuple[Event, ...] = (Start("up", "m-1"), TextDelta(0, "It was a"), USAGE, Stop("length", "max_tokens"))
REFUSED: tuple[Event, ...] = (Start("up", "m-1"), RefusalDelta("I "), RefusalDelta("won't."), Stop("content_filter"))
RICH: tuple[Event, ...] = (
    Start("up", "m-1"),
    OpaqueBlock(0, Opaque("other", {"type": "search", "n": 1})),
    TextDelta(1, "Paris."),
    Citation(1, "https://x/y", "Y", 0, 6),
    MediaOut(2, "image/png", "iVBORw0KGgo="),
    ReasoningDelta(3, redacted="dark"),
    TextDelta(4, "Rome."),
    Stop("stop"),
)
EMPTY: tuple[Event, ...] = (Start("up", "m-1"), Stop("stop"))
ALL = {
    "text": TEXT,
    "thought": THOUGHT,
    "calls": CALLS,
    "cut": CUT,
    "refused": REFUSED,
    "rich": RICH,
    "empty": EMPTY,
}


def counted() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}_{next(numbers):04d}"


def dialect(**more: Any) -> ResponsesDialect:
    return ResponsesDialect(new_id=counted(), now=lambda: 1_700_000_000.5, **more)


def asked(*, stream: bool, **more: Any) -> Request:
    return Request("auto", (Message(Role.USER, (Text("x"),)),), stream=stream, **more)


def written(events: Sequence[Event], *, stream: bool, by: ResponsesDialect | None = None, **more: Any) -> bytes:
    """The bytes that a writer makes of an answer."""
    writer = (by or dialect()).write_answer(asked(stream=stream, **more))
    return b"".join(map(writer.feed, events)) + writer.end()
