"""The event stream of an answer as events. Unknown events are passed over.

The vendor's shapes are not trusted: an event that is not as it should be ends the answer as `Failed`, never as an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from cloud.anthropic import faults, signatures
from cloud.anthropic.names import WIRE, tool_name
from runtime.contract.events import (
    ArgumentsDelta,
    BlockEnd,
    Citation,
    Event,
    Failed,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Stop,
    TextDelta,
    ToolCallStart,
    UsageReport,
)
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.messages import Opaque, Request
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.words import usage_of
from runtime.dialects.meter import finish_reason

_json = msgspec.json.Decoder()

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the vendor's own tools need another request: the answer is not complete
    "refusal": "content_filter",
}
_READ = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})  # other kinds of blocks are opaque
_MOST_ANSWER = 64 << 20  # bytes of all events of an answer
_REFUSED = "The model declined to answer."
_EXPLAINED = 4096  # bytes of a bad event that go into a failure
_Block = dict[str, Any]


class _Garbled(Exception):
    """The event is not what the wire says it is."""


class _Open:
    """A block that is not complete. at: characters of the answer's text before it. argued: a call's arguments were emitted.

    A block of a kind that is not read here grows as its deltas say, and is emitted whole.
    """

    __slots__ = ("argued", "at", "block", "cited", "input", "kind", "signature", "texts")

    def __init__(self, block: _Block, kind: str | None, at: int) -> None:
        self.block, self.kind, self.at = block, kind, at
        given = block.get("citations")
        self.cited = [_object(each) for each in given] if isinstance(given, list) else []
        self.signature: str | None = None
        self.argued = False
        self.input: list[str] = []  # pieces of the JSON text of a whole input
        self.texts: dict[str, list[str]] = {}  # pieces of members that grow

    def grow(self, delta: _Block) -> None:
        """Texts are appended, any other member is replaced."""
        for name, value in delta.items():
            before = self.block.get(name)
            if isinstance(before, str) and isinstance(value, str) and name != "type":
                self.texts.setdefault(name, [before]).append(value)
            elif name != "type":
                self.block[name] = value

    def whole(self) -> _Block:
        block = self.block | {name: "".join(pieces) for name, pieces in self.texts.items()}
        written = "".join(self.input)
        try:
            return block | {"input": _json.decode(written)} if written else block
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _Garbled(f"the input of a {self.kind} block is not JSON") from error


class ClaudeAnswerReader:
    """`runtime.contract.codec.Decoder`. `now` dates a Retry-After. most_answer: bytes of all events of an answer."""

    def __init__(self, request: Request, now: Callable[[], datetime], most_answer: int = _MOST_ANSWER) -> None:
        self._names = {tool_name(tool.name): tool.name for tool in request.tools}
        self._now = now
        self._left = most_answer
        self._model: str | None = None
        self._usage: dict[str, Any] = {}
        self._open: dict[int, _Open] = {}
        self._text = 0  # characters of the answer's text so far
        self._early: _Block | None = None  # a message whose start already holds its stop reason
        self.closed = self._begun = self._over = False
        self._stopped = self._ended = False  # nothing has come since a stop reason; there has been one

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._over:
            return ()
        self._left -= len(data)
        try:
            if self._left < 0:
                raise _Garbled("the answer is too long")
            event = _object(_json.decode(data))
            return self._read(_text(event, "type") or name, event)
        except (_Garbled, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._fail(_failure(Kind.GARBLED, f"not an event of this wire: {error}", data))

    def finish(self) -> Sequence[Event]:
        if self._ended or self._over:
            return ()
        return self._fail(_failure(Kind.BROKEN_STREAM, "the stream ended without a stop reason"))

    def _fail(self, failure: Failure) -> Sequence[Event]:
        self._over = True
        return (Failed(failure),)

    def _read(self, kind: str, event: _Block) -> Sequence[Event]:
        match kind:
            case "content_block_delta":
                return self._delta(event)
            case "content_block_start":
                return self._block_begin(event)
            case "content_block_stop":
                return self._block_end(event)
            case "message_start":
                return self._begin(event)
            case "message_delta":
                used, delta = self._used(event.get("usage")), _object(event.get("delta"))
                stops = not self._stopped and finish_reason(delta.get("stop_reason"))
                return (*used, *self._stop(delta)) if stops else used
            case "message_stop":
                out = self._stop(self._early) if self._early is not None and not self._ended else ()
                self.closed, self._over = True, self._ended
                return out
            case "error":
                return self._fail(faults.classify(200, {}, msgspec.json.encode(event), self._now))
            case _:
                return ()

    def _begin(self, event: _Block) -> Sequence[Event]:
        """The start of the message. Content in it (of a program that called tools) is whole, and may be the whole answer."""
        if self._begun:
            raise _Garbled("a second answer began inside the first")
        message = _object(event.get("message"))
        self._model = _text(message, "model")
        out = [Start(_text(message, "id"), self._model), *self._used(message.get("usage"))]
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            made = {"index": index, "content_block": block}
            out += (*self._block_begin(made), *self._block_end(made))
        self._early = message if message.get("stop_reason") else None
        return out

    def _used(self, usage: Any) -> Sequence[Event]:
        """The usage so far. Counts are cumulative: one that is not repeated stays."""
        if not isinstance(usage, dict):
            return ()
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        return (UsageReport(usage_of(self._usage) or Usage(), {WIRE: dict(self._usage)}),)

    def _block_begin(self, event: _Block) -> Sequence[Event]:
        index, block = _index(event), _object(event.get("content_block"))
        self._begun, self._stopped = True, False
        self._open[index] = _Open(block, _text(block, "type"), self._text)
        match block.get("type"):
            case "text":
                return self._written(index, _text(block, "text") or "")
            case "thinking":
                # Emitted even when empty: the model is at work, though its thinking may not be shown yet.
                return (ReasoningDelta(index, _text(block, "thinking") or ""),)
            case "redacted_thinking":
                return (ReasoningDelta(index, redacted=signatures.marked(_text(block, "data") or "", self._model)),)
            case "tool_use":
                name = _text(block, "name") or ""
                return (ToolCallStart(index, _text(block, "id") or "", self._names.get(name, name)),)
            case _:
                return ()

    def _written(self, index: int, text: str) -> Sequence[Event]:
        self._text += len(text)
        return (TextDelta(index, text),) if text else ()

    def _delta(self, event: _Block) -> Sequence[Event]:
        index, delta = _index(event), _object(event.get("delta"))
        open_ = self._open.get(index)
        if open_ is None:
            raise _Garbled(f"a delta for the block {index}, which is not open")
        match delta.get("type"), open_.kind:
            case "text_delta", "text":
                return self._written(index, _text(delta, "text") or "")
            case "thinking_delta", "thinking":
                return (ReasoningDelta(index, _text(delta, "thinking") or ""),)
            case "signature_delta", "thinking":
                open_.signature = _text(delta, "signature")
            case "citations_delta", "text":
                open_.cited.append(_object(delta.get("citation")))
            case "input_json_delta", "tool_use":
                text = _text(delta, "partial_json") or ""
                open_.argued = open_.argued or bool(text)
                return (ArgumentsDelta(index, text),) if text else ()
            case "input_json_delta", _:
                open_.input.append(_text(delta, "partial_json") or "")
            case _, kind if kind not in _READ:
                open_.grow(delta)
        return ()

    def _block_end(self, event: _Block) -> Sequence[Event]:
        """The events of a block that are known only once it is complete, and its end."""
        index = _index(event)
        open_ = self._open.pop(index, None)
        if open_ is None:
            return ()
        end = BlockEnd(index)
        match open_.kind:
            case "text":
                # A citation is of the whole block, which is its place in the answer's text.
                citations = [
                    Citation(
                        index,
                        url=_text(cited, "url") or _text(cited, "source"),
                        title=_text(cited, "title") or _text(cited, "document_title"),
                        start=open_.at,
                        end=self._text,
                        cited=_text(cited, "cited_text"),
                        extra={WIRE: cited},
                    )
                    for cited in open_.cited
                ]
                return (*citations, end)
            case "thinking":
                signature = open_.signature or _text(open_.block, "signature")
                marked = signatures.marked(signature, self._model) if signature else None
                return (ReasoningDelta(index, signature=marked), end) if marked else (end,)
            case "tool_use" if not open_.argued:
                # A call without arguments has no deltas; some servers send all of them at its start.
                return (ArgumentsDelta(index, msgspec.json.encode(open_.block.get("input") or {}).decode()), end)
            case kind if kind not in _READ:
                return (OpaqueBlock(index, Opaque(WIRE, open_.whole())), end)
            case _:
                return (end,)

    def _stop(self, holder: _Block) -> Sequence[Event]:
        """The end of the answer. holder: the object with the stop reason and its details."""
        self._stopped = self._ended = True
        raw = _text(holder, "stop_reason") or ""
        kept = {name: holder[name] for name in ("stop_details", "container") if holder.get(name) is not None}
        stop = Stop(_FINISH.get(raw, "stop"), raw, _text(holder, "stop_sequence"), {WIRE: kept} if kept else {})
        if raw != "refusal":
            return (stop,)
        details = kept.get("stop_details")
        explanation, category = (
            (details.get("explanation"), details.get("category")) if isinstance(details, dict) else ("", "")
        )
        words = f"{_REFUSED} ({category})" if isinstance(category, str) and category else _REFUSED
        return (RefusalDelta(explanation if isinstance(explanation, str) and explanation else words), stop)


def _failure(kind: Kind, message: str, body: bytes = b"") -> Failure:
    return Failure(kind, Disposition.NEXT_CANDIDATE, message, body=body[:_EXPLAINED])


def _object(value: Any) -> _Block:
    if not isinstance(value, dict):
        raise _Garbled("an object is missing")
    return value


def _text(value: _Block, name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise _Garbled(f"{name!r} is not text")
    return text


def _index(event: _Block) -> int:
    index = event.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise _Garbled("a block without its index")
    return index
