"""Signed reasoning and foreign blocks, which a model wants back with its next turn and OpenAI's chat wire has no member for.

They come back in three ways, best first:
    1. members of their own on the message and its calls (`extra_content`), which many clients echo;
    2. `SignatureCache`, by the ids of the turn's tool calls;
    3. `SignatureCache`, by a digest of the conversation up to and with the turn, if it called no tool.
Tool call ids stay as the model gave them. Knows no model: a signature is opaque, and only its maker's codec uses it
(`origin`: the model that made it, in the part's extra under "hearth").
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from runtime.contract.messages import Extra, Media, Message, Opaque, Reasoning, Text, ToolCall, ToolResult

EXTRA, HEARTH = "extra_content", "hearth"
CALL_SIGNATURE_AT = "extra_content.google.thought_signature"
"""The member in which clients of this wire already expect a call's thought signature, and give it back."""
_, CALL_SPACE, CALL_SIGNATURE = CALL_SIGNATURE_AT.split(".")


@dataclass(frozen=True, slots=True)
class Bound:
    """A part and its place in its turn: after so many characters of text and so many calls."""

    part: Reasoning | Opaque
    chars: int = 0
    calls: int = 0

    def members(self) -> dict[str, Any]:
        """The part as a member of `extra_content`."""
        part = self.part
        if isinstance(part, Opaque):
            entry: dict[str, Any] = {"wire": part.wire, "opaque": part.value}
        else:
            entry = {"reasoning": part.text, "signature": part.signature, "redacted": part.redacted}
        entry |= {"chars": self.chars or None, "calls": self.calls or None}
        return {name: value for name, value in entry.items() if value is not None}

    @classmethod
    def read(cls, entry: dict[str, Any], model: str | None) -> Bound | None:
        """The part that `members` wrote; None if there is none in it."""
        chars, calls = (entry[name] if isinstance(entry.get(name), int) else 0 for name in ("chars", "calls"))
        wire = entry.get("wire")
        if isinstance(wire, str):
            return cls(Opaque(wire, entry.get("opaque")), chars, calls)
        text, signature, redacted = (
            entry[name] if isinstance(entry.get(name), str) else None for name in ("reasoning", "signature", "redacted")
        )
        if text is None and signature is None and redacted is None:
            return None
        return cls(Reasoning(text or "", signature, redacted, origin(model)), chars, calls)


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """Parts and signatures of one turn of a model. calls: tool call id -> thought signature."""

    model: str | None = None
    bound: tuple[Bound, ...] = ()
    calls: Mapping[str, str] = field(default_factory=dict)

    @property
    def worth_keeping(self) -> bool:
        """True if anything is signed or sealed. Other reasoning is shown, and no model asks for it back."""
        parts = (each.part for each in self.bound)
        sealed = (isinstance(part, Opaque) or part.signature is not None or part.redacted is not None for part in parts)
        return bool(self.calls) or any(sealed)

    @property
    def size(self) -> int:
        """Bytes it holds, about."""
        held = 200 + sum(map(len, self.calls.values()))
        for part in (each.part for each in self.bound):
            if isinstance(part, Opaque):
                held += len(str(part.value))
            else:
                held += len(part.text) + len(part.signature or "") + len(part.redacted or "")
        return held


def origin(model: str | None) -> Extra:
    """The extra of a part: the model that made it."""
    return {HEARTH: {"model": model}} if model else {}


def message_extra(turn: ModelTurn) -> dict[str, Any] | None:
    """The message's `extra_content`; None if there is nothing to keep."""
    if not turn.worth_keeping:
        return None
    own: dict[str, Any] = {"model": turn.model} if turn.model else {}
    if turn.bound:
        own["parts"] = [each.members() for each in turn.bound]
    return {HEARTH: own}


def call_extra(signature: str) -> dict[str, Any]:
    """A call's `extra_content`."""
    return {CALL_SPACE: {CALL_SIGNATURE: signature}}


def read_message_extra(value: Any) -> tuple[str | None, tuple[Bound, ...] | None]:
    """The model and the parts that `message_extra` wrote; None for the parts if there are none of its own."""
    own = value.get(HEARTH) if isinstance(value, dict) else None
    if not isinstance(own, dict):
        return None, None
    model = own.get("model") if isinstance(own.get("model"), str) else None
    parts = own.get("parts")
    if not isinstance(parts, list):
        return model, None
    read = (Bound.read(entry, model) for entry in parts if isinstance(entry, dict))
    return model, tuple(each for each in read if each is not None)


def read_call_extra(value: Any) -> str | None:
    """A call's signature, under whichever name space its vendor gave it."""
    spaces = value.values() if isinstance(value, dict) else ()
    found = (space.get(CALL_SIGNATURE) for space in spaces if isinstance(space, dict))
    return next((signature for signature in found if isinstance(signature, str) and signature), None)


class SignatureCache:
    """Turns by key, for clients that strip unknown members. The least recently used goes first.

    entries: the most turns. size: the most bytes, about. Lost with the process: only a fallback for clients that echo nothing.
    """

    def __init__(self, *, entries: int = 20_000, size: int = 64 << 20) -> None:
        self._turns: OrderedDict[str, ModelTurn] = OrderedDict()
        self._entries, self._size = entries, size
        self._held = 0

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def held(self) -> int:
        """Bytes held, about."""
        return self._held

    def remember(self, keys: Iterable[str], turn: ModelTurn) -> None:
        for key in keys:
            self._forget(key)
            self._turns[key] = turn
            self._held += turn.size + len(key)
        while self._turns and (len(self._turns) > self._entries or self._held > self._size):
            self._forget(next(iter(self._turns)))

    def recall(self, key: str) -> ModelTurn | None:
        turn = self._turns.get(key)
        if turn is not None:
            with suppress(KeyError):  # a large body is read in a thread: the turn may have been dropped meanwhile
                self._turns.move_to_end(key)
        return turn

    def _forget(self, key: str) -> None:
        turn = self._turns.pop(key, None)
        if turn is not None:
            self._held -= turn.size + len(key)


def call_key(call_id: str) -> str:
    return f"call {call_id}"


class Thread:
    """A digest of a conversation as it grows, over roles, texts and ids alone: clients change the rest."""

    __slots__ = ("_hash",)

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        for message in messages:
            self.add(message)

    def add(self, message: Message) -> None:
        self._hash.update(message.role.encode())
        for part in message.parts:
            self._hash.update(_gist(part).encode("utf-8", "surrogatepass"))

    def key(self, text: str) -> str:
        """The key of a turn whose text is `text` at this point."""
        ahead = self._hash.copy()
        ahead.update(b"\x00" + text.encode("utf-8", "surrogatepass"))
        return f"text {ahead.hexdigest()}"


def _gist(part: object) -> str:
    match part:
        case Text(text=text):
            return f"\x01{text}"
        case ToolCall(id=call_id):
            return f"\x02{call_id}"
        case ToolResult(call_id=call_id, content=content):
            return f"\x03{call_id}" + "".join(map(_gist, content))
        case Media(data=data, url=url, file_id=file_id):
            return f"\x04{url or file_id or ''}" + (f"{len(data)} {data[:64]}{data[-64:]}" if data else "")
        case _:
            return ""
