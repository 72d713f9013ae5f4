"""A conversation of OpenAI's chat wire as messages of the contract.

Every role keeps its place, instructions in the middle too. Tool results stand in user messages, those that follow each
other in one. A model's thinking that a client gives back becomes reasoning again, with its signature where one is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Cache, Message, Part, Refusal, Role, Text, ToolCall, ToolResult
from runtime.dialects.openai_chat.read_request.parts import Content, content
from runtime.dialects.openai_chat.read_request.tools import cache
from runtime.dialects.openai_chat.read_request.turn import Said, arranged, told_reasoning
from runtime.dialects.openai_chat.signatures import (
    EXTRA,
    SignatureCache,
    Thread,
    Turn,
    call_key,
    origin,
    read_call_extra,
)
from runtime.wire import members
from runtime.wire.raw_body import BadBody

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def messages(raw: Sequence[Any], signatures: SignatureCache | None) -> tuple[Message, ...]:
    """Raises BadBody with the message's place, Unsupported for what no other wire can say."""
    reader = _Conversation(signatures)
    for place, message in enumerate(raw):
        at = f"messages[{place}]"
        if not isinstance(message, dict):
            raise members.wrong(at, "an object")
        reader.read(message, at)
    return tuple(reader.read_so_far)


class _Conversation:
    """Reads messages in order; knows the calls made so far."""

    def __init__(self, signatures: SignatureCache | None) -> None:
        self.read_so_far: list[Message] = []
        self._signatures = signatures
        self._names: dict[str, str] = {}  # of each call so far
        self._functions: dict[str, str] = {}  # name -> id of its last call in the old spelling
        self._thread = Thread()
        self._hashed = 0

    def read(self, message: dict[str, Any], at: str) -> None:
        match message.get("role"):
            case "system" | "developer":
                self._add(Role.SYSTEM, self._content(message, at), message, at)
            case "user":
                self._add(Role.USER, self._content(message, at), message, at)
            case "assistant":
                self._add(Role.ASSISTANT, self._turn(message, at), message, at)
            case "tool":
                self._result(self._answered(message, at), message, at)
            case "function":
                self._result(self._function_answered(message, at), message, at)
            case other:
                raise BadBody(f"{other!r} is no role; roles are {', '.join(ROLES)}", f"{at}.role")

    def _add(self, role: Role, parts: Sequence[Part], message: dict[str, Any], at: str) -> None:
        self.read_so_far.append(Message(role, tuple(parts), members.text(message, "name", at)))

    def _content(self, message: dict[str, Any], at: str) -> tuple[Content, ...]:
        """A mark on the message itself is one on its last part."""
        parts = content(message.get("content"), f"{at}.content")
        mark = cache(message)
        last = parts[-1] if parts else None
        if mark is None or last is None or isinstance(last, Refusal) or last.cache is not None:
            return parts
        return (*parts[:-1], replace(last, cache=mark))

    def _result(self, call_id: str, message: dict[str, Any], at: str) -> None:
        said = content(message.get("content") if message.get("content") is not None else "", f"{at}.content")
        parts = tuple(part for part in said if not isinstance(part, Refusal))
        result = ToolResult(call_id, parts, self._names.get(call_id), cache=cache(message))
        last = self.read_so_far[-1]
        if last.role is Role.USER and last.parts and all(isinstance(part, ToolResult) for part in last.parts):
            self.read_so_far[-1] = Message(Role.USER, (*last.parts, result))
        else:
            self.read_so_far.append(Message(Role.USER, (result,)))

    def _answered(self, message: dict[str, Any], at: str) -> str:
        call_id = members.needed_text(message, "tool_call_id", at)
        if call_id not in self._names:
            raise BadBody(f"{call_id!r} is the id of no tool call before it", f"{at}.tool_call_id")
        return call_id

    def _function_answered(self, message: dict[str, Any], at: str) -> str:
        name = members.needed_text(message, "name", at)
        if name not in self._functions:
            raise BadBody(f"no function {name!r} was called before this", f"{at}.name")
        return self._functions[name]

    def _turn(self, message: dict[str, Any], at: str) -> list[Part]:
        said = message.get("content")
        parts = () if said is None else content(said, f"{at}.content")
        refusal = members.text(message, "refusal", at)
        if refusal:
            parts = (*parts, Refusal(refusal))
        calls = self._calls(message, at)
        told = told_reasoning(message)
        known = self._known(parts, calls) if not told.sealed else None
        if known is None:
            return arranged(told, parts, _signed(calls, {}, told.model))
        bound = known.bound or told.bound
        return arranged(Said(known.model, bound), parts, _signed(calls, known.calls, known.model))

    def _known(self, parts: Sequence[Content], calls: Sequence[ToolCall]) -> Turn | None:
        """What the cache still knows of this turn."""
        if self._signatures is None or not len(self._signatures) or any(call.signature for call in calls):
            return None
        if calls:
            found = (self._signatures.recall(call_key(call.id)) for call in calls)
            return next((turn for turn in found if turn is not None), None)
        for message in self.read_so_far[self._hashed :]:
            self._thread.add(message)
        self._hashed = len(self.read_so_far)
        text = "".join(part.text for part in parts if isinstance(part, Text))
        return self._signatures.recall(self._thread.key(text)) if text else None

    def _calls(self, message: dict[str, Any], at: str) -> list[ToolCall]:
        calls = []
        for place, entry in enumerate(members.items(message, "tool_calls", at)):
            calls.append(_call(entry, f"{at}.tool_calls[{place}]"))
        legacy = members.table(message, "function_call", at)
        if legacy is not None and not calls:
            call_id = (
                f"call_{len(self.read_so_far)}"  # the old spelling has no ids: the place is the same in every turn
            )
            calls.append(_function_call(legacy, call_id, f"{at}.function_call", None))
            self._functions[calls[0].name] = call_id
        for call in calls:
            self._names[call.id] = call.name
        return calls


def _call(entry: Any, at: str) -> ToolCall:
    if not isinstance(entry, dict):
        raise members.wrong(at, "an object")
    if entry.get("type") == "custom" or "custom" in entry:
        raise Unsupported("calls of custom (grammar) tools exist on OpenAI's own wire alone", "messages")
    inner = members.table(entry, "function", at)
    if inner is None:
        raise members.wrong(f"{at}.function", "an object")
    call = _function_call(inner, members.needed_text(entry, "id", at), f"{at}.function", cache(entry))
    return replace(call, signature=read_call_extra(entry.get(EXTRA)))


def _function_call(inner: dict[str, Any], call_id: str, at: str, mark: Cache | None) -> ToolCall:
    name = members.needed_text(inner, "name", at)
    return ToolCall(call_id, name, _arguments(inner.get("arguments"), f"{at}.arguments"), cache=mark)


def _arguments(value: Any, at: str) -> str:
    """JSON text of an object, kept as written."""
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    if value is not None and not isinstance(value, str):
        raise members.wrong(at, "a string of JSON")
    if value is None or not value.strip():
        return "{}"
    try:
        parsed = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadBody(f"{at!r} is not valid JSON: {error}", at) from error
    if not isinstance(parsed, dict):
        raise BadBody(f"{at!r} must be the JSON text of an object", at)
    return value


def _signed(calls: Sequence[ToolCall], known: Mapping[str, str], model: str | None) -> list[ToolCall]:
    """The calls with their signatures, told or remembered, and with the model that made those."""
    out = []
    for call in calls:
        signature = call.signature or known.get(call.id)
        out.append(replace(call, signature=signature, extra=origin(model)) if signature else call)
    return out
