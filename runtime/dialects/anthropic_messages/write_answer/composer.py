"""An answer's events as events of this wire, one open block at a time. Decides the order; knows no bytes.

Other wires interleave blocks and do not always end them. Here a block closes when another begins. Only a tool call with
incomplete arguments makes the others wait until it is complete, because a closed call cannot be continued.
"""

from __future__ import annotations

import re
from collections import deque
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

_REFUSAL = -1  # the block of a refusal's text: no other block has this index
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_STRUCTURE = re.compile(r'["\\{}\[\]]')

_HEADS: dict[str, WireEvent] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class _Arguments:
    """The JSON of a call's arguments as it grows. However small the pieces, it is scanned once and decoded once."""

    __slots__ = ("_depth", "_in_string", "_invalid", "_opened", "_pieces", "_scanned", "_skip")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._scanned = 0  # pieces
        self._depth = 0
        self._in_string = self._opened = self._invalid = False
        self._skip = 0  # characters of the next piece that a backslash has escaped

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    @property
    def complete(self) -> bool:
        """True if the object is whole. False for good if it is not valid, or no object."""
        for piece in self._pieces[self._scanned :]:
            self._scan(piece)
        self._scanned = len(self._pieces)
        if self._invalid or not self._opened or self._depth or self._in_string:
            return False
        try:
            msgspec.json.decode("".join(self._pieces))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self._invalid = True
        return not self._invalid

    def _scan(self, piece: str) -> None:
        """Counts open brackets and quotes."""
        at = self._skip
        while (found := _STRUCTURE.search(piece, at)) is not None:
            at = found.end()
            match found.group():
                case "\\":
                    at += 1
                case '"':
                    self._in_string = not self._in_string
                case "{" | "[" if not self._in_string:
                    self._depth += 1
                    self._opened = True
                case "}" | "]" if not self._in_string:
                    self._depth -= 1
                case _:
                    pass
        self._skip = max(0, at - len(piece))


@dataclass(slots=True)
class _Block:
    """index: its number in the contract's events. deltas: pending while another block is open."""

    index: int
    kind: _Kind
    head: WireEvent
    deltas: list[WireEvent] = field(default_factory=list)
    arguments: _Arguments = field(default_factory=_Arguments)
    signed: bool = False
    ended: bool = False

    @property
    def may_close(self) -> bool:
        return self.ended or self.kind != "tool_use" or self.arguments.complete


class Composer:
    """Fresh per answer. model: as the client named it. show: False hides the reasoning. new_id: a fresh token.

    expected: estimated tokens of the prompt, for `message_start` of providers that count at the end.
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
        self._refusal: list[str] = []
        self._called = False
        self._open: _Block | None = None
        self._waiting: deque[_Block] = deque()
        self._number = -1  # of the last block begun, on this wire

    def feed(self, event: Event) -> list[WireEvent]:
        match event:
            case TextDelta(index, text):
                return self._text(index, text)
            case ArgumentsDelta(index, text):
                return self._arguments(index, text) if text else []
            case ReasoningDelta():
                return self._reasoning(event)
            case ToolCallStart():
                return self._call(event)
            case BlockEnd(index):
                return self._end_of(index)
            case RefusalDelta(text):
                self._refusal.append(text)
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
        """The closing events. They are not written at the stop, because usage may come after it."""
        stop, refusal = self._stop or Stop("stop"), "".join(self._refusal)
        reason = stop_reason(stop, called=self._called, refused=bool(refusal))
        delta = {"stop_reason": reason, "stop_sequence": stop.stop_sequence, **(stop.extra.get(NAME) or {})}
        if refusal:
            delta.setdefault("stop_details", {"type": "refusal", "category": None, "explanation": refusal})
        return [
            *self._begin(),
            *self._close_all(),
            {"type": "message_delta", "delta": delta, "usage": usage_object(self._usage)},
            {"type": "message_stop"},
        ]

    def open_text(self, index: int) -> int | None:
        """This wire's number of the text block `index`, if it is open and a delta changes nothing but its text."""
        block = self._open
        return self._number if block is not None and block.index == index and block.kind == "text" else None

    # Blocks

    def _text(self, index: int, text: str) -> list[WireEvent]:
        return self._put(index, "text", [{"type": "text_delta", "text": text}]) if text else []

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
            # A block of its own before the call that it signs; no other block has such an index.
            out = self._whole(-2 - event.index, {"type": "redacted_thinking", "data": data})
        head = {"type": "tool_use", "id": call_id, "name": event.name, "input": {}}
        return out + self._add(_Block(event.index, "tool_use", head))

    def _arguments(self, index: int, text: str) -> list[WireEvent]:
        """A piece of a call's arguments; ignored if the call is closed."""
        delta = {"type": "input_json_delta", "partial_json": text}
        if self._open is not None and self._open.index == index and self._open.kind == "tool_use":
            out = [self._delta(self._open, delta)]
            return out + self._advance() if self._waiting else out
        waiting = self._pending(index, "tool_use")
        if waiting is not None:
            waiting.deltas.append(delta)
        return []

    def _citation(self, event: Citation) -> list[WireEvent]:
        """A citation, of a text without words if its own block is closed. One of another wire is marked foreign."""
        cited = event.extra.get(NAME)
        if not isinstance(cited, dict):
            if event.url is None:  # this wire has no form for it
                return []
            cited = {
                "type": "web_search_result_location",
                "url": event.url,
                "title": event.title,
                "cited_text": event.cited or "",
                "encrypted_index": signatures.foreign_signature(None),
            }
        index = event.index
        if self._open is not None and self._open.kind == "text" and self._pending(index, "text") is None:
            index = self._open.index
        return self._put(index, "text", [{"type": "citations_delta", "citation": cited}])

    def _whole(self, index: int, value: Any) -> list[WireEvent]:
        """A block without deltas."""
        block = _Block(index, "whole", value, ended=True)
        return self._add(block) + self._end_of(index)

    def _put(self, index: int, kind: Literal["text", "thinking"], deltas: list[WireEvent]) -> list[WireEvent]:
        """Deltas of a text or thinking block, which is begun if it is neither open nor pending."""
        block = self._open
        if block is not None and block.index == index and block.kind == kind:
            return [self._delta(block, delta) for delta in deltas]
        waiting = self._pending(index, kind)
        if waiting is not None:
            waiting.deltas += deltas
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
        if block.kind == "tool_use":
            block.arguments.add(delta["partial_json"])
        block.signed = block.signed or delta["type"] == "signature_delta"
        return {"type": "content_block_delta", "index": self._number, "delta": delta}

    def _end_of(self, index: int) -> list[WireEvent]:
        if self._open is not None and self._open.index == index:
            if self._open.kind == "text" and not self._waiting:
                # It closes when another begins: some wires name the sources of a text behind its end.
                self._open.ended = True
                return []
            return [*self._close(), *self._advance()]
        for block in self._waiting:
            block.ended = block.ended or block.index == index
        return []

    def _pending(self, index: int, kind: _Kind) -> _Block | None:
        return next((block for block in self._waiting if block.index == index and block.kind == kind), None)

    def _advance(self) -> list[WireEvent]:
        """Opens waiting blocks in order, as far as the open block allows."""
        out: list[WireEvent] = []
        while self._waiting and (self._open is None or self._open.may_close):
            out += self._close()
            out += self._begin_block(self._waiting.popleft())
        return out + self._close() if self._open is not None and self._open.ended else out

    def _close(self) -> list[WireEvent]:
        block, self._open = self._open, None
        if block is None:
            return []
        out: list[WireEvent] = []
        if block.kind == "thinking" and not block.signed:  # a client must give every thinking block a signature back
            unsigned = {"type": "signature_delta", "signature": signatures.foreign_signature(None)}
            out.append(self._delta(block, unsigned))
        return [*out, {"type": "content_block_stop", "index": self._number}]

    def _close_all(self) -> list[WireEvent]:
        out = self._close()
        while self._waiting:
            out += [*self._begin_block(self._waiting.popleft()), *self._close()]
        return out

    def _begin(self) -> list[WireEvent]:
        """`message_start`, once; as late as the first content, so that it holds the usage known by then."""
        if self._started:
            return []
        self._started = True
        given = _NOT_IN_AN_ID.sub("_", self._start.id or "")
        message: WireEvent = {
            "id": given if given.startswith("msg_") else f"msg_{given or self._new_id()}",
            "type": "message",
            "role": "assistant",
            "model": self._start.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(self._usage if self._usage.prompt else Usage(self._expected)),
        }
        return [{"type": "message_start", "message": message}]
