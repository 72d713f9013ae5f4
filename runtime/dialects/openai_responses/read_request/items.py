"""The items of a body's input as messages of the contract.

What one turn of the model is made of (reasoning, text, calls) becomes one message, in its order; results of tools that follow
each other stand in one user message. Instructions keep their place. Items of a vendor's own stay opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runtime.contract.messages import (
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from runtime.dialects.openai_chat.read_request.turn import Said, arranged
from runtime.dialects.openai_chat.signatures import SignatureCache, Turn, call_key, origin
from runtime.dialects.openai_responses.read_request.parts import content
from runtime.dialects.openai_responses.read_request.tools import INPUT
from runtime.dialects.openai_responses.signatures import Carried, is_foreign, part_of, read_foreign
from runtime.dialects.openai_responses.words import NAME, UNDECODABLE
from runtime.wire import data_url, members
from runtime.wire.raw_body import BadBody

_ROLES = {"user": Role.USER, "system": Role.SYSTEM, "developer": Role.SYSTEM, "assistant": Role.ASSISTANT}
_CALL = frozenset({"type", "call_id", "name", "arguments", "status", "id"})


def messages(given: Any, signatures: SignatureCache | None) -> tuple[Message, ...]:
    """`input`: a string or a list of items. Raises BadBody with the item's place."""
    if isinstance(given, str):
        return (Message(Role.USER, (Text(given),)),)
    if not isinstance(given, list):
        raise members.wrong("input", "a string or a list of items")
    reader = _Items()
    for place, item in enumerate(given):
        at = f"input[{place}]"
        if not isinstance(item, dict):
            raise members.wrong(at, "an object")
        reader.read(item, at)
    return tuple(_remembered(message, signatures) for message in reader.messages())


class _Items:
    """Reads items in order; knows the calls made so far."""

    def __init__(self) -> None:
        self._turns: list[tuple[Role, list[Part]]] = []
        self._calls: dict[str, str] = {}  # id -> name
        self._signed: dict[str, Carried] = {}  # signatures of calls, by id
        self._readers: dict[str, Callable[[dict[str, Any], str], None]] = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._call,
            "custom_tool_call": self._custom_call,
            "function_call_output": self._result,
            "custom_tool_call_output": self._result,
            "image_generation_call": self._image,
            "item_reference": self._reference,
        }

    def messages(self) -> list[Message]:
        return [Message(role, tuple(map(self._sign, parts))) for role, parts in self._turns]

    def read(self, item: dict[str, Any], at: str) -> None:
        kind = item.get("type")
        if kind is None:
            kind = "item_reference" if "role" not in item and "id" in item else "message"
        read = self._readers.get(kind) if isinstance(kind, str) else None
        if read is not None:
            read(item, at)
        elif isinstance(kind, str):
            self._own(Opaque(NAME, item))
        else:
            raise members.wrong(f"{at}.type", "a string")

    def _message(self, item: dict[str, Any], at: str) -> None:
        said = item.get("role")
        role = _ROLES.get(said) if isinstance(said, str) else None
        if role is None:
            raise BadBody(f"{said!r} is no role; roles are {', '.join(_ROLES)}", f"{at}.role")
        parts: list[Part] = list(content(item.get("content"), f"{at}.content"))
        phase = item.get("phase")
        if role is Role.ASSISTANT and isinstance(phase, str):
            parts = [
                replace(part, extra={NAME: {"phase": phase}}) if isinstance(part, Text) else part for part in parts
            ]
        if role is Role.ASSISTANT and self._goes_on():
            self._turns[-1][1].extend(parts)
        else:
            self._turns.append((role, parts))

    def _goes_on(self) -> bool:
        """Whether the model's turn is not over: it has not spoken yet, or called since."""
        if not self._turns or self._turns[-1][0] is not Role.ASSISTANT:
            return False
        parts = self._turns[-1][1]
        return not parts or not isinstance(parts[-1], Text | Refusal)

    def _own(self, part: Part) -> None:
        """A part of the model's turn."""
        if self._turns and self._turns[-1][0] is Role.ASSISTANT:
            self._turns[-1][1].append(part)
        else:
            self._turns.append((Role.ASSISTANT, [part]))

    def _reasoning(self, item: dict[str, Any], at: str) -> None:
        text = _joined(item.get("content"), f"{at}.content") or _joined(item.get("summary"), f"{at}.summary")
        given = item.get("encrypted_content")
        if not is_foreign(given):
            self._own(Reasoning(text, extra={NAME: item}))
            return
        sealed = read_foreign(given)
        if sealed is None:
            raise BadBody("the encrypted content was changed on its way", f"{at}.encrypted_content")
        if sealed.call_id is not None:
            self._signed[sealed.call_id] = sealed
            return
        part = part_of(sealed, text)
        if part is not None:
            self._own(part)

    def _call(self, item: dict[str, Any], at: str) -> None:
        self._called(item, at, _arguments(item.get("arguments"), f"{at}.arguments"))

    def _custom_call(self, item: dict[str, Any], at: str) -> None:
        text = members.text(item, "input", at) or ""
        self._called(item, at, msgspec.json.encode({INPUT: text}).decode())

    def _called(self, item: dict[str, Any], at: str, arguments: str) -> None:
        call_id, name = members.needed_text(item, "call_id", at), members.needed_text(item, "name", at)
        self._calls[call_id] = name
        kept = members.rest(item, _CALL | {"input"})
        if item.get("type") == "custom_tool_call":
            kept["type"] = "custom_tool_call"
        self._own(ToolCall(call_id, name, arguments, extra={NAME: kept} if kept else {}))

    def _sign(self, part: Part) -> Part:
        sealed = self._signed.get(part.id) if isinstance(part, ToolCall) else None
        if sealed is None or not isinstance(part, ToolCall):
            return part
        return replace(part, signature=sealed.signature, extra={**part.extra, **origin(sealed.model)})

    def _result(self, item: dict[str, Any], at: str) -> None:
        call_id = members.needed_text(item, "call_id", at)
        if call_id not in self._calls:
            raise BadBody(f"{call_id!r} is the id of no call before it", f"{at}.call_id")
        said = content(item.get("output"), f"{at}.output")
        parts = tuple(Text(part.text) if isinstance(part, Refusal) else part for part in said)
        result = ToolResult(call_id, parts, self._calls[call_id])
        last = self._turns[-1] if self._turns else None
        if last and last[0] is Role.USER and last[1] and all(isinstance(part, ToolResult) for part in last[1]):
            last[1].append(result)
        else:
            self._turns.append((Role.USER, [result]))

    def _image(self, item: dict[str, Any], at: str) -> None:
        """A picture the model made. One that failed is nothing."""
        data = members.text(item, "result", at)
        form = members.text(item, "output_format", at) or "png"
        if data:
            self._own(Media("image", data_url.guessed("", None, data) or f"image/{form}", data=data))

    def _reference(self, item: dict[str, Any], at: str) -> None:
        raise BadBody(f"the item {item.get('id')!r} is not kept here: send it whole", f"{at}.id")


def _joined(value: Any, at: str) -> str:
    """The text of a reasoning item's parts."""
    if value is None:
        return ""
    if not isinstance(value, list):
        raise members.wrong(at, "a list of parts")
    texts = [part.get("text") for part in value if isinstance(part, dict)]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _arguments(value: Any, at: str) -> str:
    """JSON text of an object, kept as written."""
    if value is not None and not isinstance(value, str):
        raise members.wrong(at, "a string of JSON")
    if value is None or not value.strip():
        return "{}"
    try:
        parsed = msgspec.json.decode(value)
    except UNDECODABLE as error:
        raise BadBody(f"{at!r} is not valid JSON: {error}", at) from error
    if not isinstance(parsed, dict):
        raise BadBody(f"{at!r} must be the JSON text of an object", at)
    return value


def _remembered(message: Message, signatures: SignatureCache | None) -> Message:
    """The turn with what its model wants back, where the client did not give it back and it is still known."""
    if signatures is None or message.role is not Role.ASSISTANT:
        return message
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    if any(call.signature for call in calls) or any(map(_sealed, message.parts)):
        return message
    known = next((turn for call in calls if (turn := signatures.recall(call_key(call.id))) is not None), None)
    return message if known is None else _restored(message, known, calls)


def _sealed(part: Part) -> bool:
    if isinstance(part, Reasoning):
        return bool(part.signature or part.redacted or part.extra.get(NAME, {}).get("encrypted_content"))
    return isinstance(part, Opaque)


def _restored(message: Message, known: Turn, calls: Sequence[ToolCall]) -> Message:
    said = [part for part in message.parts if not isinstance(part, ToolCall | Reasoning)]
    signed = [
        replace(call, signature=known.calls[call.id], extra={**call.extra, **origin(known.model)})
        if call.id in known.calls
        else call
        for call in calls
    ]
    if not known.bound:
        by_id = {call.id: call for call in signed}
        return replace(
            message, parts=tuple(by_id[part.id] if isinstance(part, ToolCall) else part for part in message.parts)
        )
    return replace(message, parts=tuple(arranged(Said(known.model, known.bound), said, signed)))
