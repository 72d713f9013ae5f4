"""Events of the contract as an answer of the messages wire: server-sent events, or the same events folded into one message."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from runtime.contract.events import Event, TextDelta
from runtime.dialects.anthropic_messages.write_answer.composer import Composer, WireEvent
from runtime.wire import sse

_TEXT_HEAD = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
)
_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_encoder = msgspec.json.Encoder()
_whole = msgspec.json.Decoder(dict[str, Any])
_object: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class MessagesStreamWriter:
    """`runtime.dialects.translating.Writer` of a stream."""

    __slots__ = ("_composer",)

    def __init__(self, composer: Composer) -> None:
        self._composer = composer

    def feed(self, event: Event) -> bytes:
        if type(event) is TextDelta and event.text:  # nearly every event is one; written without building it
            number = self._composer.open_text(event.index)
            if number is not None:
                return b"".join((_TEXT_HEAD % number, _encoder.encode(event.text), b"}}\n\n"))
        events = self._composer.feed(event)
        return _written(events[0]) if len(events) == 1 else b"".join(map(_written, events))

    def end(self) -> bytes:
        return b"".join(map(_written, self._composer.end()))


def _written(event: WireEvent) -> bytes:
    return sse.encode(_encoder.encode(event), event["type"].encode())


class MessagesWholeWriter:
    """`runtime.dialects.translating.Writer` of a whole message: the fold of the stream, so that both say the same."""

    __slots__ = ("_block", "_composer", "_message", "_pieces")

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._message: dict[str, Any] = {}
        self._block: dict[str, Any] = {}  # the open one
        self._pieces: list[str] = []  # of its text, thinking or arguments

    def feed(self, event: Event) -> bytes:
        for each in self._composer.feed(event):
            self._fold(each)
        return b""

    def end(self) -> bytes:
        for each in self._composer.end():
            self._fold(each)
        return _encoder.encode(self._message)

    def _fold(self, event: WireEvent) -> None:
        match event:
            case {"type": "message_start", "message": message}:
                self._message = message
            case {"type": "content_block_start", "content_block": head}:
                self._block, self._pieces = dict(head), []
                self._message["content"].append(self._block)
            case {"type": "content_block_delta", "delta": {"citation": citation}}:
                self._block.setdefault("citations", []).append(citation)
            case {"type": "content_block_delta", "delta": {"signature": signature}}:
                self._block["signature"] = signature
            case {"type": "content_block_delta", "delta": delta}:
                self._pieces.append(delta[_PIECES[delta["type"]]])
            case {"type": "content_block_stop"} if self._pieces:
                kind, whole = self._block["type"], "".join(self._pieces)
                if kind == "tool_use":
                    self._block["input"] = _input(whole)
                else:
                    self._block[kind] = whole
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                self._message |= {**delta, "usage": usage}


def _input(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object this wire has for them; of a truncated call, as much as there is.

    Arguments that are no object stand under the name that this wire's documentation gives them.
    """
    try:
        return _whole.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    try:
        return _object.validate_json(arguments, strict=True, experimental_allow_partial=True)
    except ValidationError:
        return {"INVALID_JSON": arguments}
