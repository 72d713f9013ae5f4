"""The event stream of an answer as events. Events have their readers in a table; unknown ones are passed over.

Reads the vendor's shapes without trusting them: what is not as it should be ends the answer as `Failed`, never as an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

_json = msgspec.json.Decoder()

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the vendor's own tools want another request: the answer is not at its end
    "refusal": "content_filter",
}
_READ = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})  # all others are opaque
_REFUSED = "The model declined to answer."
_Block = dict[str, Any]


class _Garbled(Exception):
    """The event is not what the wire says it is."""


class _Open:
    """A block that is not complete. at: characters of the answer's text before it."""

    __slots__ = ("argued", "at", "block", "cited", "kind", "partial", "signature")

    def __init__(self, block: _Block, kind: str | None, at: int) -> None:
        self.block, self.kind, self.at = block, kind, at
        given = block.get("citations")
        self.cited = [_object(each) for each in given] if isinstance(given, list) else []
        self.signature: str | None = None
        self.argued = False  # arguments of a call have been told
        self.partial = ""  # of the JSON text of an input that is told whole

    def grow(self, delta: _Block) -> None:
        """A block of a kind we do not read grows as its deltas say: texts are appended, all else is put."""
        for name, value in delta.items():
            if name == "type":
                continue
            before = self.block.get(name)
            self.block[name] = before + value if isinstance(before, str) and isinstance(value, str) else value

    def whole(self) -> _Block:
        if not self.partial:
            return self.block
        try:
            return self.block | {"input": _json.decode(self.partial)}
        except (msgspec.DecodeError, UnicodeError) as error:
            raise _Garbled(f"the input of a {self.kind} block is not JSON") from error


class ClaudeAnswerReader:
    """`runtime.contract.codec.Decoder`. `now` dates a Retry-After."""

    def __init__(self, request: Request, now: Callable[[], datetime]) -> None:
        self._names = {tool_name(tool.name): tool.name for tool in request.tools}
        self._now = now
        self._model: str | None = None
        self._usage: dict[str, Any] = {}
        self._open: dict[int, _Open] = {}
        self._text = 0  # characters of the answer's text so far
        self._early: _Block | None = None  # the message that said at its start why it stopped
        self._begun = self._stopped = self._over = False

    def feed(self, name: str, data: bytes) -> Sequence[Event]:
        if self._over:
            return ()
        try:
            event = _json.decode(data)
            read = _EVENTS.get(_text(_object(event), "type") or name)
            return read(self, event) if read else ()
        except (_Garbled, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._fail(_failure(Kind.GARBLED, f"not an event of this wire: {error}", data))

    def finish(self) -> Sequence[Event]:
        if self._stopped or self._over:
            return ()
        return self._fail(_failure(Kind.BROKEN_STREAM, "the stream ended without a stop reason"))

    def _fail(self, failure: Failure) -> Sequence[Event]:
        self._over = True
        return (Failed(failure),)

    def _begin(self, event: _Block) -> Sequence[Event]:
        """Usually without content; what was made before (a program called tools) is whole and may be all there is."""
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

    def _end(self, event: _Block) -> Sequence[Event]:
        out = self._stop(self._early) if self._early is not None and not self._stopped else ()
        self._over = self._stopped
        return out

    def _used(self, usage: Any) -> Sequence[Event]:
        """Counts are cumulative; what is not said again stays."""
        if not isinstance(usage, dict):
            return ()
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        return (UsageReport(usage_of(self._usage) or Usage(), {WIRE: dict(self._usage)}),)

    def _block_begin(self, event: _Block) -> Sequence[Event]:
        index, block = _index(event), _object(event.get("content_block"))
        self._begun = True
        self._open[index] = _Open(block, _text(block, "type"), self._text)
        match block.get("type"):
            case "text":
                return self._said(index, _text(block, "text") or "")
            case "thinking":
                # The model is at work, though nothing of it may be shown yet.
                return (ReasoningDelta(index, _text(block, "thinking") or ""),)
            case "redacted_thinking":
                return (ReasoningDelta(index, redacted=signatures.marked(_text(block, "data") or "", self._model)),)
            case "tool_use":
                name = _text(block, "name") or ""
                return (ToolCallStart(index, _text(block, "id") or "", self._names.get(name, name)),)
            case _:
                return ()

    def _said(self, index: int, text: str) -> Sequence[Event]:
        self._text += len(text)
        return (TextDelta(index, text),) if text else ()

    def _delta(self, event: _Block) -> Sequence[Event]:
        index, delta = _index(event), _object(event.get("delta"))
        open_ = self._open.get(index)
        if open_ is None:
            raise _Garbled(f"a delta for the block {index}, which is not open")
        match delta.get("type"), open_.kind:
            case "text_delta", "text":
                return self._said(index, _text(delta, "text") or "")
            case "thinking_delta", "thinking":
                return (ReasoningDelta(index, _text(delta, "thinking") or ""),)
            case "signature_delta", "thinking":
                open_.signature = _text(delta, "signature")
            case "citations_delta", "text":
                open_.cited.append(_object(delta.get("citation")))
            case "input_json_delta", "tool_use":
                return self._arguments(index, open_, _text(delta, "partial_json") or "")
            case "input_json_delta", _:
                open_.partial += _text(delta, "partial_json") or ""
            case _, kind if kind not in _READ:
                open_.grow(delta)
        return ()

    def _arguments(self, index: int, open_: _Open, text: str) -> Sequence[Event]:
        open_.argued = open_.argued or bool(text)
        return (ArgumentsDelta(index, text),) if text else ()

    def _block_end(self, event: _Block) -> Sequence[Event]:
        index = _index(event)
        open_ = self._open.pop(index, None)
        return () if open_ is None else (*self._owed(index, open_), BlockEnd(index))

    def _owed(self, index: int, open_: _Open) -> Sequence[Event]:
        """What is told of a block only once it is complete."""
        match open_.kind:
            case "text":
                return tuple(self._citation(index, open_, cited) for cited in open_.cited)
            case "thinking":
                signature = open_.signature or _text(open_.block, "signature")
                return (
                    (ReasoningDelta(index, signature=signatures.marked(signature, self._model)),) if signature else ()
                )
            case "tool_use" if not open_.argued:
                # A call without arguments has no deltas; some servers give all of them at its start.
                return (ArgumentsDelta(index, msgspec.json.encode(open_.block.get("input") or {}).decode()),)
            case kind if kind not in _READ:
                return (OpaqueBlock(index, Opaque(WIRE, open_.whole())),)
            case _:
                return ()

    def _citation(self, index: int, open_: _Open, citation: _Block) -> Citation:
        """What is cited in a text block is the block: its place in the answer's text is the citation's."""
        return Citation(
            index,
            url=_text(citation, "url") or _text(citation, "source"),
            title=_text(citation, "title") or _text(citation, "document_title"),
            start=open_.at,
            end=self._text,
            cited=_text(citation, "cited_text"),
            extra={WIRE: citation},
        )

    def _message_delta(self, event: _Block) -> Sequence[Event]:
        used, delta = self._used(event.get("usage")), _object(event.get("delta"))
        if self._stopped or delta.get("stop_reason") is None:
            return used
        return (*used, *self._stop(delta))

    def _stop(self, said: _Block) -> Sequence[Event]:
        self._stopped = True
        raw, details = _text(said, "stop_reason") or "", said.get("stop_details")
        kept = {name: said[name] for name in ("stop_details", "container") if said.get(name) is not None}
        refusal = (RefusalDelta(_refusal(details)),) if raw == "refusal" else ()
        extra = {WIRE: kept} if kept else {}
        return (*refusal, Stop(_FINISH.get(raw, "stop"), raw, _text(said, "stop_sequence"), extra))

    def _error(self, event: _Block) -> Sequence[Event]:
        return self._fail(faults.classify(200, {}, msgspec.json.encode(event), self._now))


_EVENTS: Mapping[str, Callable[[ClaudeAnswerReader, _Block], Sequence[Event]]] = {
    "message_start": ClaudeAnswerReader._begin,
    "content_block_start": ClaudeAnswerReader._block_begin,
    "content_block_delta": ClaudeAnswerReader._delta,
    "content_block_stop": ClaudeAnswerReader._block_end,
    "message_delta": ClaudeAnswerReader._message_delta,
    "message_stop": ClaudeAnswerReader._end,
    "error": ClaudeAnswerReader._error,
}


def _failure(kind: Kind, message: str, body: bytes = b"") -> Failure:
    return Failure(kind, Disposition.NEXT_CANDIDATE, message, body=body[:4096])


def _refusal(details: Any) -> str:
    said = details if isinstance(details, dict) else {}
    explanation, category = said.get("explanation"), said.get("category")
    if isinstance(explanation, str) and explanation:
        return explanation
    return f"{_REFUSED} ({category})" if isinstance(category, str) and category else _REFUSED


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


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
