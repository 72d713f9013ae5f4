"""Answers written in the responses wire: the vendor's own SDK reads every one, streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    Logprobs,
    ReasoningDelta,
    Start,
    Stop,
    TextDelta,
    TokenLogprob,
    ToolCallStart,
)
from runtime.contract.messages import Opaque, Reasoning, Role, Tool, ToolCall
from runtime.dialects.openai_chat.signatures import SignatureCache, call_key
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.openai_responses.signatures import native_signature
from runtime.wire import sse
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.openai_responses import sdk
from tests.runtime.dialects.openai_responses.answers import (
    ALL,
    CALLS,
    CUT,
    RICH,
    TEXT,
    THOUGHT,
    asked,
    dialect,
    written,
)

ENDINGS = {"cut": "response.incomplete", "refused": "response.incomplete"}


@pytest.mark.parametrize("name", ALL)
def test_the_sdk_reads_both_forms_alike(name: str) -> None:
    """Every event is one of the wire's types, numbered without a gap; the last one holds the whole answer."""
    events = sdk.check_events(written(ALL[name], stream=True))
    body = written(ALL[name], stream=False)
    sdk.whole(body)
    assert events[-1]["type"] == ENDINGS.get(name, "response.completed")
    assert events[-1]["response"] == json.loads(body)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]


@pytest.mark.parametrize("name", [name for name in ALL if name not in ENDINGS])
def test_the_sdks_stream_helper_folds_what_was_written(name: str) -> None:
    """The deltas together are the response of the last event."""
    folded = sdk.streamed(written(ALL[name], stream=True))
    whole = sdk.whole(written(ALL[name], stream=False))
    assert [item["type"] for item in folded["output"]] == [item["type"] for item in whole["output"]]


def test_text() -> None:
    """Its pieces, its whole, its tokens."""
    events = sdk.check_events(written(TEXT, stream=True))
    assert [event["delta"] for event in events if event["type"] == "response.output_text.delta"] == ["Hel", "lo."]
    response = events[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "Hello."
    assert (response["model"], response["status"], response["id"][:5]) == ("m-1", "completed", "resp_")
    assert response["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 19,
    }


def test_an_item_begins_empty() -> None:
    """Its content comes with the events after it."""
    added = next(event["item"] for event in sdk.check_events(written(TEXT, stream=True)) if "item" in event)
    assert (added["content"], added["status"]) == ([], "in_progress")


def test_calls_keep_their_items_apart() -> None:
    """Interleaved arguments find their calls; a call without arguments has an empty object."""
    events = sdk.check_events(written(CALLS, stream=True))
    done = {
        event["item"]["call_id"]: event["item"]
        for event in events
        if event["type"].endswith("item.done") and "call_id" in event["item"]
    }
    assert {name: item["arguments"] for name, item in done.items()} == {
        "call_a": '{"q":"a"}',
        "call_b": '{"q":"b"}',
        "call_c": "{}",
    }
    pieces: dict[int, str] = {}
    for event in events:
        if event["type"] == "response.function_call_arguments.delta":
            pieces[event["output_index"]] = pieces.get(event["output_index"], "") + event["delta"]
    assert list(pieces.values()) == ['{"q":"a"}', '{"q":"b"}', "{}"]


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_a_cut_is_never_shown_as_whole(finish: Any, reason: str) -> None:
    """The response is incomplete with its reason, and so is the item that was being written."""
    events: tuple[Event, ...] = (*CUT[:-1], Stop(finish))
    for body in (
        sdk.check_events(written(events, stream=True))[-1]["response"],
        json.loads(written(events, stream=False)),
    ):
        assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": reason})
        assert body["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("stream", [True, False])
def test_what_models_want_back_survives_a_client_that_echoes_items(stream: bool) -> None:
    """Signed and redacted reasoning, signed calls and foreign blocks come back as they were."""
    items = []
    for events in (THOUGHT, CALLS, RICH):
        body = written(events, stream=stream)
        items += (sdk.check_events(body)[-1]["response"] if stream else json.loads(body))["output"]
    request = RESPONSES.read_request(RawBody(json.dumps({"input": items}).encode()))
    parts = [part for message in request.messages if message.role is Role.ASSISTANT for part in message.parts]
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    assert [(part.text, part.signature, part.redacted) for part in thoughts] == [
        ("Let me see.", "vendor#sig", None),
        ("", None, "dark"),
    ]
    assert {part.id: part.signature for part in parts if isinstance(part, ToolCall)} == {
        "call_a": "thought",
        "call_b": None,
        "call_c": None,
    }
    assert [part for part in parts if isinstance(part, Opaque)] == [Opaque("other", {"type": "search", "n": 1})]


def test_native_reasoning_is_written_as_it_was() -> None:
    """With its own id and content."""
    events: tuple[Event, ...] = (
        Start("r", "m"),
        ReasoningDelta(0, "", native_signature("rs_up", "gAAA")),
        Stop("stop"),
    )
    (item,) = json.loads(written(events, stream=False))["output"]
    assert (item["id"], item["encrypted_content"]) == ("rs_up", "gAAA")


def test_signatures_are_remembered_for_clients_that_strip_items() -> None:
    """By the ids of the calls."""
    signatures = SignatureCache()
    written(CALLS, stream=False, by=dialect(signatures=signatures))
    turn = signatures.recall(call_key("call_a"))
    assert turn is not None
    assert turn.calls == {"call_a": "thought"}


def test_a_custom_tool_is_called_with_free_text() -> None:
    """Arguments that another wire gives as JSON become the text that the client asked for."""
    tool = Tool("write", extra={"openai_responses": {"type": "custom"}})
    events: tuple[Event, ...] = (
        Start("r", "m"),
        ToolCallStart(0, "c", "write"),
        ArgumentsDelta(0, '{"input": "a'),
        ArgumentsDelta(0, '\\nb"}'),
        Stop("tool_calls"),
    )
    told = sdk.check_events(written(events, stream=True, tools=(tool,)))
    (item,) = told[-1]["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "a\nb")


def test_a_session_repeats_what_the_client_asked_for() -> None:
    """The members of its body, as it wrote them."""
    asks = {
        "input": "x",
        "instructions": "Be brief.",
        "temperature": 0.2,
        "previous_response_id": "resp_0",
        "metadata": {"a": "b"},
    }
    session = dialect().session(RawBody(json.dumps(asks).encode()))
    body = json.loads(written(TEXT, stream=False, by=session))
    assert {name: body[name] for name in asks if name != "input"} == {k: v for k, v in asks.items() if k != "input"}
    sdk.whole(json.dumps(body).encode())


def test_a_session_gets_the_whole_response() -> None:
    """Once, with the bytes of the response."""
    told: list[bytes] = []
    for stream in (True, False):
        written(TEXT, stream=stream, by=dialect().session(RawBody(b'{"input":"x"}'), told.append))
    assert [json.loads(body)["status"] for body in told] == ["completed", "completed"]
    unfinished = dialect().session(RawBody(b'{"input":"x"}'), told.append).write_answer(asked(stream=True))
    unfinished.feed(TextDelta(0, "a"))
    assert len(told) == 2


def test_an_error_has_the_wires_shape() -> None:
    """The SDK raises the exception of the status, with this server's or the provider's message."""
    body = RESPONSES.error_body(ApiError(400, "no such thing", "invalid_body", "input[0]"))
    with pytest.raises(openai.BadRequestError) as told:
        sdk.reader(body, status=400).responses.create(model="m", input="x")
    assert (told.value.code, told.value.param) == ("invalid_body", "input[0]")
    assert RESPONSES.error_body(ApiError(400, "x", body=b'{"error":{}}')) == b'{"error":{}}'


def test_a_stream_that_breaks_off_ends_in_an_error() -> None:
    """The numbers continue; the response is failed; the SDK raises; no event says that it is complete."""
    session = dialect().session(RawBody(b'{"input":"x","stream":true}'))
    writer = session.write_answer(asked(stream=True))
    begun = b"".join(map(writer.feed, TEXT[:2]))
    body = begun + session.error_event(ApiError(502, "the model broke off", "broken_stream"))
    events = [event for event in sse.Events().feed(body) if event.data is not None]
    read = [json.loads(event.data or b"") for event in events]
    assert [event["sequence_number"] for event in read] == list(range(len(read)))
    assert [event["type"] for event in read[-2:]] == ["error", "response.failed"]
    assert read[-1]["response"]["id"] == read[0]["response"]["id"]
    assert read[-1]["response"]["error"] == {"code": "server_error", "message": "the model broke off"}
    with pytest.raises(openai.APIError, match="the model broke off"):
        sdk.iterated(body)


def test_an_error_before_a_stream_began_stands_alone() -> None:
    """No response is invented for it."""
    (event,) = sse.Events().feed(RESPONSES.error_event(ApiError(429, "too many")))
    told = json.loads(event.data or b"")
    assert (told["type"], told["code"], told["sequence_number"]) == ("error", "rate_limit_exceeded", 0)


def test_log_probabilities() -> None:
    """In a delta without text, in the finished part, and in the whole answer."""
    weighed = (
        TEXT[0],
        TextDelta(0, "Hel"),
        Logprobs(0, (TokenLogprob("Hel", -0.5, (("Hel", -0.5), ("x", -1.0))),)),
        Stop("stop"),
    )
    entry = {"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108]}
    content = [entry | {"top_logprobs": [entry]}]
    events = sdk.check_events(written(weighed, stream=True, logprobs=1))
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [(event["delta"], event["logprobs"]) for event in deltas] == [("Hel", []), ("", content)]
    done = next(event for event in events if event["type"] == "response.output_text.done")
    assert done["logprobs"] == content
    whole = sdk.whole(written(weighed, stream=False, logprobs=1))
    assert whole["output"][0]["content"][0]["logprobs"] == content
    folded = sdk.streamed(written(weighed, stream=True, logprobs=1))
    assert folded["output"][0]["content"][0]["text"] == "Hel"


def test_log_probabilities_without_a_text_have_no_place() -> None:
    """The client gets none."""
    events = sdk.check_events(written((TEXT[0], Logprobs(0, (TokenLogprob("a", -1.0),)), Stop("stop")), stream=True))
    assert not any("output_text" in event["type"] for event in events)
