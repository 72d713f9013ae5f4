"""A responses stream as events: written answers come back, recordings agree with the SDK, garbage fails."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Failed,
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
from runtime.contract.usage import Usage
from runtime.dialects.openai_responses.read_answer import ResponsesAnswerReader
from runtime.dialects.openai_responses.signatures import read_native
from runtime.wire import sse
from tests.runtime.dialects.openai_responses import sdk
from tests.runtime.dialects.openai_responses.answers import ALL, CALLS, RICH, TEXT, THOUGHT, written
from tests.runtime.dialects.openai_responses.recorded import exchanges


def read(raw: bytes) -> list[Event]:
    decoder = ResponsesAnswerReader()
    events: list[Event] = []
    for each in sse.Events().feed(raw):
        if each.data is not None:
            events += decoder.feed(each.name.decode(), each.data)
    return [*events, *decoder.finish()]


def told(*members: dict[str, Any]) -> list[Event]:
    return read(b"".join(sse.encode(json.dumps(each).encode()) for each in members))


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def thought_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def calls_of(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call."""
    calls: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCallStart):
            calls[event.index] = [event.id, event.name, ""]
        elif isinstance(event, ArgumentsDelta):
            calls[event.index][2] += event.text
    return [(call_id, name, arguments) for call_id, name, arguments in calls.values()]


@pytest.mark.parametrize("name", ALL)
def test_what_was_written_comes_back(name: str) -> None:
    """Text, reasoning, calls, finish and usage; one start and one stop."""
    events, given_events = read(written(ALL[name], stream=True)), ALL[name]
    assert text_of(events) == text_of(given_events)
    assert thought_of(events) == thought_of(given_events)
    meant = [(call_id, name, arguments or "{}") for call_id, name, arguments in calls_of(given_events)]
    assert calls_of(events) == meant
    stops = [event for event in events if isinstance(event, Stop)]
    assert [stop.finish for stop in stops] == [event.finish for event in given_events if isinstance(event, Stop)]
    usage = [replace(event.usage, tier="default") for event in given_events if isinstance(event, UsageReport)]
    assert [event.usage for event in events if isinstance(event, UsageReport)] == usage
    assert [type(event) for event in events if isinstance(event, Start)] == [Start]


def test_citations_pictures_and_refusals_come_back() -> None:
    """Each as the event it was."""
    events = read(written(RICH, stream=True))
    cited = [event for event in events if isinstance(event, Citation)]
    assert [(event.url, event.title, event.start, event.end) for event in cited] == [("https://x/y", "Y", 0, 6)]
    assert [(event.mime, event.data) for event in events if isinstance(event, MediaOut)] == [
        ("image/png", "iVBORw0KGgo=")
    ]
    refused = read(written(ALL["refused"], stream=True))
    assert "".join(event.text for event in refused if isinstance(event, RefusalDelta)) == "I won't."


def test_every_block_ends_once() -> None:
    """A writer can close each block in time."""
    for name in ALL:
        ends = [event.index for event in read(written(ALL[name], stream=True)) if isinstance(event, BlockEnd)]
        assert len(ends) == len(set(ends))


def test_sealed_reasoning_says_whose_it_is() -> None:
    """Its signature carries the item's id and content, for the body of the next turn."""
    events = read(written(THOUGHT, stream=True))
    (signature,) = [event.signature for event in events if isinstance(event, ReasoningDelta) and event.signature]
    own = read_native(signature)
    assert own is not None
    assert own.id.startswith("rs_")


RESPONSE = {"id": "r", "model": "m", "status": "completed", "output": []}
CREATED = {"type": "response.created", "response": RESPONSE | {"status": "in_progress"}}
COMPLETED = {"type": "response.completed", "response": RESPONSE}
CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
}


def test_items_that_come_only_when_they_are_done() -> None:
    """Without a delta before."""
    done = [
        {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
        {"type": "response.output_item.done", "output_index": 1, "item": CALL},
    ]
    events = told(CREATED, *done, COMPLETED)
    assert text_of(events) == "Hi"
    assert calls_of(events) == [("c", "f", '{"a":1}')]
    assert isinstance(events[-1], Stop)
    assert events[-1].finish == "tool_calls"


def test_items_that_only_the_last_event_tells() -> None:
    """Never twice if they were streamed before."""
    output = {"output": [MESSAGE, CALL]}
    last = {"type": "response.completed", "response": RESPONSE | output}
    assert text_of(told(last)) == "Hi"
    assert calls_of(told(last)) == [("c", "f", '{"a":1}')]
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}
    assert text_of(told(CREATED, delta, last)) == "Hi"


def test_whole_arguments_behind_their_pieces_are_not_repeated() -> None:
    """The missing end is added."""
    added = {"type": "response.output_item.added", "output_index": 0, "item": CALL | {"arguments": ""}}
    piece = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a"'}
    done = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'}
    over = {"type": "response.output_item.done", "output_index": 0, "item": CALL}
    assert calls_of(told(CREATED, added, piece, done, over, COMPLETED)) == [("c", "f", '{"a":1}')]


def test_items_without_a_place_are_known_by_their_ids() -> None:
    """Two messages stay two blocks."""
    pieces = [
        {"type": "response.output_text.delta", "item_id": name, "content_index": 0, "delta": name}
        for name in ("a", "b")
    ]
    events = told(CREATED, *pieces, COMPLETED)
    assert {event.index for event in events if isinstance(event, TextDelta)} == {0, 1}


def test_parts_of_a_summary_are_kept_apart() -> None:
    """By a blank line, within one block."""
    pieces = [
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": place, "delta": text}
        for place, text in ((0, "One"), (0, "."), (1, "Two."))
    ]
    events = told(CREATED, *pieces, COMPLETED)
    assert thought_of(events) == "One.\n\nTwo."
    assert {event.index for event in events if isinstance(event, ReasoningDelta)} == {0}


def test_a_servers_own_items_are_opaque() -> None:
    """Kept whole, for a client of the same wire."""
    item = {"type": "web_search_call", "id": "ws", "status": "completed"}
    events = told(CREATED, {"type": "response.output_item.done", "output_index": 0, "item": item}, COMPLETED)
    assert [event.block.value for event in events if isinstance(event, OpaqueBlock)] == [item]


def test_tokens() -> None:
    """Cached, written to the cache, and spent on reasoning."""
    (usage,) = [event.usage for event in read(written(TEXT, stream=True)) if isinstance(event, UsageReport)]
    assert usage == Usage(prompt=12, completion=7, cached=4, cache_write=2, reasoning=3, tier="default")


@pytest.mark.parametrize(
    "members",
    [
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "x", "message": "boom"}}},
        {"type": "error", "code": "x", "message": "boom"},
        {"type": "error", "error": {"code": "x", "message": "boom"}},
        {"type": "response.completed", "response": {"status": "failed", "error": {"code": "x", "message": "boom"}}},
        {"error": {"code": "x", "message": "boom"}},
    ],
)
def test_an_error_is_a_failure(members: dict[str, Any]) -> None:
    """And the last event."""
    last = told(CREATED, members)[-1]
    assert isinstance(last, Failed)
    assert (last.failure.code, "boom" in last.failure.message) == ("x", True)


@pytest.mark.parametrize("name", ALL)
def test_a_cut_is_a_failure(name: str) -> None:
    """Wherever it is cut."""
    events = [each.raw for each in sse.Events().feed(written(ALL[name], stream=True))]
    for kept in range(len(events)):
        found = read(b"".join(events[:kept]))
        assert isinstance(found[-1], Failed)
        assert not any(isinstance(event, Stop) for event in found)


JSON = st.recursive(
    st.none() | st.integers(-2, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "reasoning", "function_call", "image_generation_call", "x"]) | JSON,
        "content": JSON | st.lists(st.fixed_dictionaries({"type": st.just("output_text"), "text": JSON})),
        "summary": JSON,
        "arguments": JSON,
        "call_id": JSON,
        "id": JSON,
        "encrypted_content": JSON,
    },
)
KINDS = [
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.reasoning_summary_text.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.refusal.done",
    "response.output_text.annotation.added",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
]
GARBAGE = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | JSON},
    optional={
        "item": ITEM | JSON,
        "delta": JSON,
        "text": JSON,
        "arguments": JSON,
        "output_index": JSON,
        "content_index": JSON,
        "item_id": JSON,
        "annotation": JSON | st.dictionaries(st.sampled_from(["url", "start_index"]), JSON),
        "response": JSON | st.fixed_dictionaries({"output": st.lists(ITEM | JSON, max_size=2), "usage": JSON}),
    },
)


@given(st.lists(GARBAGE, max_size=6))
@settings(max_examples=200, deadline=None)
def test_garbage_never_raises(members: list[dict[str, Any]]) -> None:
    """It ends in exactly one stop or one failure."""
    events = told(*members)
    assert sum(isinstance(event, Stop | Failed) for event in events) == 1


@given(st.binary(max_size=60))
def test_bytes_that_are_no_event_are_a_failure(data: bytes) -> None:
    """Whatever they are."""
    decoder = ResponsesAnswerReader()
    events = [*decoder.feed("", data), *decoder.finish()]
    assert isinstance(events[-1], Failed)


def test_recorded_streams_say_what_the_sdk_makes_of_them(shared: Path) -> None:
    """Text, calls, tokens."""
    for exchange in exchanges(shared):
        if not exchange.text:
            continue
        events, final = read(exchange.text), sdk.streamed(exchange.text)
        said = [part for item in final["output"] if item["type"] == "message" for part in item["content"]]
        assert text_of(events) == "".join(part["text"] for part in said), exchange.name
        made = [item for item in final["output"] if item["type"] == "function_call"]
        assert calls_of(events) == [(item["call_id"], item["name"], item["arguments"]) for item in made]
        (usage,) = [event.usage for event in events if isinstance(event, UsageReport)]
        assert (usage.prompt, usage.completion) == (final["usage"]["input_tokens"], final["usage"]["output_tokens"])
        thoughts = [part for item in final["output"] if item["type"] == "reasoning" for part in item["content"] or ()]
        assert thought_of(events) == "".join(part["text"] for part in thoughts)


def test_calls_of_all_are_in_the_order_they_began() -> None:
    """Interleaved arguments notwithstanding."""
    assert [call_id for call_id, _, _ in calls_of(read(written(CALLS, stream=True)))] == ["call_a", "call_b", "call_c"]


def test_a_place_out_of_this_world_costs_nothing() -> None:
    """A server may number a part as it likes; parts before it that were never sent are not looked for."""
    for place in (10**15, -5):
        event = {"output_index": 0, "delta": "Hm.", "summary_index": place}
        events = told({"type": "response.reasoning_summary_text.delta", **event})
        assert thought_of(events) == "Hm."


def test_reasoning_in_words_needs_no_summary() -> None:
    """An item with both is read once."""
    item = {
        "type": "reasoning",
        "content": [{"type": "reasoning_text", "text": "In words."}],
        "summary": [{"type": "summary_text", "text": "In short."}],
    }
    assert thought_of(told({"type": "response.output_item.done", "output_index": 0, "item": item})) == "In words."
