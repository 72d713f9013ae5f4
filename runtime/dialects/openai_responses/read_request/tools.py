"""Tools, the choice among them, and the format of the answer, as a client of the responses wire writes them: flat.

A vendor's own tools stay as written: a target of another wire takes those it knows and refuses the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, cast

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Format, Json, Tool, ToolChoice
from runtime.dialects.openai_responses.words import NAME
from runtime.wire import members
from runtime.wire.members import Table
from runtime.wire.raw_body import BadBody

INPUT = "input"  # the one argument of a custom tool on other wires

_TOOL = frozenset({"type", "name", "description", "parameters", "strict"})
_MODES = frozenset({"auto", "none", "required"})


def tools(data: Table) -> tuple[tuple[Tool, ...], list[Json]]:
    """The functions, and the entries that are a vendor's own tools."""
    functions: list[Tool] = []
    vendors: list[Json] = []
    for place, entry in enumerate(members.items(data, "tools")):
        at = f"tools[{place}]"
        if not isinstance(entry, dict):
            raise members.wrong(at, "an object")
        match entry.get("type"):
            case "function":
                extra = members.rest(entry, _TOOL)
                functions.append(
                    Tool(
                        name=members.needed_text(entry, "name", at),
                        description=members.text(entry, "description", at),
                        schema=members.table(entry, "parameters", at),
                        strict=members.flag(entry, "strict", at),
                        extra={NAME: extra} if extra else {},
                    )
                )
            case "custom":
                functions.append(_custom(entry, at))
            case str():
                vendors.append(entry)
            case _:
                raise members.wrong(f"{at}.type", "a string")
    return tuple(functions), vendors


def _custom(entry: dict[str, Any], at: str) -> Tool:
    """A tool called with free text, as a function of one text. Raises Unsupported for one with a grammar."""
    form = members.table(entry, "format", at) or {}
    if form.get("type", "text") != "text":
        raise Unsupported("custom tools with a grammar exist on OpenAI's own wire alone", "tools")
    schema = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}
    name, description = members.needed_text(entry, "name", at), members.text(entry, "description", at)
    return Tool(name, description, schema, extra={NAME: {"type": "custom"}})


def is_custom(tool: Tool) -> bool:
    return bool(tool.extra.get(NAME, {}).get("type") == "custom")


def tool_choice(data: Table, known: Collection[str]) -> ToolChoice | None:
    """known: names of the functions. Raises Unsupported for the choice of a vendor's own tool."""
    choice = data.get("tool_choice")
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _MODES:
            raise members.wrong("tool_choice", "none, auto, required, or an object that names a tool")
        return ToolChoice(cast(Literal["auto", "none", "required"], choice))
    if not isinstance(choice, dict):
        raise members.wrong("tool_choice", "a string or an object")
    match choice.get("type"):
        case "function" | "custom":
            return ToolChoice("named", _known(choice, "tool_choice", known))
        case "allowed_tools":
            mode, names = choice.get("mode", "auto"), list[str]()
            if mode not in ("auto", "required"):
                raise members.wrong("tool_choice.mode", "auto or required")
            for place, entry in enumerate(members.items(choice, "tools", "tool_choice")):
                if isinstance(entry, dict) and entry.get("type", "function") not in ("function", "custom"):
                    raise Unsupported("allowed tools can only be functions on other wires", "tool_choice")
                names.append(_known(entry, f"tool_choice.tools[{place}]", known))
            if not names:
                raise members.wrong("tool_choice.tools", "a list with at least one tool")
            return ToolChoice(mode, allowed=tuple(names))
        case other:
            raise Unsupported(f"a tool choice of type {other!r} exists on OpenAI's own wire alone", "tool_choice")


def _known(entry: Any, at: str, known: Collection[str]) -> str:
    """The name of a function that exists."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise members.wrong(f"{at}.name", "a string")
    if name not in known:
        raise BadBody(f"{at!r} names {name!r}, which is none of the tools", f"{at}.name")
    return name


def answer_format(data: Table) -> Format | None:
    """`text.format`; None if any text will do."""
    at = "text.format"
    wanted = members.table(members.table(data, "text") or {}, "format", "text")
    if wanted is None or wanted.get("type") == "text":
        return None
    match wanted.get("type"):
        case "json_object":
            return Format()
        case "json_schema":
            schema = members.table(wanted, "schema", at)
            return Format(
                schema={"type": "object"} if schema is None else schema,
                name=members.text(wanted, "name", at) or "answer",
                strict=members.flag(wanted, "strict", at),
                description=members.text(wanted, "description", at),
            )
        case _:
            raise members.wrong(f"{at}.type", "text, json_object or json_schema")
