"""Chunks of any server of this wire as events: odd ones are understood, broken ones are failures, nothing is raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Failed,
    Logprobs,
    MediaOut,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.failures import Kind
from runtime.contract.usage import Usage
from runtime.dialects.openai_chat.meter import usage_of
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from tests.runtime.dialects.openai_chat.folding import Folded, decoded, fold


def chunk(delta: Any = None, finish: str | None = None, **members: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | members


def events_of(*told: Any, done: bool = True) -> list[Event]:
    lines = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in told]
    return decoded(b"".join(lines) + (b"data: [DONE]\n\n" if done else b""))


def folded(*told: Any, done: bool = True) -> Folded:
    return fold(events_of(*told, done=done))


def calls(*entries: dict[str, Any], finish: str = "tool_calls") -> list[Event]:
    return events_of(*(chunk({"tool_calls": [entry]}) for entry in entries), chunk({}, finish))


def piece(
    index: int | None = None, call_id: str | None = None, name: str | None = None, text: Any = ""
) -> dict[str, Any]:
    entry: dict[str, Any] = {"function": {"arguments": text}}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry["id"] = call_id
    if name is not None:
        entry["function"]["name"] = name
    return entry


def test_an_answer_in_order() -> None:
    """Blocks are numbered as they begin; one of text and thinking is open at a time."""
    told = events_of(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "yes"}),
        chunk({"tool_calls": [piece(0, "c1", "f", "{}")]}),
        chunk({}, "tool_calls"),
        {"id": "1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
    assert told == [
        Start("1", "m"),
        ReasoningDelta(0, "hm"),
        BlockEnd(0),
        TextDelta(1, "yes"),
        BlockEnd(1),
        ToolCallStart(2, "c1", "f"),
        ArgumentsDelta(2, "{}"),
        BlockEnd(2),
        Stop("tool_calls", "tool_calls"),
        UsageReport(Usage(3, 2), {"openai_chat": {"prompt_tokens": 3, "completion_tokens": 2}}),
    ]


def test_usage_under_a_vendors_member() -> None:
    """Some servers tell it beside the last choice, in a member of their own."""
    last = chunk({}, "stop", x_vendor={"usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    assert folded(chunk({"content": "a"}), last).usage == Usage(3, 2)


def test_the_last_usage_counts() -> None:
    """Servers that tell it with every chunk tell a running total."""
    told = [chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": n}) for n in (1, 2)]
    assert folded(*told, chunk({}, "stop", usage=None)).usage == Usage(3, 2)


def test_a_call_without_an_id_gets_one() -> None:
    """Clients cannot answer a call that has no id."""
    assert fold(calls(piece(0, None, "f", "{}"))).ids == ["call_minted"]


def test_a_name_in_pieces_or_again_and_again() -> None:
    """The call starts with its whole name, once."""
    assert fold(calls(piece(0, "c", "wea"), piece(0, None, "ther"), piece(0, None, None, "{}"))).calls == [
        ("weather", {})
    ]
    told = calls(piece(0, "c", "weather", '{"a"'), piece(0, "c", "weather", ":1}"))
    assert fold(told).calls == [("weather", {"a": 1})]


def test_calls_without_indexes() -> None:
    """A new name is a new call; a piece without a name belongs to the last one."""
    told = calls(
        piece(None, "a", "f"), piece(None, None, None, '{"x":'), piece(None, None, None, "1}"), piece(None, "b", "g")
    )
    assert fold(told).calls == [("f", {"x": 1}), ("g", {})]


def test_several_calls_under_one_index() -> None:
    """A new id and name begin another call, whatever the index says."""
    told = calls(piece(0, "a", "f", '{"x":1}'), piece(0, "b", "g", '{"y":2}'))
    assert fold(told).calls == [("f", {"x": 1}), ("g", {"y": 2})]


def test_calls_in_parallel_keep_apart() -> None:
    """Their pieces may come in turns."""
    told = calls(piece(0, "a", "f", '{"x"'), piece(1, "b", "g", '{"y"'), piece(0, text=":1}"), piece(1, text=":2}"))
    assert fold(told).calls == [("f", {"x": 1}), ("g", {"y": 2})]


def test_arguments_before_the_name_and_as_an_object() -> None:
    """Nothing of a call is lost for coming early or unquoted."""
    assert fold(calls(piece(0, "a", None, '{"x":1}'), piece(0, None, "f"))).calls == [("f", {"x": 1})]
    assert fold(calls(piece(0, "a", "f", {"x": 1}))).calls == [("f", {"x": 1})]


def test_a_call_that_never_gets_a_name_is_a_failure() -> None:
    """Nobody could execute it."""
    assert fold(calls(piece(0, "a", None, "{}"))).failure


def test_a_forced_call_that_ends_with_stop_is_a_call() -> None:
    """This wire says so where the client named the tool; the raw word is kept."""
    assert calls(piece(0, "a", "f", "{}"), finish="stop")[-1] == Stop("tool_calls", "stop")


def test_a_signature_on_a_call() -> None:
    """Under whichever name space the vendor chose."""
    entry = piece(0, "a", "f", "{}") | {"extra_content": {"vendor": {"thought_signature": "s"}}}
    assert ToolCallStart(0, "a", "f", "s") in calls(entry)


def test_the_old_spelling_of_a_call() -> None:
    """`function_call` in pieces is a call too."""
    told = folded(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x":1}'}}),
        chunk({}, "function_call"),
    )
    assert told.calls == [("f", {"x": 1})]


def test_details_of_thinking_repeat_nothing() -> None:
    """The plain text counts once; signatures and sealed thinking are kept."""
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}, {"type": "reasoning.encrypted", "data": "d"}]
    told = events_of(chunk({"reasoning": "hm"}), chunk({"reasoning_details": details}), chunk({}, "stop"))
    assert [event for event in told if isinstance(event, ReasoningDelta)] == [
        ReasoningDelta(0, "hm"),
        ReasoningDelta(0, "", "s"),
        ReasoningDelta(0, "", None, "d"),
    ]


def test_details_alone_are_thinking() -> None:
    """Where no plain text came."""
    told = folded(chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}), chunk({}, "stop"))
    assert told.reasoning == "hm"


def test_sources_and_images_and_sound() -> None:
    """Members that a server adds to the plain wire."""
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    told = events_of(
        chunk({"role": "assistant", "content": "so", "annotations": [cited]}),
        chunk({"images": [image]}),
        chunk({"role": "assistant", "content": None, "audio": {"data": "BB", "transcript": "!"}}),
        chunk({"role": "assistant", "content": None, "audio": {"data": "CC"}}),
        chunk({}, "stop"),
    )
    assert Citation(0, "u", "t", 1, 2) in told
    assert [event.data for event in told if isinstance(event, MediaOut)] == ["AAAA", "BBCC"]
    assert fold(told).text == "so!"


def test_a_refusal() -> None:
    """It is no text."""
    assert RefusalDelta("no") in events_of(chunk({"refusal": "no"}), chunk({}, "stop"))


def test_a_whole_message_where_a_delta_belongs() -> None:
    """Some servers answer a stream's first event with everything."""
    body = {"id": "1", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
    assert folded(body).text == "hi"


def test_the_first_of_several_choices() -> None:
    """The others only pass through, and no client of another wire can ask for them."""
    other = {"id": "1", "choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}
    told = folded(other, chunk({"content": "mine"}, "stop"), other)
    assert (told.text, told.finish) == ("mine", "stop")


@pytest.mark.parametrize(
    ("raw", "finish"),
    [("stop", "stop"), ("eos", "stop"), ("max_tokens", "length"), ("safety", "content_filter"), ("novel", "stop")],
)
def test_finish_reasons(raw: str, finish: str) -> None:
    """The provider's own reason is kept beside the contract's."""
    (stop,) = [event for event in events_of(chunk({"content": "a"}, raw)) if isinstance(event, Stop)]
    assert (stop.finish, stop.raw) == (finish, raw)


def test_the_stop_sequence_that_matched() -> None:
    """The local engine tells it."""
    last = chunk({}, "stop")
    last["choices"][0]["stop_reason"] = "END"
    assert events_of(last)[-1] == Stop("stop", "stop", "END")


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ([chunk({"content": "a"})], Kind.BROKEN_STREAM),
        ([], Kind.BROKEN_STREAM),
        ([chunk({"content": "a"}, "")], Kind.BROKEN_STREAM),
        ([chunk({"content": "a"}, "abort")], Kind.BROKEN_STREAM),
        ([chunk({"content": "a"}), {"error": {"message": "overloaded", "code": 503}}], Kind.BROKEN_STREAM),
        ([chunk({"content": "a"}, error={"message": "limit"})], Kind.BROKEN_STREAM),
        ([{"object": "error", "message": "x"}], Kind.BROKEN_STREAM),
        (["hello"], Kind.GARBLED),
        ([{"choices": [5]}], Kind.GARBLED),
    ],
)
def test_what_is_not_whole_is_a_failure(told: list[Any], kind: Kind) -> None:
    """With or without the closing mark: never a cut answer as a whole one."""
    last = events_of(*told)[-1]
    assert isinstance(last, Failed)
    assert last.failure.kind is kind


def test_a_final_account_is_an_end() -> None:
    """Some hosts forget the finish reason and tell usage last, then close properly; without the mark it is a cut."""
    told = [chunk({"content": "a"}), chunk({}, usage={"prompt_tokens": 3, "completion_tokens": 1})]
    assert events_of(*told)[-1] == Stop("stop")
    assert folded(*told, done=False).failure
    call = [chunk({"tool_calls": [piece(0, "c", "f")]}), chunk({}, usage={"prompt_tokens": 3})]
    assert events_of(*call)[-1] == Stop("tool_calls")


def test_chunks_alike_are_read_like_the_first() -> None:
    """Text that looks like JSON, escapes and changes of block are seen for what they are."""
    texts = ["a", "b", 'say "content": ', "\n", "", "}", "ü", "\u00fc", "c"]
    told = [chunk({"content": text}) for text in texts]
    told += [chunk({"reasoning": text}) for text in texts] + [chunk({"content": "end"}), chunk({}, "stop")]
    got = fold(events_of(*told))
    assert (got.text, got.reasoning) == ("".join(texts) + "end", "".join(texts))
    indexes = [event.index for event in events_of(*told) if isinstance(event, TextDelta | ReasoningDelta)]
    assert sorted(set(indexes)) == [0, 1, 2]


def test_nothing_follows_a_failure() -> None:
    """One attempt, one failure."""
    told = events_of({"error": "boom"}, chunk({"content": "a"}, "stop"))
    assert len(told) == 1


def test_an_error_event_by_its_name() -> None:
    """Some servers name the event and keep the object plain."""
    (failed,) = ChatAnswerReader().feed("error", b'{"message": "no tool was called", "code": "tool_use_failed"}')
    assert isinstance(failed, Failed)
    assert failed.failure.code == "tool_use_failed"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_PLAIN = ("content", "reasoning", "reasoning_content", "reasoning_details", "refusal", "tool_calls", "function_call")
_MEMBER = st.sampled_from((*_PLAIN, "annotations", "images", "audio", "role"))
_ENTRY = st.dictionaries(st.sampled_from(("index", "id", "function", "extra_content", "type", "data", "text")), _JSON)
_DELTA = st.dictionaries(_MEMBER, _JSON | st.lists(_ENTRY, max_size=2), max_size=4)
_CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "id": _JSON,
        "choices": _JSON
        | st.lists(
            st.fixed_dictionaries({}, optional={"delta": _DELTA, "finish_reason": _JSON, "index": _JSON}), max_size=2
        ),
        "usage": _JSON,
        "x_a": _JSON,
        "error": _JSON,
    },
)


@settings(deadline=None, max_examples=80)
@given(st.lists(_CHUNK.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20), max_size=5))
def test_garbage_never_raises(told: list[bytes]) -> None:
    """Whatever a server sends, it ends with exactly one verdict."""
    decoder = ChatAnswerReader()
    events = [event for data in told for event in decoder.feed("", data)] + list(decoder.finish())
    assert sum(isinstance(event, Stop | Failed) for event in events) == 1 or _failed_after_stop(events)


def _failed_after_stop(events: list[Event]) -> bool:
    """An error may still come behind the finish reason."""
    return [type(event) for event in events if isinstance(event, Stop | Failed)] == [Stop, Failed]


@pytest.mark.parametrize(
    "told", [3, [], {"content": None}, {"content": [3, {"token": 1}, {"token": "a"}, {"token": "a", "logprob": True}]}]
)
def test_odd_log_probabilities_are_passed_over(told: Any) -> None:
    """The text stands."""
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": told}
    events = events_of({"id": "1", "choices": [choice]}, chunk({}, "stop"))
    assert not any(isinstance(event, Logprobs) for event in events)
    assert fold(events).text == "a"


def test_log_probabilities_of_thinking_have_no_place() -> None:
    """Some servers give them; they are none of the answer's."""
    logprobs = {"content": [{"token": "hm", "logprob": -1, "bytes": None, "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"reasoning_content": "hm"}, "logprobs": logprobs}
    events = events_of({"id": "1", "choices": [choice]}, chunk({"content": "a"}), chunk({}, "stop"))
    assert not any(isinstance(event, Logprobs) for event in events)


def test_a_name_without_end_and_calls_without_end_are_garbled() -> None:
    """Each piece of a name would copy all of it, and each call without an index would be looked for among all others."""
    for pieces in (
        [{"index": 0, "function": {"name": "x" * n}} for n in range(1, 100)],
        [{"id": f"call_{n}", "function": {"name": "f"}} for n in range(2000)],
    ):
        reader, failed = ChatAnswerReader(), list[Failed]()
        for piece in pieces:
            chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}
            failed += [event for event in reader.feed("", json.dumps(chunk).encode()) if isinstance(event, Failed)]
        assert len(failed) == 1
        assert failed[0].failure.kind is Kind.GARBLED
        assert reader.finish() == ()


def test_a_cached_token_that_is_counted_as_written_too_is_counted_once() -> None:
    """Recorded of a router: its prompt would grow by what both counts share."""
    details = {"cached_tokens": 2154, "cache_write_tokens": 2154}
    assert usage_of({"prompt_tokens": 2168, "prompt_tokens_details": details}) == Usage(2168, 0, 2154, 14)
