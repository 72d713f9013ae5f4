"""Tools and the choice among them, as a client of this wire writes them."""

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
    """functions: run by the client. vendors: run by the vendor, or known to its models by heart; as written."""

    functions: tuple[Tool, ...]
    vendors: tuple[Json, ...]


def tools(data: Mapping[str, Any], changes: list[dict[str, Any]]) -> Tools:
    """The tools at the end of the conversation. changes: its tool_addition and tool_removal blocks, in order.

    Deferred tools are declared like all others, so that the tool that searches for them is not needed.
    """
    functions: dict[str, Tool] = {}
    vendors: list[Json] = []
    for place, entry in enumerate(members.items(data, "tools")):
        _add(entry, f"tools[{place}]", functions, vendors)
    declared = dict(functions)
    for change in changes:
        tool = change.get("tool")
        tool = tool if isinstance(tool, dict) else {}
        name = str(tool.get("name"))
        if change["type"] == "tool_removal":
            functions.pop(name, None)
        elif tool.get("type") == "tool_definition":
            _add(tool.get("definition"), "tool_addition.tool.definition", functions, vendors)
        elif name in declared:
            functions.setdefault(name, declared[name])
    return Tools(tuple(functions.values()), tuple(vendors))


def _add(entry: Any, at: str, functions: dict[str, Tool], vendors: list[Json]) -> None:
    if not isinstance(entry, dict):
        raise members.wrong(at, "an object")
    kind = members.text(entry, "type", at)
    if kind in (None, "custom"):
        name = members.needed_text(entry, "name", at)
        functions[name] = Tool(
            name=name,
            description=members.text(entry, "description", at),
            schema=members.table(entry, "input_schema", at),
            strict=members.flag(entry, "strict", at),
            cache=cache_mark(entry),
            extra=extra_of(entry, _OWN),
        )
    elif not (kind or "").startswith(_SEARCH):
        vendors.append(entry)


def tool_choice(data: Mapping[str, Any]) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and True or False for parallel calls if the client says so."""
    choice = members.table(data, "tool_choice")
    if choice is None:
        return None, None
    mode = _MODES.get(members.text(choice, "type", "tool_choice") or "")
    if mode is None:
        raise BadBody("'tool_choice.type' must be auto, any, tool or none", "tool_choice.type")
    name = members.needed_text(choice, "name", "tool_choice") if mode == "named" else None
    alone = members.flag(choice, "disable_parallel_tool_use", "tool_choice")
    return ToolChoice(mode, name), None if alone is None else not alone
