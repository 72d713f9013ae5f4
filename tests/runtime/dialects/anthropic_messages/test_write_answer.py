"""Translated answers in Anthropic's wire: the vendor's own SDK reads every one, streamed and whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
from runtime.contract.messages import Message, Opaque, Request, Role, Text, Thinking
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.dialect import AnthropicMessages
from tests.runtime.dialects.anthropic_messages import sdk

USAGE = UsageReport(Usage(prompt=100, completion=20, cached=60, cache_write=10, reasoning=5))


def written(events: Sequence[Event], *, stream: bool, show: bool | None = None, expected: int = 0) -> bytes:
    count = itertools.count()
    dialect = AnthropicMessages(new_id=lambda: f"new{next(count)}")
    ask = Message(Role.USER, (Text("Hi"),))
    asked = Request("auto", (ask,), stream=stream, thinking=Thinking(show=show), prompt_tokens=expected)
    writer = dialect.write_answer(asked)
    return b"".join([*(writer.feed(event) for event in events), writer.end()])


def both(events: Sequence[Event], *, show: bool | None = None) -> dict[str, Any]:
    """The answer whole, after seeing that the SDK reads the same from the stream, and that every event is well-formed."""
    body = written(events, stream=True, show=show)
    check_order(sdk.check_events(body))
    whole = written(events, stream=False, show=show)
    message = sdk.check_message(whole)
    assert sdk.streamed(body) == sdk.whole(whole)
    return message


def check_order(events: list[dict[str, Any]]) -> None:
    """message_start first, one open block at a time in rising order, message_delta and message_stop last."""
    names = [event["type"] for event in events]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("message_start") == names.count("message_delta") == names.count("message_stop") == 1
    open_block: int | None = None
    seen = -1
    for event in events[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                open_block = event["index"]
                assert event["index"] == seen + 1
                seen += 1
            case "content_block_delta":
                assert event["index"] == open_block
            case "content_block_stop":
                assert event["index"] == open_block
                open_block = None
    assert open_block is None


def test_text() -> None:
    """Text comes as one block; usage that came after the stop is reported, cached tokens apart."""
    message = both([Start("chatcmpl-1", "served"), TextDelta(0, "Hel"), TextDelta(0, "lo"), Stop("stop"), USAGE])
    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert message["id"] == "msg_chatcmpl-1"
    assert message["model"] == "served"
    assert message["stop_reason"] == "end_turn"
    assert message["usage"] == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
    }


def test_usage_known_at_the_start_stands_in_the_first_event() -> None:
    """Clients that show a running count read it from message_start."""
    events = sdk.check_events(written([Start(), USAGE, TextDelta(0, "x"), Stop("stop")], stream=True))
    assert events[0]["message"]["usage"]["input_tokens"] == 30
    assert events[0]["message"]["id"] == "msg_new0"
    assert events[0]["message"]["model"] == "auto"


def test_a_stream_that_counts_at_its_end_begins_with_an_estimate() -> None:
    """The SDK's final message has the counts."""
    late: list[Event] = [Start(), TextDelta(0, "x"), USAGE, Stop("stop")]
    body = written(late, stream=True, expected=90)
    assert sdk.check_events(body)[0]["message"]["usage"]["input_tokens"] == 90
    assert sdk.streamed(body)["usage"]["input_tokens"] == 30
    early = written([Start(), USAGE, TextDelta(0, "x"), Stop("stop")], stream=True, expected=90)
    assert sdk.check_events(early)[0]["message"]["usage"]["input_tokens"] == 30


def test_tool_calls() -> None:
    """Calls become tool_use blocks whose input is put together from pieces; one without arguments has none."""
    message = both(
        [
            Start(),
            TextDelta(0, "I look."),
            ToolCallStart(1, "call_1", "look"),
            ArgumentsDelta(1, '{"at": '),
            ArgumentsDelta(1, "7}"),
            ToolCallStart(2, "functions.stop:0", "stop"),
            Stop("tool_calls"),
        ]
    )
    assert message["content"] == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": 7}},
        {"type": "tool_use", "id": "functions_stop_0", "name": "stop", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"


def test_interleaved_calls_keep_their_arguments() -> None:
    """A call with incomplete arguments stays open; other blocks wait for it."""
    message = both(
        [
            ToolCallStart(0, "a", "first"),
            ToolCallStart(1, "b", "second"),
            ArgumentsDelta(0, '{"x"'),
            ArgumentsDelta(1, '{"y":'),
            TextDelta(2, "and "),
            ArgumentsDelta(0, ":1}"),
            ArgumentsDelta(1, "2}"),
            TextDelta(2, "more"),
            Stop("tool_calls"),
        ]
    )
    assert [block.get("input") or block["text"] for block in message["content"]] == [{"x": 1}, {"y": 2}, "and more"]


def test_a_complete_call_does_not_hold_back_the_next() -> None:
    """After complete arguments, the next block's pieces reach the client at once."""
    body = written(
        [ToolCallStart(0, "a", "first"), ArgumentsDelta(0, "{}"), ToolCallStart(1, "b", "second")], stream=True
    )
    names = [block["content_block"].get("name") for block in sdk.check_events(body) if "content_block" in block]
    assert names == ["first", "second"]


def test_blocks_end_at_once() -> None:
    """A block that the provider ends is closed at once."""
    count = itertools.count()
    writer = AnthropicMessages(lambda: str(next(count))).write_answer(Request("auto", (), stream=True))
    writer.feed(ToolCallStart(0, "a", "first"))
    assert b"content_block_stop" in writer.feed(BlockEnd(0))


def test_thinking_is_shown_and_signed() -> None:
    """Thinking keeps its signature; unsigned thinking gets the foreign prefix, so that it is not taken for the vendor's own."""
    message = both(
        [
            ReasoningDelta(0, "Let me "),
            ReasoningDelta(0, "see.", signature="c2ln"),
            ReasoningDelta(1, redacted="b3BhcXVl"),
            ReasoningDelta(2, "Unsigned."),
            TextDelta(3, "Done."),
            Stop("stop"),
        ]
    )
    assert message["content"] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "hearth:c2ln"},
        {"type": "redacted_thinking", "data": "hearth:block:b3BhcXVl"},
        {"type": "thinking", "thinking": "Unsigned.", "signature": "hearth:"},
        {"type": "text", "text": "Done."},
    ]


def test_thinking_the_client_does_not_want_to_see_is_empty() -> None:
    """A client that asked for no thinking on display gets the block, which it must hand back, without its text."""
    message = both([ReasoningDelta(0, "Secret.", signature="s"), TextDelta(1, "Hi"), Stop("stop")], show=False)
    assert message["content"][0] == {"type": "thinking", "thinking": "", "signature": "hearth:s"}


def test_stop_reasons() -> None:
    """Every finish has its stop reason."""
    call: list[Event] = [ToolCallStart(0, "a", "f"), ArgumentsDelta(0, "{}")]
    cases: list[tuple[list[Event], str, str | None]] = [
        ([Stop("stop")], "end_turn", None),
        ([TextDelta(0, "x"), Stop("stop", stop_sequence="END")], "stop_sequence", "END"),
        ([TextDelta(0, "x"), Stop("length")], "max_tokens", None),
        ([Stop("content_filter")], "refusal", None),
        ([*call, Stop("stop")], "tool_use", None),
        ([*call, Stop("length")], "max_tokens", None),
        ([TextDelta(0, "x"), Stop("length", raw="pause_turn")], "pause_turn", None),
    ]
    for events, reason, sequence in cases:
        message = both(events)
        assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)


def test_a_refusal_is_shown_and_explained() -> None:
    """The text of a refusal is shown, and the stop reason is refusal."""
    message = both([RefusalDelta("I will "), RefusalDelta("not."), Stop("stop")])
    assert message["stop_reason"] == "refusal"
    assert message["content"] == [{"type": "text", "text": "I will not."}]
    assert message["stop_details"] == {"type": "refusal", "category": None, "explanation": "I will not."}


def test_sources_of_a_text_are_citations() -> None:
    """A web source becomes a citation of the text it belongs to."""
    message = both([TextDelta(0, "So."), Citation(0, "https://a.example", "A", cited="so"), Stop("stop")])
    assert message["content"][0]["citations"] == [
        {
            "type": "web_search_result_location",
            "url": "https://a.example",
            "title": "A",
            "cited_text": "so",
            "encrypted_index": "hearth:",
        }
    ]


def test_blocks_of_this_wire_are_written_as_they_are() -> None:
    """A block of this wire comes back whole; one of another wire cannot be written."""
    own = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    message = both(
        [OpaqueBlock(0, Opaque("anthropic_messages", own)), OpaqueBlock(1, Opaque("other", {})), Stop("stop")]
    )
    assert message["content"] == [own]


def test_media_the_model_made_is_shown_as_a_link() -> None:
    """This wire has no block for an image an assistant made, so that it stands in the text."""
    message = both([MediaOut(0, "image/png", "aGk="), Stop("stop")])
    assert message["content"] == [{"type": "text", "text": "![image/png](data:image/png;base64,aGk=)"}]


def test_arguments_cut_by_the_limit_are_shown_as_far_as_they_go() -> None:
    """A call with truncated arguments is no crash: both forms show as much as there is."""
    message = both([ToolCallStart(0, "a", "f"), ArgumentsDelta(0, '{"x": 1, "y": "ha'), Stop("length")])
    assert message["content"][0]["input"] == {"x": 1}
    assert message["stop_reason"] == "max_tokens"


def test_arguments_that_are_no_object_are_shown_as_written() -> None:
    """A whole answer has room for objects alone."""
    body = written([ToolCallStart(0, "a", "f"), ArgumentsDelta(0, "seven"), Stop("tool_calls")], stream=False)
    assert sdk.check_message(body)["content"][0]["input"] == {"INVALID_JSON": "seven"}


@st.composite
def _answers(draw: st.DrawFn) -> tuple[list[Event], dict[int, str]]:
    """Interleaved blocks of any kind, and the text or arguments each must end up with."""
    kinds = draw(st.lists(st.sampled_from(["text", "think", "call"]), min_size=1, max_size=5))
    queues: list[list[Event]] = []
    wanted: dict[int, str] = {}
    for index, kind in enumerate(kinds):
        if kind == "call":
            text = json.dumps({"k": draw(st.text(st.characters(codec="utf-8"), max_size=8))})
        else:
            text = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
        wanted[index] = text
        cut = draw(st.integers(0, len(text)))
        pieces = [text[:cut], text[cut:]]
        make = {"text": TextDelta, "think": ReasoningDelta, "call": ArgumentsDelta}[kind]
        events: list[Event] = [make(index, piece) for piece in pieces]
        queues.append([ToolCallStart(index, f"c{index}", "f"), *events] if kind == "call" else events)
    out: list[Event] = []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        out.append(queue.pop(0))
    return out, wanted


@settings(max_examples=60, deadline=None)
@given(_answers())
def test_however_blocks_are_interleaved_nothing_is_lost(answer: tuple[list[Event], dict[int, str]]) -> None:
    """Any order of pieces gives well-formed events with every text and every argument whole."""
    events, wanted = answer
    message = both([*events, Stop("stop")])
    blocks = message["content"]
    calls = {block["id"]: block["input"] for block in blocks if block["type"] == "tool_use"}
    kinds = {
        event.index: type(event) for event in events if not isinstance(event, ToolCallStart) and hasattr(event, "index")
    }
    for index, text in wanted.items():
        if kinds[index] is ArgumentsDelta:
            assert calls[f"c{index}"] == json.loads(text)
    for kind, member in ((TextDelta, "text"), (ReasoningDelta, "thinking")):
        said = "".join(block[member] for block in blocks if block["type"] == member)
        assert sorted(said) == sorted("".join(text for index, text in wanted.items() if kinds[index] is kind))
