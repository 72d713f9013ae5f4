"""Events of one answer folded into what a client would say of it; an answer written and read back by the vendor's SDK."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from runtime.contract.events import (
    ArgumentsDelta,
    Event,
    Failed,
    ReasoningDelta,
    RefusalDelta,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.messages import Message, Request, Role, Text
from runtime.contract.usage import Usage
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_chat.write_answer import write_answer
from runtime.wire import sse


@dataclass
class Folded:
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    finish: str | None = None
    usage: Usage | None = None
    failure: str | None = None


def fold(events: Iterable[Event]) -> Folded:
    out = Folded()
    arguments: dict[int, str] = {}
    names: dict[int, str] = {}
    for event in events:
        match event:
            case TextDelta():
                out.text += event.text
            case ReasoningDelta():
                out.reasoning += event.text
            case RefusalDelta():
                out.refusal += event.text
            case ToolCallStart():
                names[event.index], arguments[event.index] = event.name, ""
                out.ids.append(event.id)
            case ArgumentsDelta():
                arguments[event.index] += event.text
            case UsageReport():
                out.usage = event.usage
            case Stop():
                out.finish = event.raw
            case Failed():
                out.failure = event.failure.message
            case _:
                pass
    out.calls = [(names[index], parsed(arguments[index])) for index in names]
    return out


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def decoded(stream: bytes, cuts: Sequence[int] = ()) -> list[Event]:
    """A stream through the framing and the decoder, in pieces cut at these places."""
    decoder, framing, events = ChatAnswerReader(lambda: "call_minted"), sse.Events(), list[Event]()
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in pairwise(edges):
        for event in framing.feed(stream[start:end]):
            if event.data is not None:
                events += decoder.feed(event.name.decode("latin-1"), event.data)
    return [*events, *decoder.finish()]


def asked(*, stream: bool = False, include_usage: bool = True, **members: Any) -> Request:
    hello = Message(Role.USER, (Text("hello"),))
    return Request("auto", (hello,), stream=stream, include_usage=include_usage, **members)


def written(events: Iterable[Event], request: Request, signatures: SignatureCache | None = None) -> bytes:
    """The bytes that the client gets for a whole answer."""
    into = write_answer(request, "chatcmpl-1", 1_700_000_000, signatures)
    return b"".join([*map(into.feed, events), into.end()])


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a written stream, each held against the SDK's types; the closing mark must be there."""
    *data, done = [event.data for event in sse.Events().feed(stream)]
    assert done == b"[DONE]"
    told = [json.loads(each or b"") for each in data]
    for chunk in told:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    return told


def whole(body: bytes) -> dict[str, Any]:
    """A written whole answer, held against the SDK's types."""
    told: dict[str, Any] = json.loads(body)
    ChatCompletion.model_validate(told, strict=True)
    return told
