"""The text and the tool calls of an answer, read off the bytes that its client got, whole or streamed, on each wire. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from runtime.wire import sse


class SampledCall(msgspec.Struct, frozen=True):
    """arguments: as the model wrote them, JSON if it kept to it."""

    name: str
    arguments: str


class AnswerText(msgspec.Struct, frozen=True):
    """The first choice of an answer."""

    text: str
    tools: tuple[SampledCall, ...] = ()

    @property
    def shown(self) -> str:
        """The text, then the calls, as a judge reads them."""
        return "\n".join([*filter(None, [self.text]), *[f"{each.name}({each.arguments})" for each in self.tools]])


def answer_text(wire: str, raw: bytes) -> AnswerText | None:
    """None for a wire that is not sampled, and for bytes that are no answer of it."""
    read = _READERS.get(wire)
    if read is None:
        return None
    try:
        if raw.lstrip()[:1] == b"{":
            return read([msgspec.json.decode(raw)])
        events = sse.Events().feed(raw)
        data = [each.data for each in events if each.data and each.data.lstrip()[:1] == b"{"]
        return read(list(map(msgspec.json.decode, data)))
    except (msgspec.DecodeError, UnicodeError, sse.EventTooLongError, AttributeError, KeyError, TypeError, IndexError):
        return None


def _chat(documents: list[Any]) -> AnswerText:
    """Whole: `message`; streamed: `delta`, whose calls arrive in pieces by their index."""
    texts: list[str] = []
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for choice in _first_choices(documents):
        part = choice.get("message") or choice.get("delta") or {}
        if isinstance(part.get("content"), str):
            texts.append(part["content"])
        for place, call in enumerate(part.get("tool_calls") or ()):
            index, function = call.get("index", place), call.get("function") or {}
            names[index] = names.get(index, "") + (function.get("name") or "")
            arguments[index] = arguments.get(index, "") + (function.get("arguments") or "")
    return AnswerText("".join(texts), tuple([SampledCall(names[each], arguments[each]) for each in sorted(names)]))


def _completions(documents: list[Any]) -> AnswerText:
    return AnswerText("".join([choice.get("text") or "" for choice in _first_choices(documents)]))


def _first_choices(documents: list[Any]) -> Iterator[Any]:
    for document in documents:
        for place, choice in enumerate(document.get("choices") or ()):
            if choice.get("index", place) == 0:
                yield choice


def _messages(documents: list[Any]) -> AnswerText:
    """Whole: `content`; streamed: blocks that begin and grow."""
    blocks: dict[int, dict[str, Any]] = {}
    for document in documents:
        kind = document.get("type")
        if kind == "message":
            blocks |= dict(enumerate(document["content"]))
        elif kind == "content_block_start":
            blocks[document["index"]] = {**document["content_block"], "json": ""}
        elif kind == "content_block_delta":
            block, delta = blocks[document["index"]], document["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["json"] = block.get("json", "") + delta.get("partial_json", "")
    found = [blocks[each] for each in sorted(blocks)]
    calls = [(each["name"], each.get("json") or each["input"]) for each in found if each["type"] == "tool_use"]
    return AnswerText("".join([each["text"] for each in found if each["type"] == "text"]), _called(calls))


def _responses(documents: list[Any]) -> AnswerText:
    """The response object: the body itself, or in the event that ends a stream."""
    last = documents[-1]
    output = (last.get("response") or last)["output"]
    texts = [
        part["text"] for item in output if item["type"] == "message" for part in item["content"] if part.get("text")
    ]
    calls = [(item["name"], item["arguments"]) for item in output if item["type"] == "function_call"]
    return AnswerText("".join(texts), _called(calls))


def _called(calls: Iterable[tuple[str, Any]]) -> tuple[SampledCall, ...]:
    return tuple(
        [
            SampledCall(name, given if isinstance(given, str) else msgspec.json.encode(given).decode())
            for name, given in calls
        ]
    )


_READERS = {
    "openai_chat": _chat,
    "openai_completions": _completions,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
}
WIRES = frozenset(_READERS)
