"""Any supported conversation survives the codec, and the vendor's own types accept its body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.anthropic import signatures
from runtime.contract.messages import (
    Cache,
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
from runtime.dialects.anthropic_messages.read_request import read_request
from runtime.wire.raw_body import RawBody
from tests.cloud.anthropic.recorded import codec, decoded, folded, judge, target

MODELS = (
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-opus-4-8",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
    "claude-new",
)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)
TEXTS = st.builds(Text, WORDS, st.none() | st.builds(Cache, st.sampled_from([None, "5m", "1h"])))
PICTURES = st.just(Media("image", "image/png", data="iVBORw0KGgo=")) | st.just(Media("image", url="https://a.b/c.png"))
PAPERS = st.just(Media("document", "application/pdf", data="JVBERi0xLjQ=", name="a.pdf"))
ARGUMENTS = st.dictionaries(WORDS, st.integers() | WORDS | st.none() | st.lists(st.booleans(), max_size=2), max_size=3)
NAMES = st.sampled_from(["look", "read_file", "my-tool"])
TOOLS = st.lists(NAMES, unique=True, min_size=1, max_size=3).map(
    lambda names: tuple(
        Tool(name, "Does.", {"type": "object", "properties": {"a": {"type": "string"}}}) for name in names
    )
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns of both sides in any order; every call has its result."""
    out: list[Message] = [Message(Role.SYSTEM, (draw(TEXTS),))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        out.append(Message(Role.USER, tuple(draw(st.lists(TEXTS | PICTURES | PAPERS, min_size=1, max_size=3)))))
        if draw(st.booleans()):
            out.append(Message(Role.SYSTEM, (draw(TEXTS),)))
        thought = Reasoning(draw(WORDS), signatures.marked("SIG", draw(st.sampled_from(MODELS))))
        count = draw(st.integers(0, 2))
        calls = [ToolCall(f"c_{turn}_{n}", draw(NAMES), json.dumps(draw(ARGUMENTS))) for n in range(count)]
        said: list[Part] = [*([thought] if draw(st.booleans()) else []), draw(TEXTS), *calls]
        out.append(Message(Role.ASSISTANT, tuple(said)))
        results = tuple(ToolResult(call.id, (draw(TEXTS),), call.name, draw(st.booleans())) for call in calls)
        out += [Message(Role.USER, results)] if results else []
    return (*out, Message(Role.USER, (draw(TEXTS),)))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    maybe = st.none
    with_tools, by_name = draw(st.booleans()), draw(st.booleans())
    tools = draw(TOOLS) if with_tools else ()
    choice = ToolChoice("named", tools[0].name) if tools and by_name else ToolChoice("required")
    return Request(
        "any",
        draw(conversations()),
        tools,
        tool_choice=draw(maybe() | st.just(choice)) if tools else None,
        parallel_tool_calls=draw(maybe() | st.booleans()),
        max_tokens=draw(maybe() | st.integers(1, 200_000)),
        temperature=draw(maybe() | st.floats(0, 2)),
        top_p=draw(maybe() | st.floats(0.1, 1)),
        stop=tuple(draw(st.lists(WORDS, max_size=2))),
        format=draw(maybe() | st.just(Format({"type": "object", "properties": {"a": {"type": "string"}}}))),
        thinking=draw(
            maybe() | st.builds(Thinking, st.sampled_from(["none", "minimal", "low", "medium", "high", "max"]))
        ),
        user=draw(maybe() | WORDS),
    )


def texts(messages: tuple[Message, ...]) -> list[Any]:
    """The texts with their roles, in order; instructions by whoever may give them."""
    out: list[Any] = []
    for message in messages:
        side = "model" if message.role is Role.ASSISTANT else "client"
        for part in message.parts:
            match part:
                case Text():
                    out.append((side, part.text))
                case Media():
                    out.append((side, part.kind, part.data, part.url))
                case ToolCall():
                    out.append((part.id, part.name, json.loads(part.arguments)))
                case ToolResult():
                    out.append(
                        (part.call_id, part.is_error, [piece.text for piece in part.content if isinstance(piece, Text)])
                    )
    return out


@QUICK
@given(conversations(), st.sampled_from(MODELS))
def test_a_conversation_survives_the_wire(messages: tuple[Message, ...], model: str) -> None:
    """Texts, media, calls and results, in their order, read back by the dialect of this wire's clients."""
    written = codec().encode(Request("any", messages), target(model)).call.body
    assert texts(read_request(RawBody(written), stream=True).messages) == texts(messages)


@QUICK
@given(data=st.data())
def test_the_vendors_types_accept_every_body(shared: Path, data: st.DataObject) -> None:
    """Bodies that the types allow and the vendor refuses do not occur."""
    rules, model = judge(shared).rules, data.draw(st.sampled_from(MODELS))
    encoded = codec().encode(data.draw(requests()), target(model))
    call = {"body": json.loads(encoded.call.body), "headers": dict(encoded.call.headers)}
    assert rules.anthropic(call, None) == []


@QUICK
@given(data=st.data())
def test_a_body_is_the_same_every_time(data: st.DataObject) -> None:
    """A cached prefix is found by its bytes."""
    request, model = data.draw(requests()), data.draw(st.sampled_from(MODELS))
    assert codec().encode(request, target(model)) == codec().encode(request, target(model))


BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "SIG"}, WORDS),
    st.builds(lambda said: {"type": "tool_use", "id": "c", "name": "look", "input": said}, ARGUMENTS),
    st.builds(lambda said: {"type": "server_tool_use", "id": "s", "name": "web_search", "input": said}, ARGUMENTS),
)


@QUICK
@given(st.lists(BLOCKS, max_size=4), st.sampled_from(["end_turn", "tool_use", "max_tokens"]), st.data())
def test_an_answer_survives_the_wire(
    shared: Path, blocks: list[dict[str, Any]], reason: str, data: st.DataObject
) -> None:
    """This holds for all kinds of blocks and any cut of the stream."""
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1}
    message = {"id": "m", "model": "x", "content": blocks, "stop_reason": reason, "stop_sequence": None, "usage": usage}
    raw = judge(shared).synth.anthropic_sse(message).encode()
    at = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    pieces = [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]
    answer = folded(decoded(pieces))
    assert answer.text == "".join(block.get("text", "") for block in blocks)
    assert answer.reasoning == "".join(block.get("thinking", "") for block in blocks)
    assert [said for _, _, said in answer.calls] == [block["input"] for block in blocks if block["type"] == "tool_use"]
    assert answer.opaque == [block for block in blocks if block["type"] == "server_tool_use"]
    assert (answer.stop, answer.failed) == (reason, False)
