"""Tools and the choice among them, as a client of this wire gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from runtime.contract.messages import Json, Tool, ToolChoice
from runtime.dialects.anthropic_messages.read_request.sources import cache_mark, extra_of
from runtime.wire import members
from runtime.wire.raw_body import BadBody

_OWN = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_SEARCH = "tool_search_tool_"
_MODES: Mapping[str, Literal["auto", "none", "required", "named"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "named",
    "none": "none",
}


class Tools(NamedTuple):
    """functions: what the client runs. foreign: what the vendor runs or knows by heart, as written."""

    functions: tuple[Tool, ...]
    foreign: tuple[Json, ...]


def tools(data: Mapping[str, Any], changes: list[dict[str, Any]]) -> Tools:
    """The tools as the conversation leaves them. changes: its tool_addition and tool_removal blocks, in order.

    Deferred tools are declared like all others, so that a tool that searches for them is not needed.
    """
    functions: dict[str, Tool] = {}
    foreign: list[Json] = []
    for place, entry in enumerate(members.items(data, "tools")):
        _add(entry, f"tools[{place}]", functions, foreign)
    declared = dict(functions)
    for change in changes:
        _change(change, declared, functions, foreign)
    return Tools(tuple(functions.values()), tuple(foreign))


def _add(entry: Any, at: str, functions: dict[str, Tool], foreign: list[Json]) -> None:
    if not isinstance(entry, dict):
        raise members.wrong(at, "an object")
    kind = members.text(entry, "type", at)
    if kind in (None, "custom"):
        tool = _function(entry, at)
        functions[tool.name] = tool
    elif not (kind or "").startswith(_SEARCH):
        foreign.append(entry)


def _function(entry: Mapping[str, Any], at: str) -> Tool:
    return Tool(
        name=members.needed_text(entry, "name", at),
        description=members.text(entry, "description", at),
        schema=members.table(entry, "input_schema", at),
        strict=members.flag(entry, "strict", at),
        cache=cache_mark(entry),
        extra=extra_of(entry, _OWN),
    )


def _change(
    block: Mapping[str, Any], declared: dict[str, Tool], functions: dict[str, Tool], foreign: list[Json]
) -> None:
    """A tool that comes or goes in the middle of the conversation."""
    tool = block.get("tool")
    tool = tool if isinstance(tool, dict) else {}
    name = str(tool.get("name"))
    if block["type"] == "tool_removal":
        functions.pop(name, None)
    elif tool.get("type") == "tool_definition":
        _add(tool.get("definition"), "tool_addition.tool.definition", functions, foreign)
    elif name in declared:
        functions.setdefault(name, declared[name])


def tool_choice(data: Mapping[str, Any]) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may come in parallel."""
    choice = members.table(data, "tool_choice")
    if choice is None:
        return None, None
    mode = _MODES.get(members.text(choice, "type", "tool_choice") or "")
    if mode is None:
        raise BadBody("'tool_choice.type' must be auto, any, tool or none", "tool_choice.type")
    name = members.needed_text(choice, "name", "tool_choice") if mode == "named" else None
    alone = members.flag(choice, "disable_parallel_tool_use", "tool_choice")
    return ToolChoice(mode, name), None if alone is None else not alone
