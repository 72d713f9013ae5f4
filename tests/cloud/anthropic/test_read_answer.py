"""The reader knows every kind of event, completes no answer that was cut, and never raises."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.anthropic.read_answer import ClaudeAnswerReader
from runtime.contract.codec import Decoder
from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Failed,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.failures import Disposition, Kind
from runtime.contract.messages import Message, Request, Role, Text, Tool
from runtime.contract.usage import Usage
from tests.cloud.anthropic.recorded import NOW, codec, target
from tests.cloud.recorded import ASKED

START = {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage": {"input_tokens": 7}}}


def begin(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(delta: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def stop(reason: str | None, usage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    said = {"stop_reason": reason, "stop_sequence": None} | more
    return {"type": "message_delta", "delta": said, "usage": usage or {"output_tokens": 3}}


def read(*events: dict[str, Any], request: Request = ASKED, finished: bool = True) -> list[Event]:
    decoder: Decoder = codec().decoder(request)
    out = [each for event in events for each in decoder.feed(event["type"], json.dumps(event).encode())]
    return [*out, *decoder.finish()] if finished else out


def test_an_answer_without_end_is_a_failure() -> None:
    """The events of an answer are bounded together, whatever they hold."""
    decoder = ClaudeAnswerReader(ASKED, lambda: NOW, most_answer=100_000)
    opening = begin({"type": "server_tool_use", "id": "s", "input": {}})
    out = [each for event in (START, opening) for each in decoder.feed("", json.dumps(event).encode())]
    piece = json.dumps(delta({"type": "input_json_delta", "partial_json": "x" * 1000})).encode()
    for _ in range(1000):
        out += decoder.feed("", piece)
    assert [each.failure.kind for each in out if isinstance(each, Failed)] == [Kind.GARBLED]
    assert len(decoder._open[0].input) < 100


def test_text_comes_as_it_was_said() -> None:
    """Start, texts, the block's end, usage and the stop, in this order."""
    events = read(
        START, begin({"type": "text", "text": ""}), delta({"type": "text_delta", "text": "hi"}), end(), stop("end_turn")
    )
    assert [type(event) for event in events] == [Start, UsageReport, TextDelta, BlockEnd, UsageReport, Stop]
    assert events[0] == Start("msg_1", "claude-x")
    assert events[2] == TextDelta(0, "hi")
    assert isinstance(events[-1], Stop)
    assert (events[-1].finish, events[-1].raw) == ("stop", "end_turn")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """The wire sends no delta for such a call."""
    events = read(begin({"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}), end(), finished=False)
    assert events == [ToolCallStart(0, "toolu_1", "now"), ArgumentsDelta(0, "{}"), BlockEnd(0)]


def test_arguments_come_in_pieces() -> None:
    """Empty pieces are not emitted."""
    pieces = [delta({"type": "input_json_delta", "partial_json": text}) for text in ("", '{"a"', ":1}")]
    events = read(begin({"type": "tool_use", "id": "t", "name": "f", "input": {}}), *pieces, end(), finished=False)
    assert events[1:] == [ArgumentsDelta(0, '{"a"'), ArgumentsDelta(0, ":1}"), BlockEnd(0)]


def test_arguments_given_at_the_start_are_kept() -> None:
    """Some servers of this wire send them at the start."""
    events = read(begin({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}), end(), finished=False)
    assert ArgumentsDelta(0, '{"a":1}') in events


def test_a_tool_is_called_by_the_name_its_client_gave_it() -> None:
    """A name the wire does not take is spelled differently on it and back again here."""
    request = Request("m", (Message(Role.USER, (Text("x"),)),), tools=(Tool("my.tool"),))
    encoded = json.loads(codec().encode(request, target("claude-sonnet-5-5")).call.body)
    spelled = encoded["tools"][0]["name"]
    events = read(begin({"type": "tool_use", "id": "t", "name": spelled, "input": {}}), request=request, finished=False)
    assert spelled != "my.tool"
    assert events == [ToolCallStart(0, "t", "my.tool")]


def test_thinking_says_that_the_model_is_at_work_before_it_says_anything() -> None:
    """An empty piece at the block's start; the signature once and whole at its end, marked with its model."""
    thought = [
        delta({"type": "thinking_delta", "thinking": "hm"}),
        delta({"type": "signature_delta", "signature": "SIG=="}),
    ]
    events = read(START, begin({"type": "thinking", "thinking": "", "signature": ""}), *thought, end(), finished=False)
    assert events[2:4] == [ReasoningDelta(0, ""), ReasoningDelta(0, "hm")]
    assert isinstance(events[4], ReasoningDelta)
    assert events[4].signature is not None
    assert events[4].signature.endswith("#SIG==")


def test_redacted_thinking_is_kept_whole() -> None:
    """Its data is opaque."""
    events = read(START, begin({"type": "redacted_thinking", "data": "XYZ"}), end(), finished=False)
    assert isinstance(events[2], ReasoningDelta)
    assert events[2].redacted is not None
    assert events[2].redacted.endswith("#XYZ")


def test_a_server_tool_is_an_opaque_block_with_its_input() -> None:
    """Other wires have no such block."""
    pieces = [delta({"type": "input_json_delta", "partial_json": text}) for text in ('{"query":', '"x"}')]
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = read(begin(block), *pieces, end(), finished=False)
    assert isinstance(events[0], OpaqueBlock)
    assert events[0].block.value == block | {"input": {"query": "x"}}


def test_a_block_of_an_unknown_kind_grows_with_its_deltas() -> None:
    """Texts are appended, other members replaced."""
    pieces = [delta({"type": "odd_delta", "said": text, "level": n}) for n, text in enumerate(("a", "b"))]
    events = read(begin({"type": "odd", "said": ""}), *pieces, end(), finished=False)
    assert isinstance(events[0], OpaqueBlock)
    assert events[0].block.value == {"type": "odd", "said": "ab", "level": 1}


def test_a_citation_stands_for_the_text_of_its_block() -> None:
    """Its place is in characters of the whole answer's text."""
    cited = {"type": "web_search_result_location", "url": "https://a.b", "title": "T", "cited_text": "c"}
    events = read(
        begin({"type": "text", "text": "one "}),
        end(),
        begin({"type": "text", "text": ""}, 1),
        delta({"type": "citations_delta", "citation": cited}, 1),
        delta({"type": "text_delta", "text": "two"}, 1),
        end(1),
        finished=False,
    )
    found = [event for event in events if isinstance(event, Citation)]
    assert found == [Citation(1, "https://a.b", "T", 4, 7, "c", {"anthropic_messages": cited})]


def test_usage_is_cumulative_and_counts_the_cache_in() -> None:
    """A count that a later report does not repeat stays."""
    said = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 1}
    last = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}, "input_tokens": None}
    events = read({"type": "message_start", "message": {"usage": said}}, stop("end_turn", last))
    usages = [event.usage for event in events if isinstance(event, UsageReport)]
    assert usages == [Usage(115, 1, 100, 5, 0), Usage(115, 9, 100, 5, 4)]


def test_what_a_compaction_cost_is_counted() -> None:
    """It is billed like the answer and listed among the steps alone; another model's advice has its own price."""
    counts = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "input_tokens": 7, "output_tokens": 8}
    steps = [
        {**counts, "type": "compaction", "input_tokens": 100, "output_tokens": 80, "cache_creation_input_tokens": 5000},
        {**counts, "type": "advisor_message", "model": "other", "input_tokens": 999},
        {**counts, "type": "message"},
    ]
    events = read({"type": "message_start", "message": {"usage": counts}}, stop("end_turn", {"iterations": steps}))
    assert [event.usage for event in events if isinstance(event, UsageReport)][-1] == Usage(5107, 88, 0, 5000)


def test_stop_reasons_have_their_meaning() -> None:
    """An unknown reason is a stop, and its name is kept."""
    known = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "tool_use": "tool_calls",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "pause_turn": "length",
        "refusal": "content_filter",
        "something_new": "stop",
    }
    for raw, finish in known.items():
        last = read(stop(raw))[-1]
        assert isinstance(last, Stop)
        assert (last.finish, last.raw) == (finish, raw)


def test_a_refusal_says_why() -> None:
    """The refusal is the vendor's explanation, else its category, else a plain sentence."""
    for details, words in (
        ({"type": "refusal", "explanation": "Not this.", "category": "bio"}, "Not this."),
        ({"type": "refusal", "explanation": None, "category": "bio"}, "The model declined to answer. (bio)"),
        (None, "The model declined to answer."),
    ):
        events = read(stop("refusal", stop_details=details))
        assert RefusalDelta(words) in events


def test_pings_and_unknown_events_say_nothing() -> None:
    """New kinds of events do not break an answer."""
    assert read({"type": "ping"}, {"type": "brand_new", "x": 1}, finished=False) == []


def test_an_error_inside_a_stream_is_classified() -> None:
    """It ends the answer; nothing after it is read."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_9"}
    events = read(START, error, begin({"type": "text", "text": "more"}), stop("end_turn"))
    assert isinstance(events[-1], Failed)
    failure = events[-1].failure
    assert (failure.kind, failure.disposition, failure.code) == (Kind.BUSY, Disposition.RETRY_HERE, "overloaded_error")
    assert "Overloaded" in failure.message
    assert "req_9" in failure.message


def test_a_stream_that_ends_without_a_stop_reason_is_a_failure() -> None:
    """The amount of text makes no difference."""
    events = read(START, begin({"type": "text", "text": "half"}), stop(None))
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.kind is Kind.BROKEN_STREAM


def test_a_stop_reason_without_the_closing_event_is_a_whole_answer() -> None:
    """The stop is emitted once, and the closing event adds nothing."""
    events = read(START, stop("end_turn"), stop("end_turn"))
    assert sum(isinstance(event, Stop) for event in events) == 1
    assert not any(isinstance(event, Failed) for event in events)


def test_an_answer_that_is_whole_at_its_start_is_one() -> None:
    """A program at the vendor called a tool: no deltas follow, and the start holds the stop reason."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    message = {"id": "m", "content": [call], "stop_reason": "tool_use", "usage": {"output_tokens": 0}}
    events = read({"type": "message_start", "message": message}, {"type": "message_stop"})
    assert ToolCallStart(0, "t", "f") in events
    assert ArgumentsDelta(0, '{"a":1}') in events
    assert isinstance(events[-1], Stop)
    assert events[-1].finish == "tool_calls"


def test_a_second_answer_inside_the_first_is_garbled() -> None:
    """A proxy that asked again and joined two answers must not make a text appear twice."""
    events = read(START, begin({"type": "text", "text": "one"}), START, begin({"type": "text", "text": "two"}))
    assert isinstance(events[-1], Failed)
    assert events[-1].failure.kind is Kind.GARBLED
    assert TextDelta(0, "two") not in events


def test_what_is_no_event_of_the_wire_is_garbled() -> None:
    """Neither bytes that are no JSON nor JSON that is no event is accepted."""
    for data in (b"{", b"[]", b'{"type":"content_block_delta","index":0,"delta":{}}', b'{"type":"message_start"}'):
        found = codec().decoder(ASKED).feed("", data)
        assert isinstance(found[-1], Failed)
        assert found[-1].failure.kind is Kind.GARBLED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        "type",
        "index",
        "delta",
        "content_block",
        "message",
        "usage",
        "text",
        "partial_json",
        "signature",
        "citation",
        "error",
    ]
)
_KINDS = (
    "message_start content_block_start content_block_delta content_block_stop message_delta error "
    "text text_delta thinking thinking_delta tool_use input_json_delta citations_delta odd odd_delta"
)
KINDS = st.sampled_from(_KINDS.split())
ODD = st.dictionaries(
    WORDS, KINDS | st.integers(0, 2) | JSON | st.dictionaries(WORDS, KINDS | JSON, max_size=4), max_size=5
)


WELL_FORMED = st.builds(
    lambda kind, index, inner, said: {"type": kind, "index": index, "delta": said | {"type": inner}} | said,
    KINDS,
    st.integers(0, 1),
    KINDS,
    st.dictionaries(WORDS | st.sampled_from(["input", "partial", "citations", "thinking", "cited"]), JSON, max_size=4),
) | st.builds(
    lambda index, kind, said: {"type": "content_block_start", "index": index, "content_block": said | {"type": kind}},
    st.integers(0, 1),
    KINDS,
    st.dictionaries(WORDS | st.sampled_from(["input", "partial", "citations", "thinking", "cited"]), JSON, max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(st.lists((ODD | WELL_FORMED).map(lambda each: json.dumps(each).encode()) | st.binary(max_size=20), max_size=8))
def test_garbage_never_raises(events: list[bytes]) -> None:
    """Any input ends as events, with at most one failure, and none after a stop."""
    decoder = codec().decoder(ASKED)
    out = [each for data in events for each in decoder.feed("", data)]
    out += decoder.finish()
    assert sum(isinstance(event, Failed) for event in out) <= 1
    assert any(isinstance(event, Failed | Stop) for event in out)
