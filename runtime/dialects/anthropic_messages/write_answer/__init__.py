"""Writes a translated answer in this wire: as server-sent events, or folded from the same events into one message."""

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
_encoder = msgspec.json.Encoder()
_whole = msgspec.json.Decoder(dict[str, Any])
_object: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class MessagesStreamWriter:
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
    """What a client of the stream would have put together, so that both forms say the same."""

    __slots__ = ("_composer", "_fold")

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._fold = _Fold()

    def feed(self, event: Event) -> bytes:
        self._fold.take(self._composer.feed(event))
        return b""

    def end(self) -> bytes:
        self._fold.take(self._composer.end())
        return _encoder.encode(self._fold.message)


class _Fold:
    """Wire events -> one message."""

    __slots__ = ("_block", "_pieces", "message")

    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        self._block: dict[str, Any] = {}
        self._pieces: list[str] = []

    def take(self, events: list[WireEvent]) -> None:
        for event in events:
            match event["type"]:
                case "message_start":
                    self.message = event["message"]
                case "content_block_start":
                    self._block, self._pieces = dict(event["content_block"]), []
                    self.message["content"].append(self._block)
                case "content_block_delta":
                    self._delta(event["delta"])
                case "content_block_stop":
                    self._close()
                case "message_delta":
                    self.message |= event["delta"]
                    self.message["usage"] = event["usage"]

    def _delta(self, delta: WireEvent) -> None:
        match delta["type"]:
            case "text_delta":
                self._pieces.append(delta["text"])
            case "thinking_delta":
                self._pieces.append(delta["thinking"])
            case "input_json_delta":
                self._pieces.append(delta["partial_json"])
            case "signature_delta":
                self._block["signature"] = delta["signature"]
            case "citations_delta":
                self._block["citations"] = [*self._block.get("citations", ()), delta["citation"]]

    def _close(self) -> None:
        said = "".join(self._pieces)
        match self._block["type"]:
            case "text" | "thinking" as kind if self._pieces:
                self._block[kind] = said
            case "tool_use" if self._pieces:
                self._block["input"] = _input(said)


def _input(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object this wire has for them: of a call cut by the token limit, what is there.

    What is no object is shown as it is under the name that this wire's own documents give it.
    """
    try:
        return _whole.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    try:
        return _object.validate_json(arguments, strict=True, experimental_allow_partial=True)
    except ValidationError:
        return {"INVALID_JSON": arguments}
