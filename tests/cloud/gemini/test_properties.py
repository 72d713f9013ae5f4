"""What holds for any answer and any bytes: nothing is lost on the way round, cuts change nothing, garbage never raises."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCallStart,
)
from runtime.contract.messages import Media, Message, Part, Reasoning, Request, Role, Text, ToolCall, ToolResult
from tests.cloud.gemini.recorded import codec, decoded, target

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
SIGNATURES = st.sampled_from(["YQ==", "c2lnbmVk"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(WORDS, JSON, max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The parts of a model's turn as the vendor would have them back: no two texts in a row without a signature between."""
    parts: list[dict[str, Any]] = []
    for n, kind in enumerate(
        draw(st.lists(st.sampled_from(["thought", "text", "call", "code"]), min_size=1, max_size=6))
    ):
        signed: dict[str, Any] = {"thoughtSignature": draw(SIGNATURES)}
        match kind:
            case "thought":
                parts.append({"text": draw(WORDS), "thought": True} | signed)
            case "text":
                parts.append({"text": draw(WORDS)} | signed)
            case "call":
                parts.append({"functionCall": {"id": f"c{n}", "name": "f", "args": draw(ARGUMENTS)}} | signed)
            case _:
                parts.append({"executableCode": {"language": "PYTHON", "code": draw(WORDS)}} | signed)
    return parts


def streamed(parts: list[dict[str, Any]], ends: list[bool]) -> bytes:
    """The turn as a stream: a chunk ends behind a part where `ends` says so."""
    chunks: list[list[dict[str, Any]]] = [[]]
    for part, end in zip(parts, ends, strict=False):
        chunks[-1].append(part)
        if end:
            chunks.append([])
    bodies = [{"candidates": [{"content": {"role": "model", "parts": chunk}}]} for chunk in chunks]
    bodies[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[assignment]
    return b"".join(b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\r\n\r\n" for body in bodies)


def turn(events: list[Event]) -> Message:
    """What a client that loses nothing gives back."""
    parts: list[Part] = []
    arguments = {event.index: event.text for event in events if isinstance(event, ArgumentsDelta)}
    for event in events:
        match event:
            case TextDelta():
                parts.append(Text(event.text))
            case ReasoningDelta():
                parts.append(Reasoning(event.text, event.signature))
            case ToolCallStart():
                parts.append(ToolCall(event.id, event.name, arguments.get(event.index, "{}"), event.signature))
            case MediaOut():
                parts.append(Media("image", event.mime, data=event.data))
            case OpaqueBlock():
                parts.append(event.block)
    return Message(Role.ASSISTANT, tuple(parts))


@settings(max_examples=60, deadline=None)
@given(answers(), st.lists(st.booleans(), min_size=6, max_size=6))
def test_an_answer_given_back_is_the_vendors_own(parts: list[dict[str, Any]], ends: list[bool]) -> None:
    """Text, thoughts, calls, arguments, code and every signature come home as they left."""
    events = decoded([streamed(parts, ends)])
    assert isinstance(events[-1], Stop)
    back = turn(events)
    results = tuple(ToolResult(part.id, (Text("ok"),)) for part in back.parts if isinstance(part, ToolCall))
    request = Request("m", (Message(Role.USER, (Text("x"),)), back, Message(Role.USER, (*results, Text("y")))))
    body = json.loads(codec().encode(request, target("gemini-3.8-flash")).call.body)
    assert body["contents"][1] == {"role": "model", "parts": parts}


@settings(max_examples=60, deadline=None)
@given(answers(), st.lists(st.booleans(), min_size=6, max_size=6), st.integers(1, 40))
def test_any_cut_of_the_bytes_is_read_alike(parts: list[dict[str, Any]], ends: list[bool], size: int) -> None:
    """Where the network cuts changes nothing."""
    raw = streamed(parts, ends)
    assert decoded([raw[at : at + size] for at in range(0, len(raw), size)]) == decoded([raw])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), max_size=5))
def test_garbage_never_raises(pieces: list[bytes]) -> None:
    """Any bytes and any JSON end in events."""
    decoder = codec().decoder(Request("m", ()))
    for piece in pieces:
        decoder.feed("", piece)
        codec().classify(500, {}, piece)
    decoder.finish()


NAMES = st.sampled_from(
    [
        *(
            "candidates",
            "content",
            "parts",
            "text",
            "functionCall",
            "args",
            "name",
            "id",
            "thought",
            "thoughtSignature",
        ),
        *("inlineData", "usageMetadata", "token", "error", "promptTokenCount", "candidatesTokenCount", "finishReason"),
        *("groundingMetadata", "groundingChunks", "groundingSupports", "segment", "web", "uri", "citationMetadata"),
        *("citationSources", "logprobsResult", "topCandidates", "chosenCandidates", "promptFeedback", "blockReason"),
        *("index", "startIndex", "endIndex", "groundingChunkIndices"),
    ]
)
NEARLY = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.just("STOP"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=60, deadline=None)
@given(NEARLY, NEARLY)
def test_members_of_the_wrong_kind_never_raise(content: Any, beside: Any) -> None:
    """The wire's own names over values of any kind."""
    decoder = codec().decoder(Request("m", ()))
    for chunk in (
        content,
        {"candidates": content},
        {"candidates": [content]},
        {"candidates": [{"content": {"parts": [content]}}]},
    ):
        decoder.feed("", json.dumps(chunk).encode())
    decoder = codec().decoder(Request("m", ()))
    candidate = {"content": {"parts": [{"text": "ä"}, content]}, "finishReason": "STOP", "groundingMetadata": beside}
    decoder.feed(
        "", json.dumps({"candidates": [candidate | {"logprobsResult": beside, "citationMetadata": content}]}).encode()
    )
    decoder.finish()
