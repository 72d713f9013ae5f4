"""Events of a responses stream as events of the contract, whether OpenAI, an imitator or the local engine sends them.

Tolerates what servers are known to do: items and parts that appear only in their `done` event, or only in the last event of
all; items out of order; events without a name; reasoning in words, in summaries, or encrypted. Never raises: bytes that cannot
be read are a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Failed,
    MediaOut,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.messages import Opaque
from runtime.dialects.custom_tools import INPUT
from runtime.dialects.meter import broken, garbled
from runtime.dialects.openai_responses.meter import ENDINGS, FAILURES, failure_of
from runtime.dialects.openai_responses.signatures import native_signature
from runtime.dialects.openai_responses.words import NAME, UNDECODABLE, finish_of, usage_of

Json = Mapping[str, Any]

# Event -> the kind of part it belongs to; of a `done` event also the member with the whole text.
_DELTAS = {
    "response.output_text.delta": "text",
    "response.reasoning_text.delta": "thought",
    "response.reasoning_summary_text.delta": "summary",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
}
_WHOLES = {
    "response.output_text.done": ("text", "text"),
    "response.reasoning_text.done": ("thought", "text"),
    "response.reasoning_summary_text.done": ("summary", "text"),
    "response.refusal.done": ("refusal", "refusal"),
    "response.function_call_arguments.done": ("arguments", "arguments"),
}

_json = msgspec.json.Decoder()


class _Item:
    """An output item so far. blocks: the contract's index, by kind and place. parts: the text emitted, by kind and place.

    cited: places of text whose citations came as events. kinds: those of parts that have text.
    """

    __slots__ = ("blocks", "called", "cited", "ended", "kinds", "parts")

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, int], int] = {}
        self.parts: dict[tuple[str, int], list[str]] = {}
        self.cited: set[int] = set()
        self.kinds: set[str] = set()
        self.called = self.ended = False


class ResponsesAnswerReader:
    """`runtime.contract.codec.Decoder`."""

    def __init__(self) -> None:
        self._items: dict[Any, _Item] = {}
        self._places: dict[str, Any] = {}  # item id -> its key in `_items`
        self._next_block = 0
        self.closed = self._started = self._over = False

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._over or data == b"[DONE]":
            return ()
        try:
            event = _json.decode(data)
        except UNDECODABLE as error:
            return self._fail(Failed(garbled(f"an event of the stream is not valid: {error}", data)))
        if not isinstance(event, dict):
            return self._fail(Failed(garbled("an event of the stream is not an object", data)))
        kind = event.get("type")
        kind = kind if isinstance(kind, str) else name
        if kind in FAILURES or (not kind and event.get("error") is not None):
            return self._fail(Failed(failure_of(event, data)))
        events: list[Event] = []
        response = event.get("response")
        if not self._started and isinstance(response, dict):
            self._started = True
            events.append(Start(_string(response.get("id")), _string(response.get("model"))))
        if kind in ENDINGS:
            return self._end(response, data, events)
        return [*events, *self._read(kind, event)]

    def finish(self) -> Sequence[Event]:
        if self._over:
            return ()
        return self._fail(Failed(broken("the stream ended before the response was complete")))

    def _fail(self, failed: Failed) -> Sequence[Event]:
        self._over = True
        return (failed,)

    def _end(self, response: Any, data: bytes, events: list[Event]) -> Sequence[Event]:
        """Of the last event. events: those before it in the same piece."""
        finish = finish_of(response) if isinstance(response, dict) else None
        if not isinstance(response, dict) or finish is None or response.get("error") is not None:
            return self._fail(Failed(failure_of(response, data)))
        self.closed = self._over = True
        # Output items that appear only in this event. None if any item was streamed before, because servers change item ids.
        if not self._items:
            for place, item in enumerate(_objects(response.get("output"))):
                events += self._item_done({"output_index": place, "item": item})
        usage = usage_of(response)
        if usage is not None:
            events.append(UsageReport(usage))
        details = response.get("incomplete_details")
        raw = details.get("reason") if isinstance(details, dict) else response.get("status")
        if finish == "stop" and any(("arguments", 0) in item.blocks for item in self._items.values()):
            finish = "tool_calls"
        events.append(Stop(finish, _string(raw)))
        return events

    def _read(self, kind: str, event: Json) -> Iterator[Event]:
        """Events before the last one."""
        if kind in _DELTAS:
            text, item = event.get("delta"), self._item(event)
            if isinstance(text, str) and text:
                yield from self._more(item, _DELTAS[kind], _place(event), text)
        elif kind in _WHOLES:
            part, member = _WHOLES[kind]
            yield from self._rest(self._item(event), part, _place(event), event.get(member))
        elif kind == "response.output_item.added":
            item, given = self._item(event), event.get("item")
            if isinstance(given, dict) and given.get("type") == "function_call":
                yield from self._call(item, given)
        elif kind == "response.output_item.done":
            yield from self._item_done(event)
        elif kind == "response.output_text.annotation.added":
            item, note = self._item(event), event.get("annotation")
            if isinstance(note, dict):
                item.cited.add(_place(event))
                yield _citation(self._block(item, "text", _place(event)), note)

    # Items

    def _item(self, event: Json) -> _Item:
        """The item of an event: by its place, or by its id if a server leaves the place out."""
        place, item = event.get("output_index"), event.get("item")
        named = event.get("item_id") or (item.get("id") if isinstance(item, dict) else None)
        if isinstance(place, int):
            key: Any = place
            if isinstance(named, str):
                self._places.setdefault(named, place)
        else:
            key = self._places.get(named, named) if isinstance(named, str) else 0
        if key not in self._items:
            self._items[key] = _Item()
        return self._items[key]

    def _block(self, item: _Item, kind: str, place: int = 0) -> int:
        """The contract's index of a part, new if it has none."""
        if (kind, place) not in item.blocks:
            item.blocks[kind, place] = self._next_block
            self._next_block += 1
        return item.blocks[kind, place]

    def _call(self, item: _Item, given: Json) -> Iterator[Event]:
        if not item.called:
            item.called = True
            call_id = _string(given.get("call_id")) or _string(given.get("id")) or ""
            yield ToolCallStart(self._block(item, "arguments"), call_id, _string(given.get("name")) or "")
        yield from self._rest(item, "arguments", 0, given.get("arguments"))

    def _item_done(self, event: Json) -> Iterator[Event]:
        item, given = self._item(event), event.get("item")
        if item.ended or not isinstance(given, dict):
            return
        item.ended = True
        match given.get("type"):
            case "function_call":
                yield from self._call(item, given)
            case "custom_tool_call":
                text = msgspec.json.encode({INPUT: given.get("input")}).decode()
                yield from self._call(item, {**given, "arguments": text})
            case "message":
                for place, part in enumerate(_objects(given.get("content"))):
                    if part.get("type") == "refusal":
                        yield from self._rest(item, "refusal", place, part.get("refusal"))
                        continue
                    yield from self._rest(item, "text", place, part.get("text"))
                    if place not in item.cited:
                        for note in _objects(part.get("annotations")):
                            yield _citation(self._block(item, "text", place), note)
            case "reasoning":
                for place, part in enumerate(_objects(given.get("content"))):
                    yield from self._rest(item, "thought", place, part.get("text"))
                if "thought" not in item.kinds:  # a summary only if there is no reasoning in words
                    for place, part in enumerate(_objects(given.get("summary"))):
                        yield from self._rest(item, "summary", place, part.get("text"))
                content = _string(given.get("encrypted_content"))
                if content is not None:
                    signature = native_signature(_string(given.get("id")) or "", content)
                    yield ReasoningDelta(self._block(item, "reasoning"), "", signature)
            case "image_generation_call" if isinstance(given.get("result"), str):
                mime = f"image/{given.get('output_format') or 'png'}"
                yield MediaOut(self._block(item, "image"), mime, given["result"])
            case _:
                yield OpaqueBlock(self._block(item, "opaque"), Opaque(NAME, given))
        yield from map(BlockEnd, item.blocks.values())

    # Parts

    def _more(self, item: _Item, kind: str, place: int, text: str) -> Iterator[Event]:
        """One piece of a part. All reasoning of an item is one block, because it is encrypted as one."""
        if kind == "arguments" and not item.called:
            return
        emitted = item.parts.setdefault((kind, place), [])
        if kind in ("thought", "summary"):
            block = self._block(item, "reasoning")
            if not emitted and kind in item.kinds:
                yield ReasoningDelta(block, "\n\n")
            yield ReasoningDelta(block, text)
        elif kind == "refusal":
            yield RefusalDelta(text)
        elif kind == "arguments":
            yield ArgumentsDelta(self._block(item, kind, place), text)
        else:
            yield TextDelta(self._block(item, kind, place), text)
        emitted.append(text)
        item.kinds.add(kind)

    def _rest(self, item: _Item, kind: str, place: int, whole: Any) -> Iterator[Event]:
        """The end of a part's whole text that the pieces lacked; nothing if they were another text."""
        if not isinstance(whole, str):
            return
        emitted = "".join(item.parts.get((kind, place), ()))
        if len(whole) > len(emitted) and whole.startswith(emitted):
            yield from self._more(item, kind, place, whole[len(emitted) :])


def _citation(block: int, note: Json) -> Citation:
    start, end = (note[name] if isinstance(note.get(name), int) else None for name in ("start_index", "end_index"))
    url, title = _string(note.get("url")), _string(note.get("title")) or _string(note.get("filename"))
    return Citation(block, url, title, start, end, extra={NAME: dict(note)})


def _place(event: Json) -> int:
    """The place of a part in its item."""
    place = event.get("content_index", event.get("summary_index"))
    return place if isinstance(place, int) else 0


def _objects(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
