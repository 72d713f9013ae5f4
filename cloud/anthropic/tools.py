"""Functions and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloud.anthropic import blocks, extras, schema
from cloud.anthropic.names import tool_name
from cloud.losses import Losses
from runtime.contract.messages import Request, Tool, ToolCall, ToolChoice
from runtime.contract.targets import Capabilities

_OWN = frozenset({"allowed_callers", "defer_loading", "eager_input_streaming", "input_examples"})
_MODES = {"auto": "auto", "required": "any", "none": "none"}


def declared(request: Request, can: Capabilities, losses: Losses) -> list[dict[str, Any]]:
    """The tools as the wire takes them. A history with calls needs declarations: without tools, those that it names."""
    allowed = request.tool_choice.allowed if request.tool_choice else ()
    tools = [tool for tool in request.tools if not allowed or tool.name in allowed]
    out: list[dict[str, Any]] = []
    for tool in tools or _remembered(request):
        description = {"description": tool.description} if tool.description else {}
        made: dict[str, Any] = (
            {"name": tool_name(tool.name)} | description | {"input_schema": schema.input_schema(tool.schema)}
        )
        made |= extras.own(tool.extra, _OWN)
        if tool.strict:
            try:
                if not can.structured_output:
                    raise schema.Unshapable("this model guarantees no arguments")
                made["input_schema"] = schema.closed(made["input_schema"] | {"additionalProperties": False})
                made["strict"] = True
            except schema.Unshapable:
                losses.add("strict")
        out.append(blocks.cached(made, tool.cache))
    extras.check_tools(request, losses)
    return out + extras.tools(request)


def choice(request: Request, can: Capabilities, losses: Losses) -> dict[str, Any] | None:
    """The choice among the tools. A choice that forces a call is weakened for a model that refuses it."""
    if not _offered(request):
        return {"type": "none"} if _remembered(request) else None
    asked = request.tool_choice or ToolChoice()
    if forces(request) and not can.forced_tools:
        losses.add("tool_choice")
        asked = ToolChoice("auto")
    if asked.mode == "named":
        out: dict[str, Any] = {"type": "tool", "name": tool_name(asked.name or "")}
    else:
        out = {"type": _MODES[asked.mode]}
    if request.parallel_tool_calls is False and asked.mode != "none":
        return out | {"disable_parallel_tool_use": True}
    return out if request.tool_choice else None


def forces(request: Request) -> bool:
    """True if the client leaves the model no choice but to call."""
    return request.tool_choice is not None and request.tool_choice.mode in ("required", "named") and _offered(request)


def nudge(name: str | None) -> str:
    """The instruction for a model that cannot be forced to call. name: of the one tool that is wanted."""
    which = f"the tool {tool_name(name)}" if name else "one of the tools"
    return f"Answer by calling {which}. Do not answer in words alone."


def _offered(request: Request) -> bool:
    return bool(request.tools or extras.tools(request))


def _remembered(request: Request) -> Sequence[Tool]:
    """Tools by the names that the history's calls hold."""
    parts = (part for message in request.messages for part in message.parts)
    return [Tool(name) for name in dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall))]
