"""One body of the chunks of a stream, on the chat wire and on the completions wire."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from runtime.dialects.growing import Pieces, Table, grow, grown
from runtime.wire.chunk_template import ChunkTemplate

_STREAMED = frozenset({"obfuscation"})  # members that pad the chunks of a stream
_PLAIN = frozenset({"role", "content"})
_json = msgspec.json.Decoder()


class ChatFold:
    """`runtime.dialects.folded.Fold`."""

    def __init__(self) -> None:
        self._members: Table = {}
        self._choices: dict[int, Table] = {}
        self._calls = defaultdict[int, _Calls](_Calls)  # of each choice
        self._template: ChunkTemplate | None = None
        self._text = Pieces()  # the text that a chunk of the template continues

    def take(self, name: bytes, data: bytes) -> None:
        """See `Fold.take`."""
        if self._template is not None and (text := self._template.text(data)) is not None:
            self._text.append(text)
            return
        self._template = None
        chunk = _json.decode(data) if data != b"[DONE]" else None
        if not isinstance(chunk, dict):
            return
        choices = chunk.get("choices")
        for member, value in chunk.items():
            if member == "choices":
                self._members.setdefault(member, None)  # its place
            elif member not in _STREAMED:
                _renew(self._members, member, value)
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._choice(choice)
        if isinstance(choices, list) and len(choices) == 1 and not chunk.get("usage"):
            self._template = self._plain(choices[0], data)

    def whole(self) -> bytes:
        """See `Fold.whole`."""
        body = self._members
        if isinstance(kind := body.get("object"), str):
            body["object"] = kind.removesuffix(".chunk")
        for member in [name for name, value in body.items() if name.startswith("x_") and isinstance(value, dict)]:
            # Some vendors put the usage of a stream into a member of their own (`x_…`).
            if (usage := body[member].pop("usage", None)) and not body.get("usage"):
                body["usage"] = usage
        body["choices"] = [self._choices[index] for index in sorted(self._choices)]
        for choice in body["choices"]:
            if "text" not in choice:
                message = choice.setdefault("message", {})
                message.setdefault("role", "assistant")
                for call in message.get("tool_calls") or ():
                    call.pop("index", None)
            choice.setdefault("finish_reason", None)
        return msgspec.json.encode(grown(body))

    def _choice(self, given: Table) -> None:
        index = given.get("index")
        index = index if isinstance(index, int) else 0
        choice = self._choices.setdefault(index, {"index": index})
        for member, value in given.items():
            if member in ("delta", "message"):
                # A whole message stands where a delta belongs, or repeats the deltas.
                message = choice.setdefault("message", {})
                if isinstance(value, dict) and (member == "delta" or not message):
                    calls = value.get("tool_calls")
                    numbered = {"tool_calls": self._calls[index].numbered(calls)} if isinstance(calls, list) else {}
                    grow(message, value | numbered)
            elif member == "text" or (isinstance(value, list | dict) and member == "logprobs"):
                grow(choice, {member: value})
            elif isinstance(value, list) and isinstance(choice.get(member), list):
                choice[member] += value
            elif value != "" or member not in choice:
                _renew(choice, member, value)

    def _plain(self, choice: Any, data: bytes) -> ChunkTemplate | None:
        """A template of chunks that continue one text and repeat everything else; None if this is not such a chunk."""
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict) or not delta.keys() <= _PLAIN or not isinstance(delta.get("content"), str):
            return None
        if any(isinstance(value, list | dict) for name, value in choice.items() if name != "delta"):
            return None
        self._text = self._choices[choice.get("index") or 0]["message"]["content"]
        return ChunkTemplate.of(data, b'"content":', delta["content"]) if isinstance(self._text, Pieces) else None


def _renew(into: Table, name: str, value: Any) -> None:
    """Takes the later value of a member that is given again and again: of null and a value the value; objects are merged."""
    before = into.get(name)
    if value is None or value == "":
        into.setdefault(name, value)
    elif isinstance(before, dict) and isinstance(value, dict) and name != "usage":
        for inner, each in value.items():
            _renew(before, inner, each)
    elif isinstance(before, list) and isinstance(value, list) and value[: len(before)] != before:
        into[name] = [*before, *value]
    else:
        into[name] = value


class _Calls:
    """The tool calls of one choice by number, whatever index a server gives their pieces, or none."""

    __slots__ = ("_ids", "_last", "_places")

    def __init__(self) -> None:
        self._ids: list[str | None] = []  # by number
        self._places: dict[int, int] = {}  # the server's index -> number
        self._last = 0

    def numbered(self, pieces: list[Any]) -> list[Table]:
        """The pieces, each with the number of its call as its index."""
        return [piece | {"index": self._number(piece)} for piece in pieces if isinstance(piece, dict)]

    def _number(self, piece: Table) -> int:
        index, call_id, function = piece.get("index"), piece.get("id") or None, piece.get("function")
        named = isinstance(function, dict) and function.get("name")
        number: int | None
        if isinstance(index, int):
            # A new id and name under an old index begin another call.
            number = self._places.get(index)
            if number is not None and call_id and named and self._ids[number] not in (None, call_id):
                number = None
        elif call_id in self._ids and call_id:
            number = self._ids.index(call_id)
        else:
            number = self._last if self._ids and not named else None
        if number is None:
            number = len(self._ids)
            self._ids.append(call_id)
        if isinstance(index, int):
            self._places[index] = number
        self._ids[number] = self._ids[number] or call_id
        self._last = number
        return number
