"""What a model wants back with its next turn and OpenAI's chat wire has no member for: signed thinking, foreign blocks.

Three ways lead it back, best first:
    1. members of their own on the message and its calls (`extra_content`), which many clients echo;
    2. `SignatureCache`, by the ids of the turn's tool calls;
    3. `SignatureCache`, by a digest of the conversation up to and with the turn, where it called no tool.
Tool call ids stay as the model gave them. Knows no model: a signature is opaque, and only its maker's codec uses it
(`origin`: the model that made it, in the part's extra under "hearth").
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.contract.messages import Extra, Media, Message, Opaque, Reasoning, Text, ToolCall, ToolResult

EXTRA, OURS = "extra_content", "hearth"
CALL_SIGNATURE_AT = "extra_content.google.thought_signature"
"""Where clients of this wire already look for a call's thought signature, and put it when they give the call back."""
_, CALL_SPACE, CALL_SIGNATURE = CALL_SIGNATURE_AT.split(".")


@dataclass(frozen=True, slots=True)
class Bound:
    """A part and where it stood in its turn: behind so many characters of text and so many calls."""

    part: Reasoning | Opaque
    chars: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """What one turn of a model left. calls: tool call id -> thought signature."""

    model: str | None = None
    bound: tuple[Bound, ...] = ()
    calls: Mapping[str, str] = field(default_factory=dict)

    @property
    def worth_keeping(self) -> bool:
        """Thinking without a signature is shown, and no model asks for it back."""
        return bool(self.calls) or any(_sealed(each.part) for each in self.bound)

    @property
    def size(self) -> int:
        """About the bytes it holds."""
        return 200 + sum(map(len, self.calls.values())) + sum(_size(each.part) for each in self.bound)


def _sealed(part: Reasoning | Opaque) -> bool:
    return isinstance(part, Opaque) or part.signature is not None or part.redacted is not None


def _size(part: Reasoning | Opaque) -> int:
    if isinstance(part, Opaque):
        return len(str(part.value))
    return len(part.text) + len(part.signature or "") + len(part.redacted or "")


def origin(model: str | None) -> Extra:
    return {OURS: {"model": model}} if model else {}


def message_extra(turn: ModelTurn) -> dict[str, Any] | None:
    """The message's `extra_content`; None where there is nothing to keep."""
    if not turn.worth_keeping:
        return None
    ours: dict[str, Any] = {"model": turn.model} if turn.model else {}
    if turn.bound:
        ours["parts"] = [_written(each) for each in turn.bound]
    return {OURS: ours}


def call_extra(signature: str) -> dict[str, Any]:
    """A call's `extra_content`."""
    return {CALL_SPACE: {CALL_SIGNATURE: signature}}


def read_message_extra(value: Any) -> tuple[str | None, tuple[Bound, ...] | None]:
    """The model and the parts that `message_extra` wrote; None for the parts where it wrote none or they are not ours."""
    ours = value.get(OURS) if isinstance(value, dict) else None
    if not isinstance(ours, dict):
        return None, None
    model = ours.get("model") if isinstance(ours.get("model"), str) else None
    parts = ours.get("parts")
    if not isinstance(parts, list):
        return model, None
    read = (_read(entry, model) for entry in parts if isinstance(entry, dict))
    return model, tuple(each for each in read if each is not None)


def read_call_extra(value: Any) -> str | None:
    """A call's signature, under whichever name space its vendor gave it."""
    spaces = value.values() if isinstance(value, dict) else ()
    found = (space.get(CALL_SIGNATURE) for space in spaces if isinstance(space, dict))
    return next((signature for signature in found if isinstance(signature, str) and signature), None)


def _written(each: Bound) -> dict[str, Any]:
    part = each.part
    if isinstance(part, Opaque):
        entry: dict[str, Any] = {"wire": part.wire, "opaque": part.value}
    else:
        entry = {"reasoning": part.text, "signature": part.signature, "redacted": part.redacted}
    entry |= {"chars": each.chars or None, "calls": each.calls or None}
    return {name: value for name, value in entry.items() if value is not None}


def _read(entry: dict[str, Any], model: str | None) -> Bound | None:
    chars, calls = (entry[name] if isinstance(entry.get(name), int) else 0 for name in ("chars", "calls"))
    wire = entry.get("wire")
    if isinstance(wire, str):
        return Bound(Opaque(wire, entry.get("opaque")), chars, calls)
    text, signature, redacted = (
        entry[name] if isinstance(entry.get(name), str) else None for name in ("reasoning", "signature", "redacted")
    )
    if text is None and signature is None and redacted is None:
        return None
    return Bound(Reasoning(text or "", signature, redacted, origin(model)), chars, calls)


class SignatureCache:
    """What clients that strip unknown members would lose. Bounded by entries and bytes, the oldest unused goes first.

    Belongs to one process and is lost with it: a hint, never the only way where the client echoes what it was given.
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
            self._held += turn.size
        while self._turns and (len(self._turns) > self._entries or self._held > self._size):
            self._forget(next(iter(self._turns)))

    def recall(self, key: str) -> ModelTurn | None:
        turn = self._turns.get(key)
        if turn is not None:
            self._turns.move_to_end(key)
        return turn

    def _forget(self, key: str) -> None:
        turn = self._turns.pop(key, None)
        if turn is not None:
            self._held -= turn.size


def call_key(call_id: str) -> str:
    return f"call {call_id}"


class Thread:
    """A digest of a conversation as it grows: the same words from the same roles, whatever the client did to the rest."""

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
        """The key of a turn that said `text` at this point."""
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
