"""Properties of any answer and any bytes: nothing is lost, cuts make no difference, garbage never raises."""

from __future__ import annotations

import json
from pathlib import Path
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
from runtime.contract.messages import (
    Format,
    Media,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.cloud.gemini.recorded import codec, decoded, judge, target

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
    """The turn as a client that loses nothing returns it."""
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
    """Text, thoughts, calls, arguments, code and every signature return unchanged."""
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
    """The places where the network cuts make no difference."""
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


PICTURE = Media("image", data="iVBORw0KGgoAAAANSUhEUg==")
SCHEMAS = st.sampled_from(
    [
        None,
        {"type": "object", "properties": {"a": {"type": ["string", "null"], "pattern": "x"}}, "required": ["a"]},
        {"$defs": {"A": {"const": 1}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/A", "title": "t"}}},
        {"allOf": [{"type": "object", "properties": {"a": {"oneOf": [{"type": "integer"}, {"const": "x"}]}}}]},
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns in any order; every call is answered."""
    out: list[Message] = []
    for n, kind in enumerate(
        draw(st.lists(st.sampled_from(["system", "user", "words", "calls"]), min_size=1, max_size=6))
    ):
        match kind:
            case "system":
                out.append(Message(Role.SYSTEM, (Text(draw(WORDS)),)))
            case "user":
                out.append(Message(Role.USER, (Text(draw(WORDS)), *((PICTURE,) if draw(st.booleans()) else ()))))
            case "words":
                out.append(Message(Role.ASSISTANT, (Reasoning("hm", draw(SIGNATURES)), Text(draw(WORDS)))))
            case _:
                ids = [f"c{n}{place}" for place in range(draw(st.integers(1, 3)))]
                calls = tuple(ToolCall(id, "f", json.dumps(draw(ARGUMENTS))) for id in ids)
                results = tuple(ToolResult(id, (Text(draw(WORDS)),)) for id in ids)
                out += [Message(Role.ASSISTANT, calls), Message(Role.USER, results)]
    return tuple(out)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    schema = draw(SCHEMAS)
    choice = draw(st.sampled_from([None, ToolChoice("required"), ToolChoice("named", "f"), ToolChoice("none")]))
    return Request(
        "m",
        draw(conversations()),
        tools=(Tool("f", draw(WORDS), schema), Tool("g")) if draw(st.booleans()) else (),
        tool_choice=choice,
        max_tokens=draw(st.none() | st.integers(1, 10**6)),
        temperature=draw(st.none() | st.floats(0, 2)),
        stop=tuple(draw(st.lists(WORDS, max_size=4))),
        format=draw(st.sampled_from([None, Format(), Format(schema)])),
        thinking=draw(
            st.none()
            | st.builds(Thinking, st.sampled_from([None, "none", "low", "max"]), st.none() | st.integers(0, 99999))
        ),
    )


@settings(max_examples=60, deadline=None)
@given(requests(), st.sampled_from(["gemini-3.8-flash", "gemini-2.5-pro", "gemini-2.0-flash", "gemini-9-new"]))
def test_any_request_is_a_body_the_vendor_takes_and_keeps_every_word(
    shared: Path, request_: Request, model: str
) -> None:
    """The vendor's own types accept it; words, calls, arguments and results stand in it in their order."""
    body = json.loads(codec().encode(request_, target(model)).call.body)
    oracle = judge(shared).rules.errors
    assert not (oracle("gemini", body) and oracle("gemini_proto", body)), body
    assert all(turn["role"] == ("user", "model")[n % 2] for n, turn in enumerate(body["contents"]))
    said = [part for message in request_.messages for part in message.parts]
    sent = [
        *body.get("systemInstruction", {}).get("parts", ()),
        *(part for turn in body["contents"] for part in turn["parts"]),
    ]
    words = [part.text for part in said if isinstance(part, Text)]
    told = iter(part["text"] for part in sent if "text" in part)
    assert all(word in told for word in words)  # each found behind the one before
    calls = [(part.id, json.loads(part.arguments)) for part in said if isinstance(part, ToolCall)]
    assert [
        (part["functionCall"]["id"], part["functionCall"]["args"]) for part in sent if "functionCall" in part
    ] == calls
    results = [part.call_id for part in said if isinstance(part, ToolResult)]
    assert [part["functionResponse"]["id"] for part in sent if "functionResponse" in part] == results
