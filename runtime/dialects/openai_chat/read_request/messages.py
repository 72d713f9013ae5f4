"""A conversation of OpenAI's chat wire as messages of the contract.

Every role keeps its place, instructions in the middle too. Tool results become user messages, consecutive ones a single one.
Reasoning that a client gives back becomes reasoning again, with its signature if one is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from runtime.contract.messages import Cache, Message, Part, Refusal, Role, Text, ToolCall, ToolResult
from runtime.dialects.custom_tools import CUSTOM, INPUT, arguments_of
from runtime.dialects.openai_chat.read_request.parts import Content, content
from runtime.dialects.openai_chat.read_request.tools import cache
from runtime.dialects.openai_chat.read_request.turn import EchoedReasoning, arranged, echoed_reasoning
from runtime.dialects.openai_chat.signatures import (
    EXTRA,
    ModelTurn,
    SignatureCache,
    Thread,
    call_key,
    origin,
    read_call_extra,
)
from runtime.dialects.tool_results import results_in_place
from runtime.wire import members
from runtime.wire.raw_body import BadBody

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def messages(raw: Sequence[Any], signatures: SignatureCache | None) -> tuple[Message, ...]:
    """Raises BadBody with the message's place, Unsupported for what no other wire can express."""
    reader = _Conversation(signatures)
    for place, message in enumerate(raw):
        at = f"messages[{place}]"
        if not isinstance(message, dict):
            raise members.wrong(at, "an object")
        reader.read(message, at)
    return results_in_place(reader.messages)


class _Conversation:
    """Reads messages in order; knows the calls made so far."""

    def __init__(self, signatures: SignatureCache | None) -> None:
        self.messages: list[Message] = []
        self._signatures = signatures
        self._names: dict[str, str] = {}  # of each call so far
        self._functions: dict[str, str] = {}  # name -> id of its last call in the old spelling
        self._thread = Thread()
        self._hashed = 0

    def read(self, message: dict[str, Any], at: str) -> None:
        parts: Sequence[Part]
        match message.get("role"):
            case "system" | "developer":
                role, parts = Role.SYSTEM, self._content(message, at)
            case "user":
                role, parts = Role.USER, self._content(message, at)
            case "assistant":
                role, parts = Role.ASSISTANT, self._turn(message, at)
            case "tool":
                call_id = members.needed_text(message, "tool_call_id", at)
                if call_id not in self._names:
                    raise BadBody(f"{call_id!r} is the id of no tool call before it", f"{at}.tool_call_id")
                return self._result(call_id, message, at)
            case "function":
                name = members.needed_text(message, "name", at)
                if name not in self._functions:
                    raise BadBody(f"no function {name!r} was called before this", f"{at}.name")
                return self._result(self._functions[name], message, at)
            case other:
                raise BadBody(f"{other!r} is no role; roles are {', '.join(ROLES)}", f"{at}.role")
        self.messages.append(Message(role, tuple(parts), members.text(message, "name", at)))
        return None

    def _content(self, message: dict[str, Any], at: str) -> tuple[Content, ...]:
        """A cache breakpoint on the message itself is one on its last part."""
        parts = content(message.get("content"), f"{at}.content")
        mark = cache(message)
        last = parts[-1] if parts else None
        if mark is None or last is None or isinstance(last, Refusal) or last.cache is not None:
            return parts
        return (*parts[:-1], replace(last, cache=mark))

    def _result(self, call_id: str, message: dict[str, Any], at: str) -> None:
        found = content(message.get("content") if message.get("content") is not None else "", f"{at}.content")
        parts = tuple(part for part in found if not isinstance(part, Refusal))
        result = ToolResult(call_id, parts, self._names.get(call_id), cache=cache(message))
        last = self.messages[-1]
        if last.role is Role.USER and last.parts and all(isinstance(part, ToolResult) for part in last.parts):
            self.messages[-1] = Message(Role.USER, (*last.parts, result))
        else:
            self.messages.append(Message(Role.USER, (result,)))

    def _turn(self, message: dict[str, Any], at: str) -> list[Part]:
        """An assistant's message: text, refusal, calls, and reasoning as echoed or as remembered."""
        given = message.get("content")
        parts = () if given is None else content(given, f"{at}.content")
        refusal = members.text(message, "refusal", at)
        if refusal:
            parts = (*parts, Refusal(refusal))
        calls = self._calls(message, at)
        echoed = echoed_reasoning(message)
        known = None if echoed.sealed else self._remembered(parts, calls)
        if known is None:
            return arranged(echoed, parts, _signed(calls, {}, echoed.model))
        bound = known.bound or echoed.bound
        return arranged(EchoedReasoning(known.model, bound), parts, _signed(calls, known.calls, known.model))

    def _remembered(self, parts: Sequence[Content], calls: Sequence[ToolCall]) -> ModelTurn | None:
        """The cache's entry for this turn."""
        if self._signatures is None or not len(self._signatures) or any(call.signature for call in calls):
            return None
        if calls:
            found = (self._signatures.recall(call_key(call.id)) for call in calls)
            return next((turn for turn in found if turn is not None), None)
        for message in self.messages[self._hashed :]:
            self._thread.add(message)
        self._hashed = len(self.messages)
        text = "".join(part.text for part in parts if isinstance(part, Text))
        return self._signatures.recall(self._thread.key(text)) if text else None

    def _calls(self, message: dict[str, Any], at: str) -> list[ToolCall]:
        calls = []
        for place, entry in enumerate(members.items(message, "tool_calls", at)):
            here = f"{at}.tool_calls[{place}]"
            if not isinstance(entry, dict):
                raise members.wrong(here, "an object")
            inner = members.table(entry, "function", here)
            if inner is None and (custom := members.table(entry, CUSTOM, here)) is not None:
                text = members.text(custom, INPUT, f"{here}.{CUSTOM}") or ""
                inner = {"name": custom.get("name"), "arguments": arguments_of(text)}
            if inner is None:
                raise members.wrong(f"{here}.function", "an object")
            call_id = members.needed_text(entry, "id", here)
            call = _function_call(inner, call_id, f"{here}.function", cache(entry))
            calls.append(replace(call, signature=read_call_extra(entry.get(EXTRA))))
        legacy = members.table(message, "function_call", at)
        if legacy is not None and not calls:
            # The old spelling has no ids: the place is the same in every turn.
            call_id = f"call_{len(self.messages)}"
            calls.append(_function_call(legacy, call_id, f"{at}.function_call", None))
            self._functions[calls[0].name] = call_id
        for call in calls:
            self._names[call.id] = call.name
        return calls


def _function_call(inner: dict[str, Any], call_id: str, at: str, mark: Cache | None) -> ToolCall:
    """A call whose arguments are the JSON text of an object, kept as written."""
    name = members.needed_text(inner, "name", at)
    value, at = inner.get("arguments"), f"{at}.arguments"
    if isinstance(value, dict):
        value = msgspec.json.encode(value).decode()
    if value is not None and not isinstance(value, str):
        raise members.wrong(at, "a string of JSON")
    if value is None or not value.strip():
        return ToolCall(call_id, name, "{}", cache=mark)
    try:
        parsed = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadBody(f"{at!r} is not valid JSON: {error}", at) from error
    if parsed is None:
        return ToolCall(call_id, name, "{}", cache=mark)
    if not isinstance(parsed, dict):
        raise BadBody(f"{at!r} must be the JSON text of an object", at)
    return ToolCall(call_id, name, value, cache=mark)


def _signed(calls: Sequence[ToolCall], known: Mapping[str, str], model: str | None) -> list[ToolCall]:
    """The calls with their signatures, echoed or remembered, and with the model that made those."""
    out = []
    for call in calls:
        signature = call.signature or known.get(call.id)
        out.append(replace(call, signature=signature, extra=origin(model)) if signature else call)
    return out
