"""A stream of the wire becomes events; anything else becomes a failure, never an exception."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloud.gemini import signatures
from cloud.gemini.codec import GeminiCodec
from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Failed,
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
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.messages import Opaque
from runtime.contract.usage import Usage
from tests.cloud.gemini.recorded import codec
from tests.cloud.recorded import ASKED


def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]}


def read(*chunks: Any) -> list[Event]:
    decoder = codec().decoder(ASKED)
    out = [event for one in chunks for event in decoder.feed("", json.dumps(one).encode())]
    return [*out, *decoder.finish()]


def failure(events: list[Event]) -> Failure:
    assert isinstance(events[-1], Failed)
    return events[-1].failure


def test_thoughts_text_and_calls_are_blocks_in_their_order() -> None:
    """A run of text is one block; a call comes in one piece and keeps its signature."""
    events = read(
        {"responseId": "r", "modelVersion": "m"} | chunk({"text": "hm", "thought": True}),
        chunk({"text": "a"}),
        chunk({"text": "b"}, {"functionCall": {"id": "x", "name": "f", "args": {"n": 1}}, "thoughtSignature": "c2ln"}),
        chunk({"functionCall": {"name": "g"}}, finishReason="STOP"),
    )
    minted = next(event.id for event in events if isinstance(event, ToolCallStart) and event.name == "g")
    assert events == [
        Start("r", "m"),
        ReasoningDelta(0, "hm"),
        BlockEnd(0),
        TextDelta(1, "a"),
        TextDelta(1, "b"),
        BlockEnd(1),
        ToolCallStart(2, "x", "f", "c2ln"),
        ArgumentsDelta(2, '{"n":1}'),
        BlockEnd(2),
        ToolCallStart(3, minted, "g"),
        BlockEnd(3),
        Stop("tool_calls", "STOP"),
    ]


def test_ids_are_minted_where_there_are_none_and_differ_from_answer_to_answer() -> None:
    """Two calls never share an id, in one answer or in two."""
    calls = chunk(
        {"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}, {"functionCall": {"id": "a", "name": "f"}}
    )
    twice = chunk({"functionCall": {"id": "a", "name": "f"}})
    ids = []
    for _ in range(2):
        decoder = GeminiCodec().decoder(ASKED)
        events = [*decoder.feed("", json.dumps(calls).encode()), *decoder.feed("", json.dumps(twice).encode())]
        ids += [event.id for event in events if isinstance(event, ToolCallStart)]
    assert ids[2] == ids[6] == "a"
    assert len(set(ids)) == 7
    assert all(id.startswith("call_") for id in ids if id != "a")


def test_signatures_are_told_where_they_come() -> None:
    """On a thought, behind a text, and on the last, empty part."""
    events = read(
        chunk({"text": "hm", "thought": True, "thoughtSignature": "YQ=="}, {"text": "a", "thoughtSignature": "Yg=="}),
        chunk({"text": "", "thoughtSignature": "Yw=="}, finishReason="STOP"),
    )
    told = [(event.text, event.signature) for event in events if isinstance(event, ReasoningDelta)]
    assert told == [("hm", signatures.marked("YQ==")), ("", signatures.marked("Yg==")), ("", signatures.marked("Yw=="))]


def test_a_signature_inside_a_call_is_the_calls() -> None:
    """Older models put it there."""
    events = read(chunk({"functionCall": {"id": "a", "name": "f", "thoughtSignature": "YQ=="}}, finishReason="STOP"))
    assert ToolCallStart(0, "a", "f", "YQ==") in events


def test_a_long_answer_tells_its_usage_as_it_runs_and_before_it_breaks() -> None:
    """A client that hangs up in the middle has still used tokens."""
    counts = [
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": n}} | chunk({"text": "a"}) for n in range(21)
    ]
    events = read(*counts)
    told = [event.usage.completion for event in events if isinstance(event, UsageReport)]
    assert told[0] == 0
    assert told[-1] == 20
    assert 2 < len(told) < 10
    assert isinstance(events[-1], Failed)


def test_media_and_the_vendors_own_blocks_are_kept() -> None:
    """Blocks that only this wire has are kept whole, at their places."""
    code = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "YQ=="}
    events = read(chunk({"inlineData": {"mimeType": "image/png", "data": "AA=="}}, code), chunk(finishReason="STOP"))
    assert events[1:3] == [MediaOut(0, "image/png", "AA=="), OpaqueBlock(1, Opaque("gemini", code))]


def test_usage_is_cumulative_and_the_last_counts() -> None:
    """The prompt includes the tools' tokens, the completion the thoughts'."""
    first = {"usageMetadata": {"promptTokenCount": 5}}
    last = {
        "promptTokenCount": 5,
        "toolUsePromptTokenCount": 2,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 4,
        "cachedContentTokenCount": 1,
        "serviceTier": "flex",
    }
    events = read(
        first | chunk({"text": "a"}), chunk(finishReason="STOP"), {"usageMetadata": last}, {"usageMetadata": {}}
    )
    reports = [event for event in events if isinstance(event, UsageReport)]
    assert reports == [UsageReport(Usage(5)), UsageReport(Usage(7, 7, 1, 0, 4), {"gemini": {"serviceTier": "flex"}})]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("NO_IMAGE", "stop"),
        ("NEW_WORD", "stop"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    """An unknown reason is a stop; the vendor's name for it is kept."""
    assert read(chunk({"text": "a"}, finishReason=reason))[-1] == Stop(finish, reason)  # type: ignore[arg-type]


def test_a_limit_that_thinking_ate_is_an_end_without_words() -> None:
    """A candidate may have no content at all."""
    assert read({"candidates": [{"finishReason": "MAX_TOKENS"}]})[-1] == Stop("length", "MAX_TOKENS")


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "MODEL_ARMOR", "IMAGE_SAFETY"])
def test_a_filtered_answer_says_why(reason: str) -> None:
    """The vendor's reason reaches the caller."""
    events = read(chunk({"text": "a"}), chunk(finishReason=reason, finishMessage="too hot"))
    assert events[-2:] == [RefusalDelta("The answer was blocked: too hot"), Stop("content_filter", reason)]


def test_a_blocked_prompt_is_a_filtered_answer() -> None:
    """There is no candidate then, and no error either."""
    events = read({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})
    assert events[-2] == RefusalDelta("The prompt was blocked: SAFETY")
    assert isinstance(events[-1], Stop)
    assert events[-1].finish == "content_filter"


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE"])
def test_what_the_model_garbled_is_tried_again(reason: str) -> None:
    """It is a failure to try again, although the vendor calls it finished."""
    found = failure(read(chunk({"text": "a"}), chunk(finishReason=reason, finishMessage="why")))
    assert (found.kind, found.disposition, found.code) == (Kind.GARBLED, Disposition.RETRY_HERE, reason)


def test_an_error_inside_the_stream_is_judged() -> None:
    """It is judged by its own code; nothing after it is emitted."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    found = failure(read(chunk({"text": "a"}), error, chunk({"text": "b"}, finishReason="STOP")))
    assert (found.kind, found.status, found.code) == (Kind.BUSY, 503, "UNAVAILABLE")


def test_a_stream_without_its_end_is_a_failure() -> None:
    """The amount of text makes no difference."""
    assert failure(read(chunk({"text": "a"}))).kind is Kind.BROKEN_STREAM
    assert failure(read()).kind is Kind.BROKEN_STREAM


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"null", b'"x"', b"\xff", b"[" * 9000])
def test_garbage_is_a_failure(data: bytes) -> None:
    """Garbage is a failure, not an exception."""
    events = codec().decoder(ASKED).feed("", data)
    assert failure(list(events)).kind is Kind.GARBLED


def test_content_after_a_finish_reason_is_part_of_the_answer() -> None:
    """A model that runs code finishes in a middle chunk; all of it comes, and the last finish and usage hold."""
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    first = chunk({"text": "a"}, code, finishReason="STOP") | {"usageMetadata": {"candidatesTokenCount": 3}}
    last = chunk({"text": "b"}, finishReason="MAX_TOKENS") | {"usageMetadata": {"candidatesTokenCount": 9}}
    found = read(first, chunk({"text": "mid"}), last)
    assert not any(isinstance(event, Failed) for event in found)
    assert "".join(event.text for event in found if isinstance(event, TextDelta)) == "amidb"
    assert [event.finish for event in found if isinstance(event, Stop)] == ["stop", "length"]
    assert [event.usage.completion for event in found if isinstance(event, UsageReport)] == [3, 9]
    # A finish reason in every chunk.
    each = read(*(chunk({"text": text}, finishReason="STOP") for text in "xyz"))
    assert "".join(event.text for event in each if isinstance(event, TextDelta)) == "xyz"
    # More text without a second reason is whole: the first one holds.
    late = read(chunk({"text": "a"}, finishReason="STOP"), chunk({"text": "late"}))
    assert [type(event) for event in late[-2:]] == [Stop, TextDelta]


def test_counts_after_the_end_are_read_and_a_source_is_cited_once() -> None:
    """Counts may come alone; a second finish repeats no citation."""
    end = chunk({"text": "a"}, finishReason="STOP")
    late = read(end, {"usageMetadata": {"candidatesTokenCount": 4}})[-1]
    assert isinstance(late, UsageReport) and late.usage.completion == 4
    grounds = {"groundingChunks": [{"web": {"uri": "http://a", "title": "A"}}]}
    found = read(chunk({"text": "a"}, finishReason="STOP", groundingMetadata=grounds), end)
    assert len([event for event in found if isinstance(event, Citation)]) == 1


def test_sources_point_at_characters_of_the_answer() -> None:
    """The vendor counts bytes; each source is emitted once, with or without a span."""
    grounding = {
        "webSearchQueries": ["q"],
        "groundingChunks": [{"web": {"uri": "u:1", "title": "one"}}, {"web": {"uri": "u:2"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 4, "endIndex": 6, "text": "ß"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 99, "endIndex": 100, "text": "Grö"}, "groundingChunkIndices": [0, 7]},
        ],
    }
    events = read(
        chunk({"text": "Grö"}, groundingMetadata=grounding),
        chunk({"text": "ße"}, groundingMetadata=grounding, finishReason="STOP"),
    )
    told = [(cited.url, cited.start, cited.end, cited.cited) for cited in events if isinstance(cited, Citation)]
    assert told == [("u:1", 3, 4, "ß"), ("u:1", 0, 3, "Grö"), ("u:2", None, None, None)]
    assert isinstance(events[-1], Stop)
    assert events[-1].extra["gemini"]["groundingMetadata"]["webSearchQueries"] == ["q"]


def test_cited_sources_are_citations() -> None:
    """Text taken from a source names it."""
    cited = {"citationSources": [{"startIndex": 0, "endIndex": 1, "uri": "u:1", "license": "MIT"}]}
    events = read(chunk({"text": "ab"}, citationMetadata=cited, finishReason="STOP"))
    told = [(one.url, one.start, one.end) for one in events if isinstance(one, Citation)]
    assert told == [("u:1", 0, 1)]


def test_log_probabilities() -> None:
    """Each token has its own and its alternatives'."""
    rival = {"token": "b", "logProbability": -2}
    result = {"chosenCandidates": [{"token": "a", "logProbability": -0.5}], "topCandidates": [{"candidates": [rival]}]}
    events = read(chunk({"text": "a"}, logprobsResult=result, finishReason="STOP"))
    assert Logprobs(0, (TokenLogprob("a", -0.5, (("b", -2.0),)),)) in events


def test_log_probabilities_of_thoughts_are_not_the_texts() -> None:
    """No wire has a place for them."""
    result = {"chosenCandidates": [{"token": "hm", "logProbability": -0.5}]}
    events = read(
        chunk({"text": "hm", "thought": True}, logprobsResult=result), chunk({"text": "a"}, finishReason="STOP")
    )
    assert not any(isinstance(event, Logprobs) for event in events)
