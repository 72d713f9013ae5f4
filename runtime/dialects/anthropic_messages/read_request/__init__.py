"""A body of the messages wire as a Request, for targets of other wires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Format, Message, Opaque, Part, Request, Role, Text, Thinking
from runtime.dialects.anthropic_messages.read_request.blocks import Blocks
from runtime.dialects.anthropic_messages.read_request.tools import Tools, tool_choice, tools
from runtime.dialects.anthropic_messages.words import NAME, NO_THREADS
from runtime.dialects.seam import HINTS
from runtime.dialects.tool_results import results_in_place
from runtime.wire import members
from runtime.wire.raw_body import BadBody, RawBody

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}

_OWN = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "stream",
        "output_format",
        "service_tier",
        HINTS,
    }
)
_CHANGES = frozenset({"tool_addition", "tool_removal"})
_TIERS = {"auto": "auto", "standard_only": "default"}
_THINKING_OFF = frozenset({"disabled", "between_tools"})
# A line that some clients put before their instructions, for the vendor's accounts. It changes with every request, means
# nothing to a model, and would cost any other target its prefix cache.
_BILLING = "x-anthropic-billing-header"


def read_request(body: RawBody, *, stream: bool) -> Request:
    """Raises BadBody with the place; Unsupported if nothing but a warm cache is asked for."""
    data = body.data
    if data.get("thread") is not None:
        # The client sends the whole conversation then: another target would serve it no better.
        raise BadBody(f"{NO_THREADS}: send the whole conversation without 'thread'", "thread")
    limit = members.whole(data, "max_tokens", 0)
    if limit == 0:
        raise Unsupported(
            "'max_tokens' of 0 warms a cache and gives no answer; this target has no such call", "max_tokens"
        )
    messages, changes = _messages(data)
    found = tools(data, changes)
    choice, parallel = tool_choice(data)
    stop = members.items(data, "stop_sequences")
    if not all(isinstance(each, str) for each in stop):
        raise members.wrong("stop_sequences", "a list of strings")
    return Request(
        model=members.text(data, "model") or "",
        messages=messages,
        tools=found.functions,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=limit,
        temperature=members.number(data, "temperature"),
        top_p=members.number(data, "top_p"),
        top_k=members.whole(data, "top_k"),
        stop=tuple(stop),
        format=_format(data),
        thinking=_thinking(data),
        user=members.text(members.table(data, "metadata") or {}, "user_id", "metadata"),
        service_tier=_TIERS.get(members.text(data, "service_tier") or ""),
        stream=stream,
        include_usage=True,
        extra=_extra(data, found),
    )


def role_of(message: Any, at: str) -> Role:
    given = message.get("role") if isinstance(message, dict) else None
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise BadBody("a message must be an object whose role is user, assistant or system", at)
    return role


def _messages(data: Mapping[str, Any]) -> tuple[tuple[Message, ...], list[dict[str, Any]]]:
    """The conversation, its instructions first, and the blocks in it that change the tools."""
    blocks = Blocks()
    messages: list[Message] = []
    changes: list[dict[str, Any]] = []
    given: list[tuple[Role, Any, str]] = []
    if data.get("system") is not None:
        given.append((Role.SYSTEM, data["system"], "system"))
    for place, message in enumerate(members.items(data, "messages")):
        at = f"messages[{place}]"
        given.append((role_of(message, at), message.get("content"), f"{at}.content"))
    for role, content, at in given:
        parts = blocks.parts(content, at)
        parts = _instructions(parts, changes) if role is Role.SYSTEM else parts
        if parts and role is Role.ASSISTANT and messages and messages[-1].role is role:
            # Messages of the model in a row are one turn on this wire: calls in two of them are parallel.
            messages[-1] = Message(role, (*messages[-1].parts, *parts))
        elif parts:
            messages.append(Message(role, parts))
    return results_in_place(messages), changes


def _instructions(parts: tuple[Part, ...], changes: list[dict[str, Any]]) -> tuple[Part, ...]:
    """Instructions for the model. changes: receives blocks about tools."""
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, Opaque) and part.value["type"] in _CHANGES:
            changes.append(part.value)
        elif isinstance(part, Text) and part.text.startswith(_BILLING):
            rest = part.text.partition("\n")[2]
            kept += [Text(rest, part.cache, part.extra)] if rest else []
        elif not isinstance(part, Text) or part.text:
            kept.append(part)
    return tuple(kept)


def _format(data: Mapping[str, Any]) -> Format | None:
    """`output_config.format`, or `output_format`, its older name."""
    config = members.table(data, "output_config") or {}
    wanted = members.table(config, "format", "output_config") or members.table(data, "output_format")
    if wanted is None:
        return None
    if wanted.get("type") != "json_schema":
        raise BadBody("the output's format must be of type json_schema", "output_config.format.type")
    return Format(schema=members.table(wanted, "schema", "output_config.format") or {"type": "object"})


def _thinking(data: Mapping[str, Any]) -> Thinking | None:
    wanted = members.table(data, "thinking")
    effort = members.text(members.table(data, "output_config") or {}, "effort", "output_config")
    if wanted is None:
        return Thinking(effort) if effort else None
    if members.text(wanted, "type", "thinking") in _THINKING_OFF:
        return Thinking("none")
    shown = {"summarized": True, "omitted": False}.get(members.text(wanted, "display", "thinking") or "")
    budget = wanted.get("budget_tokens")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int)):
        raise members.wrong("thinking.budget_tokens", "an integer")
    return Thinking(effort, budget, shown)


def _extra(data: Mapping[str, Any], found: Tools) -> dict[str, Any]:
    """Members that no other wire has. "tools" are the vendor's own, which another target cannot run."""
    kept = members.rest(data, _OWN | {"output_config", "thinking", "metadata"})
    for member, known in (("output_config", ("effort", "format")), ("metadata", ("user_id",))):
        left = members.rest(members.table(data, member) or {}, frozenset(known))
        if left:
            kept[member] = left
    # A server that no toolset names gives all its tools: before there were toolsets, naming the server was enough.
    named = {str(tool.get("mcp_server_name")) for tool in found.vendors}
    servers = [server.get("name") for server in members.items(data, "mcp_servers") if isinstance(server, dict)]
    toolsets = [{"type": "mcp_toolset", "mcp_server_name": name} for name in servers if str(name) not in named]
    if found.vendors or toolsets:
        kept["tools"] = [*found.vendors, *toolsets]
    return {NAME: kept} if kept else {}
