"""The items of a body's input as messages of the contract.

One turn of the model (reasoning, text, calls) becomes one message, in its order; results of tools that follow each other become
one user message. Instructions keep their place. Items that only a vendor knows stay opaque.
"""

from __future__ import annotations

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
from runtime.dialects.custom_tools import arguments_of
from runtime.dialects.openai_chat.read_request.turn import EchoedReasoning, arranged
from runtime.dialects.openai_chat.signatures import SignatureCache, call_key, origin
from runtime.dialects.openai_responses.read_request.parts import content
from runtime.dialects.openai_responses.read_request.tools import SEARCH, ClientTools
from runtime.dialects.openai_responses.signatures import Carried, is_foreign, part_of, read_foreign
from runtime.dialects.openai_responses.words import NAME, UNDECODABLE
from runtime.dialects.tool_results import results_in_place
from runtime.wire import data_url, members
from runtime.wire.raw_body import BadBody

_ROLES = {"user": Role.USER, "system": Role.SYSTEM, "developer": Role.SYSTEM, "assistant": Role.ASSISTANT}
_CALL = frozenset({"type", "call_id", "name", "namespace", "arguments", "input", "status", "id", "execution"})
# Items that only servers of this wire understand. Items of a type that stands nowhere are dropped.
_VENDORS = frozenset(
    {
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "file_search_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)


def messages(given: Any, tools: ClientTools, signatures: SignatureCache | None) -> tuple[tuple[Message, ...], bool]:
    """`input`, a string or a list of items; True if an item was dropped. Raises BadBody with the item's place.

    tools: of the same request, for the names of earlier calls.
    """
    if isinstance(given, str):
        return (Message(Role.USER, (Text(given),)),), False
    if not isinstance(given, list):
        raise members.wrong("input", "a string or a list of items")
    reader = _Items(tools)
    for place, item in enumerate(given):
        at = f"input[{place}]"
        if not isinstance(item, dict):
            raise members.wrong(at, "an object")
        reader.read(item, at)
    found = results_in_place(reader.messages())
    return tuple(_with_signatures(message, signatures) for message in found), reader.dropped


class _Items:
    """Reads items in order; knows the calls made so far. dropped: True if an item was of no known type."""

    def __init__(self, tools: ClientTools) -> None:
        self.dropped = False
        self._tools = tools
        self._skipped: set[str] = set()  # ids of calls that were not read
        self._turns: list[tuple[Role, list[Part]]] = []
        self._calls: dict[str, str] = {}  # id -> name
        self._signed: dict[str, Carried] = {}  # call id -> signature

    def messages(self) -> list[Message]:
        """The turns so far, each call with its signature."""
        found = []
        for role, parts in self._turns:
            for place, part in enumerate(parts):
                signed = self._signed.get(part.id) if isinstance(part, ToolCall) else None
                if isinstance(part, ToolCall) and signed is not None:
                    parts[place] = _signed(part, signed.signature, signed.model)
            found.append(Message(role, tuple(parts)))
        return found

    def read(self, item: dict[str, Any], at: str) -> None:
        kind = item.get("type")
        if kind is None:
            kind = "item_reference" if "role" not in item and "id" in item else "message"
        match kind:
            case "message":
                self._message(item, at)
            case "reasoning":
                self._reasoning(item, at)
            case "function_call":
                self._call(item, at, _arguments(item.get("arguments"), f"{at}.arguments"))
            case "custom_tool_call":
                text = members.text(item, "input", at) or ""
                self._call(item, at, arguments_of(text))
            case "tool_search_call" if item.get("execution") == "client":
                arguments = members.table(item, "arguments", at) or {}
                self._call(item | {"name": SEARCH}, at, msgspec.json.encode(arguments).decode())
            case "tool_search_output" if str(item.get("call_id")) in self._calls:
                self._result(item | {"output": msgspec.json.encode(item.get("tools")).decode()}, at)
            case "function_call_output" | "custom_tool_call_output":
                self._result(item, at)
            case "image_generation_call":  # of the model's; without data it failed
                data, form = members.text(item, "result", at), members.text(item, "output_format", at) or "png"
                if data:
                    mime = data_url.guessed("", None, data) or f"image/{form}"
                    self._add_to_turn(Media("image", mime, data=data))
            case "item_reference":
                raise BadBody(f"the item {item.get('id')!r} is not stored here: send it whole", f"{at}.id")
            case "additional_tools":  # read with the tools
                pass
            case str():
                if isinstance(item.get("call_id"), str):
                    self._skipped.add(item["call_id"])
                if kind in _VENDORS:
                    self._add_to_turn(Opaque(NAME, item))
                else:
                    self.dropped = True
            case _:
                raise members.wrong(f"{at}.type", "a string")

    def _message(self, item: dict[str, Any], at: str) -> None:
        name = item.get("role")
        role = _ROLES.get(name) if isinstance(name, str) else None
        if role is None:
            raise BadBody(f"{name!r} is no role; roles are {', '.join(_ROLES)}", f"{at}.role")
        parts: list[Part] = list(content(item.get("content"), f"{at}.content"))
        if role is not Role.ASSISTANT:
            self._turns.append((role, parts))
            return
        phase = item.get("phase")
        if isinstance(phase, str):
            parts = [
                replace(part, extra={NAME: {"phase": phase}}) if isinstance(part, Text) else part for part in parts
            ]
        # A second text begins a new turn, unless the model has reasoned or called since the first.
        last = self._turns[-1] if self._turns else None
        if last and last[0] is Role.ASSISTANT and not (last[1] and isinstance(last[1][-1], Text | Refusal)):
            last[1].extend(parts)
        else:
            self._turns.append((role, parts))

    def _add_to_turn(self, part: Part) -> None:
        """Adds to the model's turn."""
        if self._turns and self._turns[-1][0] is Role.ASSISTANT:
            self._turns[-1][1].append(part)
        else:
            self._turns.append((Role.ASSISTANT, [part]))

    def _reasoning(self, item: dict[str, Any], at: str) -> None:
        text = _joined(item.get("content"), f"{at}.content") or _joined(item.get("summary"), f"{at}.summary")
        given = item.get("encrypted_content")
        if not is_foreign(given):
            self._add_to_turn(Reasoning(text, extra={NAME: item}))
            return
        carried = read_foreign(given)
        if carried is None:
            raise BadBody("the encrypted content was changed since this server sent it", f"{at}.encrypted_content")
        if carried.call_id is not None:
            self._signed[carried.call_id] = carried
        elif (part := part_of(carried, text)) is not None:
            self._add_to_turn(part)

    def _call(self, item: dict[str, Any], at: str, arguments: str) -> None:
        call_id, name = members.needed_text(item, "call_id", at), members.needed_text(item, "name", at)
        name = self._calls[call_id] = self._tools.flat(members.text(item, "namespace", at) or "", name)
        kept = members.rest(item, _CALL)
        if item.get("type") != "function_call":
            kept["type"] = item["type"]
        self._add_to_turn(ToolCall(call_id, name, arguments, extra={NAME: kept} if kept else {}))

    def _result(self, item: dict[str, Any], at: str) -> None:
        call_id = members.needed_text(item, "call_id", at)
        if call_id not in self._calls and call_id in self._skipped:
            self.dropped = True
            return
        if call_id not in self._calls:
            raise BadBody(f"{call_id!r} is the id of no call before it", f"{at}.call_id")
        output = content(item.get("output"), f"{at}.output")
        parts = tuple(Text(part.text) if isinstance(part, Refusal) else part for part in output)
        result = ToolResult(call_id, parts, self._calls[call_id])
        last = self._turns[-1] if self._turns else None
        # A user message holds either results or content, so that its last part tells which.
        if last and last[0] is Role.USER and last[1] and isinstance(last[1][-1], ToolResult):
            last[1].append(result)
        else:
            self._turns.append((Role.USER, [result]))


def _joined(value: Any, at: str) -> str:
    """The text of a reasoning item's parts."""
    if value is None:
        return ""
    if not isinstance(value, list):
        raise members.wrong(at, "a list of parts")
    texts = [part.get("text") for part in value if isinstance(part, dict)]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _arguments(value: Any, at: str) -> str:
    """JSON text of an object, as written."""
    if value is not None and not isinstance(value, str):
        raise members.wrong(at, "a string of JSON")
    if value is None or not value.strip():
        return "{}"
    try:
        parsed = msgspec.json.decode(value)
    except UNDECODABLE as error:
        raise BadBody(f"{at!r} is not valid JSON: {error}", at) from error
    if parsed is None:
        return "{}"
    if not isinstance(parsed, dict):
        raise BadBody(f"{at!r} must be the JSON text of an object", at)
    return value


def _with_signatures(message: Message, signatures: SignatureCache | None) -> Message:
    """The model's turn with the reasoning and signatures its client dropped, if they are still in the cache."""
    if signatures is None or message.role is not Role.ASSISTANT:
        return message
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    for part in message.parts:  # the client gave them back
        match part:
            case Opaque():
                return message
            case ToolCall() if part.signature:
                return message
            case Reasoning() if part.signature or part.redacted or part.extra.get(NAME, {}).get("encrypted_content"):
                return message
            case _:
                pass
    known = next((turn for call in calls if (turn := signatures.recall(call_key(call.id))) is not None), None)
    if known is None:
        return message
    signed = [_signed(call, known.calls[call.id], known.model) if call.id in known.calls else call for call in calls]
    if known.bound:
        rest = [part for part in message.parts if not isinstance(part, ToolCall | Reasoning)]
        return replace(message, parts=tuple(arranged(EchoedReasoning(known.model, known.bound), rest, signed)))
    by_id = {call.id: call for call in signed}
    return replace(
        message, parts=tuple(by_id[part.id] if isinstance(part, ToolCall) else part for part in message.parts)
    )


def _signed(call: ToolCall, signature: str | None, model: str | None) -> ToolCall:
    return replace(call, signature=signature, extra={**call.extra, **origin(model)})
