"""An answer's events as this wire's events, one open block at a time. Knows the order, not the bytes.

Blocks of other wires may be interleaved, and their ends are not always told. Here a block closes when another begins; only
a tool call whose arguments are not complete holds the others back until it is, because a closed call cannot be gone on with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
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
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages import signatures
from runtime.dialects.anthropic_messages.words import NAME, stop_reason, usage_object

WireEvent = dict[str, Any]
_Kind = Literal["text", "thinking", "tool_use", "whole"]

_REFUSAL = -1  # the block of a refusal's words: no other has this index
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(slots=True)
class _Block:
    """index: the events' number for it. deltas: what waits while another block is open."""

    index: int
    kind: _Kind
    head: WireEvent
    deltas: list[WireEvent] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    signed: bool = False
    ended: bool = False

    def takes(self, delta: WireEvent) -> None:
        self.arguments += [delta["partial_json"]] if self.kind == "tool_use" else []
        self.signed = self.signed or delta["type"] == "signature_delta"

    @property
    def may_close(self) -> bool:
        return self.ended or self.kind != "tool_use" or _is_json("".join(self.arguments))

    def last(self) -> list[WireEvent]:
        """What is owed before the block closes: nobody signed this thinking, and the mark says so."""
        unsigned = self.kind == "thinking" and not self.signed
        return [{"type": "signature_delta", "signature": signatures.foreign_signature(None)}] if unsigned else []


class Composer:
    """Fresh per answer. model: as the client asked for it. show: whether thinking may be seen. new_id: a fresh token.

    expected: tokens of the prompt, estimated: what the answer begins with where the provider counts only at its end.
    """

    def __init__(self, model: str, new_id: Callable[[], str], *, show: bool = True, expected: int = 0) -> None:
        self._expected = expected
        self._model = model
        self._new_id = new_id
        self._show = show
        self._start = Start()
        self._started = False
        self._usage = Usage()
        self._stop: Stop | None = None
        self._refusal = ""
        self._called = False
        self._open: _Block | None = None
        self._waiting: list[_Block] = []
        self._number = -1  # of the last block begun, on this wire

    def feed(self, event: Event) -> list[WireEvent]:
        match event:
            case TextDelta(index, text):
                return self._text(index, text)
            case ArgumentsDelta(index, text):
                return self._arguments(index, text)
            case ReasoningDelta():
                return self._reasoning(event)
            case ToolCallStart():
                return self._call(event)
            case BlockEnd(index):
                return self._end_of(index)
            case RefusalDelta(text):
                self._refusal += text
                return self._text(_REFUSAL, text)
            case MediaOut(index, mime, data):
                return self._text(index, f"![{mime}](data:{mime};base64,{data})")
            case Citation():
                return self._citation(event)
            case OpaqueBlock(index, block):
                return self._whole(index, block.value) if block.wire == NAME else []
            case Stop():
                self._stop = event
                return self._close_all()
            case Start():
                self._start = event
            case UsageReport(usage):
                self._usage = usage
        return []

    def end(self) -> list[WireEvent]:
        """The closing events; usage may have come after the stop."""
        stop = self._stop or Stop("stop")
        own = stop.extra.get(NAME) or {}
        delta = {"stop_reason": self._reason(stop), "stop_sequence": stop.stop_sequence, **own}
        if self._refusal:
            delta.setdefault("stop_details", {"type": "refusal", "category": None, "explanation": self._refusal})
        return [
            *self._begin(),
            *self._close_all(),
            {"type": "message_delta", "delta": delta, "usage": usage_object(self._usage)},
            {"type": "message_stop"},
        ]

    def _reason(self, stop: Stop) -> str:
        return stop_reason(stop, called=self._called, refused=bool(self._refusal))

    def open_text(self, index: int) -> int | None:
        """This wire's number of the text block `index`, where it is the open one and a delta changes nothing but the text."""
        block = self._open
        return self._number if block is not None and block.index == index and block.kind == "text" else None

    # Blocks

    def _text(self, index: int, text: str) -> list[WireEvent]:
        if not text:
            return []
        return self._put(index, "text", [{"type": "text_delta", "text": text}])

    def _reasoning(self, event: ReasoningDelta) -> list[WireEvent]:
        if event.redacted is not None:
            return self._whole(
                event.index, {"type": "redacted_thinking", "data": signatures.redacted_data(event.redacted)}
            )
        deltas: list[WireEvent] = []
        if event.text and self._show:
            deltas.append({"type": "thinking_delta", "thinking": event.text})
        if event.signature is not None:
            deltas.append({"type": "signature_delta", "signature": signatures.foreign_signature(event.signature)})
        return self._put(event.index, "thinking", deltas) if deltas or event.text else []

    def _call(self, event: ToolCallStart) -> list[WireEvent]:
        self._called = True
        call_id = _NOT_IN_AN_ID.sub("_", event.id) or f"toolu_{self._new_id()}"
        out: list[WireEvent] = []
        if event.signature is not None:
            data = signatures.call_data(signatures.CallSignature(call_id, self._start.model or "", event.signature))
            # Numbered apart from all others, before the call it signs.
            out = self._whole(-2 - event.index, {"type": "redacted_thinking", "data": data})
        head = {"type": "tool_use", "id": call_id, "name": event.name, "input": {}}
        return out + self._add(_Block(event.index, "tool_use", head))

    def _arguments(self, index: int, text: str) -> list[WireEvent]:
        """A piece of a call's arguments; what comes after they were complete is nothing."""
        delta = {"type": "input_json_delta", "partial_json": text}
        if not text:
            return []
        if self._open is not None and self._open.index == index and self._open.kind == "tool_use":
            out = [self._delta(self._open, delta)]
            return out + self._advance() if self._waiting else out
        waits = self._waits(index, "tool_use")
        if waits is not None:
            waits.deltas.append(delta)
        return []

    def _citation(self, event: Citation) -> list[WireEvent]:
        """A source of the text that is open, or waits; text that is closed has had its sources."""
        cited = _cited(event)
        block = self._open if self._open is not None and self._open.index == event.index else None
        open_text = block is not None and block.kind == "text"
        if cited is None or not (open_text or self._waits(event.index, "text")):
            return []
        return self._put(event.index, "text", [{"type": "citations_delta", "citation": cited}])

    def _whole(self, index: int, value: Any) -> list[WireEvent]:
        block = _Block(index, "whole", value, ended=True)
        return self._add(block) + self._end_of(index)

    def _put(self, index: int, kind: Literal["text", "thinking"], deltas: list[WireEvent]) -> list[WireEvent]:
        """Deltas of a text or thinking block, which is begun where it is neither open nor waits."""
        block = self._open
        if block is not None and block.index == index and block.kind == kind:
            return [self._delta(block, delta) for delta in deltas]
        waits = self._waits(index, kind)
        if waits is not None:
            waits.deltas += deltas
            return []
        return self._add(_Block(index, kind, dict(_HEADS[kind]), deltas))

    # One open block at a time

    def _add(self, block: _Block) -> list[WireEvent]:
        if self._open is not None and not self._open.may_close:
            self._waiting.append(block)
            return []
        return [*self._close(), *self._begin_block(block)]

    def _begin_block(self, block: _Block) -> list[WireEvent]:
        self._open = block
        self._number += 1
        begun = {"type": "content_block_start", "index": self._number, "content_block": block.head}
        deltas, block.deltas = block.deltas, []
        return [*self._begin(), begun, *(self._delta(block, delta) for delta in deltas)]

    def _delta(self, block: _Block, delta: WireEvent) -> WireEvent:
        block.takes(delta)
        return {"type": "content_block_delta", "index": self._number, "delta": delta}

    def _end_of(self, index: int) -> list[WireEvent]:
        if self._open is not None and self._open.index == index:
            return [*self._close(), *self._advance()]
        for block in self._waiting:
            block.ended = block.ended or block.index == index
        return []

    def _waits(self, index: int, kind: _Kind) -> _Block | None:
        return next((block for block in self._waiting if block.index == index and block.kind == kind), None)

    def _advance(self) -> list[WireEvent]:
        """Opens what waits, in order, as far as the open block allows."""
        out: list[WireEvent] = []
        while self._waiting and (self._open is None or self._open.may_close):
            out += self._close()
            out += self._begin_block(self._waiting.pop(0))
        return out + self._close() if self._open is not None and self._open.ended else out

    def _close(self) -> list[WireEvent]:
        block, self._open = self._open, None
        if block is None:
            return []
        last = [self._delta(block, delta) for delta in block.last()]
        return [*last, {"type": "content_block_stop", "index": self._number}]

    def _close_all(self) -> list[WireEvent]:
        out = self._close()
        while self._waiting:
            out += [*self._begin_block(self._waiting.pop(0)), *self._close()]
        return out

    def _begin(self) -> list[WireEvent]:
        """`message_start`, once: as late as the first content, so that it can carry the usage known by then."""
        if self._started:
            return []
        self._started = True
        message: WireEvent = {
            "id": _message_id(self._start.id) or f"msg_{self._new_id()}",
            "type": "message",
            "role": "assistant",
            "model": self._start.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(self._usage if self._usage.prompt else Usage(self._expected)),
        }
        return [{"type": "message_start", "message": message}]


_HEADS: dict[str, WireEvent] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


def _message_id(given: str | None) -> str | None:
    if not given:
        return None
    return given if given.startswith("msg_") else f"msg_{_NOT_IN_AN_ID.sub('_', given)}"


def _cited(event: Citation) -> WireEvent | None:
    """A source as this wire writes one; None where it has no form for it. One of another wire is marked."""
    own = event.extra.get(NAME)
    if isinstance(own, dict):
        return own
    if event.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "url": event.url,
        "title": event.title,
        "cited_text": event.cited or "",
        "encrypted_index": signatures.foreign_signature(None),
    }


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
