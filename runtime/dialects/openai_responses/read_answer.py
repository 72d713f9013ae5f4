"""Events of a responses stream as ours, whoever serves it: the wire's inventor, its imitators, the local engine.

Tolerates what servers are known to do: items and parts that are told only when they are done, or only in the last event;
items told out of order; missing names of events; reasoning in words, in summaries, or sealed. Never raises: what it cannot
read is a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from runtime.dialects.meter import broken, garbled
from runtime.dialects.openai_responses.meter import ENDINGS, FAILURES, told_failure
from runtime.dialects.openai_responses.read_request.tools import INPUT
from runtime.dialects.openai_responses.signatures import native_signature
from runtime.dialects.openai_responses.words import NAME, UNDECODABLE, finish_of, usage_of

Json = Mapping[str, Any]

_json = msgspec.json.Decoder()


class _Item:
    """An output item as far as it is known. told: what was given of each of its parts, by kind and place."""

    __slots__ = ("blocks", "ended", "sealed", "started", "told")

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, int], int] = {}
        self.told: dict[tuple[str, int], list[str]] = {}
        self.started = self.sealed = self.ended = False


class ResponsesAnswerReader:
    """`runtime.contract.codec.Decoder`."""

    def __init__(self) -> None:
        self._items: dict[Any, _Item] = {}
        self._by_id: dict[str, Any] = {}  # item id -> its key
        self._next = 0
        self._started = self._stopped = self._failed = False
        self._readers: dict[str, Callable[[Json], Iterator[Event]]] = {
            "response.output_item.added": self._added,
            "response.output_item.done": self._item_done,
            "response.output_text.delta": self._delta("text", TextDelta),
            "response.output_text.done": self._whole("text", "text", TextDelta),
            "response.reasoning_text.delta": self._delta("thought", ReasoningDelta),
            "response.reasoning_text.done": self._whole("thought", "text", ReasoningDelta),
            "response.reasoning_summary_text.delta": self._delta("summary", ReasoningDelta),
            "response.reasoning_summary_text.done": self._whole("summary", "text", ReasoningDelta),
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._arguments_done,
            "response.refusal.delta": self._refusal,
            "response.refusal.done": self._refusal_done,
            "response.output_text.annotation.added": self._annotation,
        }

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._failed or self._stopped or data == b"[DONE]":
            return ()
        try:
            event = _json.decode(data)
        except UNDECODABLE as error:
            return self._fail(Failed(garbled(f"an event of the stream is not one: {error}", data)))
        if not isinstance(event, dict):
            return self._fail(Failed(garbled("an event of the stream is not an object", data)))
        kind = event.get("type")
        kind = kind if isinstance(kind, str) else name
        if kind in FAILURES or (not kind and event.get("error") is not None):
            return self._fail(Failed(told_failure(event, data)))
        return self._read(kind, event, data)

    def finish(self) -> Sequence[Event]:
        if self._failed or self._stopped:
            return ()
        return self._fail(Failed(broken("the stream ended before the response was complete")))

    def _fail(self, failed: Failed) -> Sequence[Event]:
        self._failed = True
        return (failed,)

    def _read(self, kind: str, event: Json, data: bytes) -> Sequence[Event]:
        events = list(self._start(event.get("response")))
        if kind in ENDINGS:
            return self._end(event, data, events)
        read = self._readers.get(kind)
        if read is not None:
            events += read(event)
        return events

    def _start(self, response: Any) -> Iterator[Event]:
        if not self._started and isinstance(response, dict):
            self._started = True
            yield Start(_string(response.get("id")), _string(response.get("model")))

    def _end(self, event: Json, data: bytes, events: list[Event]) -> Sequence[Event]:
        response = event.get("response")
        finish = finish_of(response) if isinstance(response, dict) else None
        if not isinstance(response, dict) or finish is None or response.get("error") is not None:
            return self._fail(Failed(told_failure(response, data)))
        self._stopped = True
        events += self._owed(response.get("output"))
        usage = usage_of(response.get("usage"))
        if usage is not None:
            events.append(UsageReport(usage))
        details = response.get("incomplete_details")
        raw = details.get("reason") if isinstance(details, dict) else response.get("status")
        if finish == "stop" and any(("arguments", 0) in item.blocks for item in self._items.values()):
            finish = "tool_calls"
        events.append(Stop(finish, _string(raw)))
        return events

    def _owed(self, output: Any) -> Iterator[Event]:
        """Items that only the last event told of: of none, where any was told before, for servers rename them."""
        if self._items or not isinstance(output, list):
            return
        for place, item in enumerate(output):
            if isinstance(item, dict):
                yield from self._item_done({"output_index": place, "item": item})

    # items

    def _key(self, event: Json) -> Any:
        """Items are known by their place; by their id where a server leaves the place out."""
        place = event.get("output_index")
        item = event.get("item")
        named = event.get("item_id") or (item.get("id") if isinstance(item, dict) else None)
        if isinstance(place, int):
            if isinstance(named, str):
                self._by_id.setdefault(named, place)
            return place
        return self._by_id.get(named, named) if isinstance(named, str) else 0

    def _item(self, event: Json) -> _Item:
        key = self._key(event)
        if key not in self._items:
            self._items[key] = _Item()
        return self._items[key]

    def _block(self, item: _Item, kind: str, place: int) -> int:
        if (kind, place) not in item.blocks:
            item.blocks[kind, place] = self._next
            self._next += 1
        return item.blocks[kind, place]

    def _added(self, event: Json) -> Iterator[Event]:
        item, given = self._item(event), event.get("item")
        if isinstance(given, dict) and given.get("type") == "function_call":
            yield from self._called(item, given)

    def _called(self, item: _Item, given: Json) -> Iterator[Event]:
        if not item.started:
            item.started = True
            call_id = _string(given.get("call_id")) or _string(given.get("id")) or ""
            yield ToolCallStart(self._block(item, "arguments", 0), call_id, _string(given.get("name")) or "")
        yield from self._more(item, "arguments", 0, given.get("arguments"), ArgumentsDelta)

    def _item_done(self, event: Json) -> Iterator[Event]:
        item, given = self._item(event), event.get("item")
        if item.ended or not isinstance(given, dict):
            return
        item.ended = True
        match given.get("type"):
            case "function_call":
                yield from self._called(item, given)
            case "custom_tool_call":
                text = msgspec.json.encode({INPUT: given.get("input")}).decode()
                yield from self._called(item, {**given, "arguments": text})
            case "message":
                yield from self._message_done(item, given)
            case "reasoning":
                yield from self._reasoning_done(item, given)
            case "image_generation_call" if isinstance(given.get("result"), str):
                mime = f"image/{given.get('output_format') or 'png'}"
                yield MediaOut(self._block(item, "image", 0), mime, given["result"])
            case _:
                yield OpaqueBlock(self._block(item, "opaque", 0), Opaque(NAME, given))
        yield from map(BlockEnd, item.blocks.values())

    def _message_done(self, item: _Item, given: Json) -> Iterator[Event]:
        for place, part in enumerate(_tables(given.get("content"))):
            if part.get("type") == "refusal":
                yield from self._more_refusal(item, place, part.get("refusal"))
                continue
            yield from self._more(item, "text", place, part.get("text"), TextDelta)
            if ("notes", place) not in item.told:
                notes = _tables(part.get("annotations"))
                yield from (_citation(self._block(item, "text", place), note) for note in notes)

    def _reasoning_done(self, item: _Item, given: Json) -> Iterator[Event]:
        for place, part in enumerate(_tables(given.get("content"))):
            yield from self._more(item, "thought", place, part.get("text"), ReasoningDelta)
        if not any(kind == "thought" for kind, _ in item.blocks):
            for place, part in enumerate(_tables(given.get("summary"))):
                yield from self._more(item, "summary", place, part.get("text"), ReasoningDelta)
        content = _string(given.get("encrypted_content"))
        if content and not item.sealed:
            item.sealed = True
            sealed = native_signature(_string(given.get("id")) or "", content)
            yield ReasoningDelta(self._thinking(item), "", sealed)

    # parts

    def _delta(self, kind: str, made: Callable[[int, str], Event]) -> Callable[[Json], Iterator[Event]]:
        def read(event: Json) -> Iterator[Event]:
            text = event.get("delta")
            if isinstance(text, str) and text:
                yield from self._say(self._item(event), kind, _place(event), text, made)

        return read

    def _whole(self, kind: str, member: str, made: Callable[[int, str], Event]) -> Callable[[Json], Iterator[Event]]:
        def read(event: Json) -> Iterator[Event]:
            yield from self._more(self._item(event), kind, _place(event), event.get(member), made)

        return read

    def _say(self, item: _Item, kind: str, place: int, text: str, made: Callable[[int, str], Event]) -> Iterator[Event]:
        told = item.told.setdefault((kind, place), [])
        if kind in ("thought", "summary"):
            index = self._thinking(item)
            if not told and place and any(item.told.get((kind, before)) for before in range(place)):
                text_before = "\n\n"
                yield made(index, text_before)
        else:
            index = self._block(item, kind, place)
        told.append(text)
        yield made(index, text)

    def _thinking(self, item: _Item) -> int:
        """All of an item's thinking is one block: it is sealed as one."""
        return self._block(item, "thinking", 0)

    def _more(
        self, item: _Item, kind: str, place: int, whole: Any, made: Callable[[int, str], Event]
    ) -> Iterator[Event]:
        """What the whole has and the pieces had not."""
        if not isinstance(whole, str):
            return
        told = "".join(item.told.get((kind, place), ()))
        if len(whole) > len(told) and whole.startswith(told):
            yield from self._say(item, kind, place, whole[len(told) :], made)

    def _arguments(self, event: Json) -> Iterator[Event]:
        text, item = event.get("delta"), self._item(event)
        if isinstance(text, str) and text and item.started:
            yield from self._say(item, "arguments", 0, text, ArgumentsDelta)

    def _arguments_done(self, event: Json) -> Iterator[Event]:
        item = self._item(event)
        if item.started:
            yield from self._more(item, "arguments", 0, event.get("arguments"), ArgumentsDelta)

    def _refusal(self, event: Json) -> Iterator[Event]:
        text = event.get("delta")
        if isinstance(text, str) and text:
            self._item(event).told.setdefault(("refusal", _place(event)), []).append(text)
            yield RefusalDelta(text)

    def _refusal_done(self, event: Json) -> Iterator[Event]:
        yield from self._more_refusal(self._item(event), _place(event), event.get("refusal"))

    def _more_refusal(self, item: _Item, place: int, whole: Any) -> Iterator[Event]:
        told = item.told.setdefault(("refusal", place), [])
        known = "".join(told)
        if isinstance(whole, str) and len(whole) > len(known) and whole.startswith(known):
            told.append(whole[len(known) :])
            yield RefusalDelta(whole[len(known) :])

    def _annotation(self, event: Json) -> Iterator[Event]:
        item, note = self._item(event), event.get("annotation")
        if isinstance(note, dict):
            item.told.setdefault(("notes", _place(event)), [])
            yield _citation(self._block(item, "text", _place(event)), note)


def _citation(index: int, note: Json) -> Citation:
    start, end = (note[name] if isinstance(note.get(name), int) else None for name in ("start_index", "end_index"))
    url, title = _string(note.get("url")), _string(note.get("title")) or _string(note.get("filename"))
    return Citation(index, url, title, start, end, extra={NAME: dict(note)})


def _place(event: Json) -> int:
    """Of a part in its item."""
    place = event.get("content_index", event.get("summary_index"))
    return place if isinstance(place, int) else 0


def _tables(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
