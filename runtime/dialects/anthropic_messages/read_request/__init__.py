"""A body of this wire as a `Request`, for targets that speak another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Format, Message, Opaque, Part, Request, Role, Text, Thinking
from runtime.dialects.anthropic_messages.read_request.blocks import Blocks
from runtime.dialects.anthropic_messages.read_request.tools import Tools, tool_choice, tools
from runtime.dialects.anthropic_messages.words import NAME
from runtime.dialects.seam import HINTS
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
# A line some clients put before their instructions, for the vendor's accounts: it changes with every request, says nothing
# to a model, and would cost any other target its prefix cache.
_BILLING = "x-anthropic-billing-header"


def read_request(body: RawBody, *, stream: bool) -> Request:
    """Raises BadBody with the place; Unsupported where nothing but a warm cache is asked for."""
    data = body.data
    limit = members.whole(data, "max_tokens", 0)
    if limit == 0:
        raise Unsupported(
            "'max_tokens' of 0 warms a cache and gives no answer; this target has no such call", "max_tokens"
        )
    messages, changes = _messages(data)
    found = tools(data, changes)
    choice, parallel = tool_choice(data)
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
        stop=_stop(data),
        format=_format(data),
        thinking=_thinking(data),
        user=members.text(members.table(data, "metadata") or {}, "user_id", "metadata"),
        service_tier=_TIERS.get(members.text(data, "service_tier") or ""),
        stream=stream,
        include_usage=True,
        extra=_extra(data, found),
    )


def _messages(data: Mapping[str, Any]) -> tuple[tuple[Message, ...], list[dict[str, Any]]]:
    """The conversation with its instructions at the head, and how it changes the tools."""
    blocks = Blocks()
    messages: list[Message] = []
    changes: list[dict[str, Any]] = []
    if data.get("system") is not None:
        _say(messages, Role.SYSTEM, _instructions(blocks.parts(data["system"], "system"), changes))
    for place, given in enumerate(members.items(data, "messages")):
        at = f"messages[{place}]"
        role = role_of(given, at)
        parts = blocks.parts(given.get("content"), f"{at}.content")
        _say(messages, role, _instructions(parts, changes) if role is Role.SYSTEM else parts)
    return tuple(messages), changes


def role_of(message: Any, at: str) -> Role:
    given = message.get("role") if isinstance(message, dict) else None
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise BadBody("a message must be an object whose role is user, assistant or system", at)
    return role


def _say(messages: list[Message], role: Role, parts: tuple[Part, ...]) -> None:
    if parts:
        messages.append(Message(role, parts))


def _instructions(parts: tuple[Part, ...], changes: list[dict[str, Any]]) -> tuple[Part, ...]:
    """What an instruction says to the model; what it says of tools goes to `changes`."""
    said: list[Part] = []
    for part in parts:
        if isinstance(part, Opaque) and part.value["type"] in _CHANGES:
            changes.append(part.value)
        elif isinstance(part, Text) and part.text.startswith(_BILLING):
            rest = part.text.partition("\n")[2]
            said += [Text(rest, part.cache, part.extra)] if rest else []
        elif not isinstance(part, Text) or part.text:
            said.append(part)
    return tuple(said)


def _stop(data: Mapping[str, Any]) -> tuple[str, ...]:
    given = members.items(data, "stop_sequences")
    if not all(isinstance(each, str) for each in given):
        raise members.wrong("stop_sequences", "a list of strings")
    return tuple(given)


def _format(data: Mapping[str, Any]) -> Format | None:
    """`output_config.format`, or the member it had before it had a home."""
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
    """What no other wire knows. Under "tools": the vendor's own, which another target cannot run."""
    kept = members.rest(data, _OWN | {"output_config", "thinking", "metadata"})
    for member, known in (("output_config", ("effort", "format")), ("metadata", ("user_id",))):
        left = members.rest(members.table(data, member) or {}, frozenset(known))
        if left:
            kept[member] = left
    foreign = [*found.foreign, *_toolsets(data, found)]
    if foreign:
        kept["tools"] = foreign
    return {NAME: kept} if kept else {}


def _toolsets(data: Mapping[str, Any], found: Tools) -> list[dict[str, Any]]:
    """The tools of servers that no toolset names: before there were toolsets, naming the server was enough."""
    named = [tool.get("mcp_server_name") for tool in found.foreign]
    servers = [server.get("name") for server in members.items(data, "mcp_servers") if isinstance(server, dict)]
    return [{"type": "mcp_toolset", "mcp_server_name": name} for name in servers if name not in named]
