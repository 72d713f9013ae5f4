"""An answer as OpenAI clients read it, streamed and whole; every chunk and body is held against the SDK's types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Logprobs,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    TokenLogprob,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.messages import Opaque, Tool
from runtime.contract.usage import Usage
from tests.runtime.dialects.openai_chat.folding import asked, chunks, decoded, whole, written

START = Start("msg_1", "served-model")
USAGE = UsageReport(Usage(prompt=10, completion=5, cached=4, cache_write=2, reasoning=3))
SAID: list[Event] = [START, TextDelta(0, "Hel"), TextDelta(0, "lo"), USAGE, Stop("stop")]
CALLED: list[Event] = [
    START,
    TextDelta(0, "Let me see."),
    ToolCallStart(1, "c1", "weather"),
    ArgumentsDelta(1, '{"at":'),
    ToolCallStart(2, "c2", "clock", signature="sig"),
    ArgumentsDelta(1, '"Oslo"}'),
    BlockEnd(2),
    Stop("tool_calls"),
]


def deltas(events: list[Event], **members: Any) -> list[dict[str, Any]]:
    told = chunks(written(events, asked(stream=True, **members)))
    return [chunk["choices"][0]["delta"] for chunk in told if chunk["choices"]]


def message(events: list[Event], **members: Any) -> dict[str, Any]:
    found: dict[str, Any] = whole(written(events, asked(**members)))["choices"][0]["message"]
    return found


def accumulated(stream: bytes) -> dict[str, Any]:
    """The message as the vendor's own SDK puts it together."""
    state = ChatCompletionStreamState()
    for chunk in chunks(stream):
        state.handle_chunk(ChatCompletionChunk.construct(**chunk))
    found: dict[str, Any] = state.current_completion_snapshot.to_dict()["choices"][0]["message"]  # type: ignore[index]
    return found


def test_a_streams_shape() -> None:
    """The role first and once, the words, one finish reason, usage with no choices at the end."""
    told = chunks(written(SAID, asked(stream=True)))
    assert [chunk["choices"][0]["delta"] if chunk["choices"] else None for chunk in told] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
        None,
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[:-1]] == [None, None, None, "stop"]
    assert all(chunk["usage"] is None for chunk in told[:-1])
    assert told[-1]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in told} == {
        ("msg_1", "served-model", 1_700_000_000)
    }


def test_usage_is_shown_only_to_who_asked() -> None:
    """Clients that did not ask may not expect a chunk without choices."""
    told = chunks(written(SAID, asked(stream=True, include_usage=False)))
    assert all("usage" not in chunk and chunk["choices"] for chunk in told)


def test_a_whole_answer() -> None:
    """The same answer as one body."""
    told = whole(written(SAID, asked()))
    assert told["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert told["usage"]["total_tokens"] == 15


def test_calls_stream_with_a_stable_index() -> None:
    """Id and name once, then arguments alone; a call without arguments has an empty object; pieces may interleave."""
    calls = [call for delta in deltas(CALLED) for call in delta.get("tool_calls", ())]
    heads = [call for call in calls if "id" in call]
    assert [(call["index"], call["id"], call["function"]["name"]) for call in heads] == [
        (0, "c1", "weather"),
        (1, "c2", "clock"),
    ]
    arguments = {index: "".join(c["function"]["arguments"] for c in calls if c["index"] == index) for index in (0, 1)}
    assert arguments == {0: '{"at":"Oslo"}', 1: "{}"}


def test_calls_in_a_whole_answer() -> None:
    """Content is null only if there is no text."""
    told = message(CALLED)
    assert told["content"] == "Let me see."
    assert [call["function"] for call in told["tool_calls"]] == [
        {"name": "weather", "arguments": '{"at":"Oslo"}'},
        {"name": "clock", "arguments": "{}"},
    ]
    assert message([event for event in CALLED if not isinstance(event, TextDelta)])["content"] is None


def test_thinking_is_never_in_the_content() -> None:
    """It has a member of its own, in both forms."""
    events: list[Event] = [START, ReasoningDelta(0, "hm "), ReasoningDelta(0, "hm"), TextDelta(1, "yes"), Stop("stop")]
    told = deltas(events)
    assert "".join(delta.get("reasoning_content", "") for delta in told) == "hm hm"
    assert "".join(delta.get("content", "") for delta in told) == "yes"
    whole_message = message(events)
    assert (whole_message["reasoning_content"], whole_message["content"]) == ("hm hm", "yes")
    assert "extra_content" not in whole_message


def test_refusals() -> None:
    """A refusal is no content."""
    events: list[Event] = [START, RefusalDelta("I will not"), Stop("content_filter", "refusal")]
    assert "".join(delta.get("refusal", "") for delta in deltas(events)) == "I will not"
    assert message(events) == {"role": "assistant", "content": None, "refusal": "I will not"}


def test_sources_are_annotations_given_at_once() -> None:
    """The SDK's accumulation refuses a list of sources in two pieces."""
    events: list[Event] = [
        START,
        TextDelta(0, "so"),
        Citation(0, "https://a", "A", 0, 2),
        Citation(0, "https://b", cited="words"),
        Stop("stop"),
    ]
    want = [
        {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A", "start_index": 0, "end_index": 2}},
        {
            "type": "url_citation",
            "url_citation": {
                "url": "https://b",
                "title": "https://b",
                "start_index": 0,
                "end_index": 0,
                "content": "words",
            },
        },
    ]
    assert accumulated(written(events, asked(stream=True)))["annotations"] == want
    assert message(events)["annotations"] == want


def test_media_that_a_model_made() -> None:
    """Images as clients of this wire know them, sound in the wire's own member."""
    events: list[Event] = [
        START,
        MediaOut(0, "image/png", "AAAA"),
        MediaOut(1, "image/png", "BBBB"),
        MediaOut(2, "audio/wav", "CCCC"),
        Stop("stop"),
    ]
    told = message(events)
    assert [image["image_url"]["url"] for image in told["images"]] == [
        "data:image/png;base64,AAAA",
        "data:image/png;base64,BBBB",
    ]
    assert told["audio"]["data"] == "CCCC"
    assert len(accumulated(written(events, asked(stream=True)))["images"]) == 2


def test_the_old_spelling_gets_the_old_answer() -> None:
    """A client of `functions` reads `function_call` and that finish reason."""
    tool = Tool("clock", extra={"openai_chat": {"functions": True}})
    events: list[Event] = [START, ToolCallStart(0, "c1", "clock"), ArgumentsDelta(0, "{}"), Stop("tool_calls")]
    told = whole(written(events, asked(tools=(tool,))))["choices"][0]
    assert told["message"]["function_call"] == {"name": "clock", "arguments": "{}"}
    assert told["finish_reason"] == "function_call"
    streamed = deltas(events, tools=(tool,))
    assert "".join(delta.get("function_call", {}).get("arguments", "") for delta in streamed) == "{}"
    assert not any("tool_calls" in delta for delta in streamed)


def test_an_answer_without_a_start() -> None:
    """Id and model are made here if the provider gave none."""
    events: list[Event] = [TextDelta(0, "x"), Stop("stop")]
    told = chunks(written(events, asked(stream=True)))
    assert (told[0]["id"], told[0]["model"]) == ("chatcmpl-1", "auto")
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_answer_is_whole_too(stream: bool) -> None:
    """A model may say nothing."""
    out = written([START, Stop("length")], asked(stream=stream))
    told = chunks(out)[-1] if stream else whole(out)
    assert told["choices"][0]["finish_reason"] == "length"


def test_signatures_survive_the_sdks_accumulation() -> None:
    """A client puts the same answer together from a stream as it would have got whole."""
    events: list[Event] = [
        START,
        ReasoningDelta(0, "hm", None),
        ReasoningDelta(0, "", "s" * 40),
        OpaqueBlock(1, Opaque("other", {"kind": "search"})),
        *CALLED[2:],
    ]
    streamed, at_once = accumulated(written(events, asked(stream=True))), message(events)
    assert streamed["extra_content"] == at_once["extra_content"]
    assert [call["extra_content"] for call in streamed["tool_calls"] if "extra_content" in call] == [
        call["extra_content"] for call in at_once["tool_calls"] if "extra_content" in call
    ]


_TEXT = st.text(max_size=8)
_BLOCKS = st.one_of(
    st.lists(_TEXT, max_size=3).map(lambda texts: [("text", text) for text in texts]),
    st.lists(_TEXT, max_size=3).map(lambda texts: [("thought", text) for text in texts]),
    st.lists(_TEXT, max_size=3).map(lambda texts: [("call", ""), *(("argument", text) for text in texts)]),
    _TEXT.map(lambda text: [("sealed", text)]),
    _TEXT.map(lambda text: [("source", text)]),
)


def _events(blocks: list[list[tuple[str, str]]]) -> list[Event]:
    events: list[Event] = [START]
    for index, block in enumerate(blocks):
        for kind, text in block:
            match kind:
                case "text":
                    events.append(TextDelta(index, text))
                case "thought":
                    events.append(ReasoningDelta(index, text))
                case "call":
                    events.append(ToolCallStart(index, f"c{index}", "f", "s" if index % 2 else None))
                case "argument":
                    events.append(ArgumentsDelta(index, text))
                case "sealed":
                    events.append(ReasoningDelta(index, redacted=text))
                case _:
                    events.append(Citation(index, text))
    return [*events, USAGE, Stop("stop")]


@settings(deadline=None, max_examples=60)
@given(st.lists(_BLOCKS, max_size=6))
def test_any_answer_parses_and_both_forms_agree(blocks: list[list[tuple[str, str]]]) -> None:
    """Whatever a model does, the SDK reads the stream and the whole body, and they say the same."""
    events = _events(blocks)
    at_once, streamed = message(events), accumulated(written(events, asked(stream=True)))
    for name in ("content", "reasoning_content", "annotations", "extra_content"):
        assert (at_once.get(name) or None) == (streamed.get(name) or None)
    assert json.dumps(_calls(at_once)) == json.dumps(_calls(streamed))


def _calls(message: dict[str, Any]) -> list[Any]:
    calls = message.get("tool_calls") or []
    return [(c["id"], c["function"]["name"], c["function"]["arguments"], c.get("extra_content")) for c in calls]


WEIGHED: list[Event] = [
    START,
    TextDelta(0, "Hel"),
    Logprobs(0, (TokenLogprob("Hel", -0.5, (("Hel", -0.5), ("Hé", -1.5), ("x", -9.0))),)),
    TextDelta(0, "lo"),
    TextDelta(0, "!"),
    Logprobs(0, (TokenLogprob("lo", 0.0), TokenLogprob("\ufffd", -2.0))),
    Stop("stop"),
]
CONTENT = [
    {
        "token": "Hel",
        "logprob": -0.5,
        "bytes": [72, 101, 108],
        "top_logprobs": [
            {"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108]},
            {"token": "Hé", "logprob": -1.5, "bytes": [72, 195, 169]},
        ],
    },
    {"token": "lo", "logprob": 0.0, "bytes": [108, 111], "top_logprobs": []},
    {"token": "\ufffd", "logprob": -2.0, "bytes": None, "top_logprobs": []},
]


def test_log_probabilities_of_a_whole_answer() -> None:
    """Each token with as many rivals as were asked for; a torn character has no bytes."""
    assert whole(written(WEIGHED, asked(logprobs=2)))["choices"][0]["logprobs"] == {"content": CONTENT, "refusal": None}


def test_log_probabilities_in_a_stream() -> None:
    """They come in the chunk of their text, none of which is lost, and the SDK gathers them as of a whole answer."""
    stream = written(WEIGHED, asked(stream=True, logprobs=2))
    choices = [chunk["choices"][0] for chunk in chunks(stream)]
    said = [(each["delta"].get("content"), len((each["logprobs"] or {}).get("content", ()))) for each in choices]
    assert said == [("", 0), ("Hel", 1), ("lo", 0), ("!", 2), (None, 0)]
    state = ChatCompletionStreamState()
    for chunk in chunks(stream):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    logprobs = state.current_completion_snapshot.choices[0].logprobs
    assert logprobs is not None and logprobs.to_dict()["content"] == CONTENT


def test_log_probabilities_nobody_asked_for_in_so_many_words_are_shown_too() -> None:
    """A vendor's own member asked for them; the text does not wait."""
    choices = [chunk["choices"][0] for chunk in chunks(written(WEIGHED, asked(stream=True)))]
    assert [(each["delta"].get("content"), bool(each["logprobs"])) for each in choices] == [
        ("", False),
        ("Hel", False),
        ("", True),
        ("lo", False),
        ("!", False),
        ("", True),
        (None, False),
    ]


def test_log_probabilities_read_back() -> None:
    """A written answer is read back as the same events."""
    tokens = [
        token
        for event in decoded(written(WEIGHED, asked(stream=True, logprobs=5)))
        if isinstance(event, Logprobs)
        for token in event.tokens
    ]
    assert tokens == [token for event in WEIGHED if isinstance(event, Logprobs) for token in event.tokens]
