"""Reads tools, the choice among them, and the format of the answer from a chat body."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Cache, Format, Json, Tool, ToolChoice
from runtime.dialects.custom_tools import CUSTOM, SCHEMA, grammar_in_words
from runtime.wire import members
from runtime.wire.members import Table
from runtime.wire.raw_body import BadBody

WIRE = "openai_chat"
OLD = "functions"  # marks a tool that the client gave in the old spelling

_FUNCTION = frozenset({"name", "description", "parameters", "strict", "cache_control"})
_ENTRY = frozenset({"type", "function", "cache_control"})
_MODES = frozenset({"auto", "none", "required"})


def tools(data: Table) -> tuple[tuple[Tool, ...], list[Json]]:
    """The functions, in either spelling, and all other entries as written: a vendor's own tools."""
    functions, foreign = [], []
    for place, entry in enumerate(members.items(data, "tools")):
        at = f"tools[{place}]"
        if not isinstance(entry, dict):
            raise members.wrong(at, "an object")
        kind = entry.get("type", "function" if "function" in entry else None)
        if kind == CUSTOM:
            functions.append(_custom(members.table(entry, CUSTOM, at) or entry, at))
            continue
        if kind != "function":
            foreign.append(entry)
            continue
        inner = members.table(entry, "function", at)
        if inner is None:
            raise members.wrong(f"{at}.function", "an object")
        functions.append(_tool(inner, entry, f"{at}.function"))
    old = [_tool(entry, {}, f"functions[{place}]") for place, entry in enumerate(members.items(data, "functions"))]
    functions += [replace(tool, extra={WIRE: dict(tool.extra.get(WIRE, {})) | {OLD: True}}) for tool in old]
    return tuple(functions), foreign


def _custom(inner: dict[str, Any], at: str) -> Tool:
    """A tool called with free text; `grammar` in its extra marks one whose grammar is kept in words alone."""
    grammar = grammar_in_words(inner, at)
    words = (members.text(inner, "description", at), grammar)
    extra = {CUSTOM: True} | ({"grammar": True} if grammar else {})
    description = "\n\n".join(each for each in words if each) or None
    return Tool(members.needed_text(inner, "name", at), description, SCHEMA, extra={WIRE: extra})


def is_custom(tool: Tool) -> bool:
    return bool(tool.extra.get(WIRE, {}).get(CUSTOM))


def speaks_of_functions(given: Sequence[Tool]) -> bool:
    """True if the client uses the old spelling of tools and expects a `function_call`."""
    return any(tool.extra.get(WIRE, {}).get(OLD) for tool in given)


def _tool(inner: Any, entry: dict[str, Any], at: str) -> Tool:
    if not isinstance(inner, dict):
        raise members.wrong(at, "an object")
    extra = members.rest(entry, _ENTRY)
    beside = members.rest(inner, _FUNCTION)
    if beside:
        extra["function"] = beside
    return Tool(
        name=members.needed_text(inner, "name", at),
        description=members.text(inner, "description", at),
        schema=members.table(inner, "parameters", at),
        strict=members.flag(inner, "strict", at),
        cache=cache(entry) or cache(inner),
        extra={WIRE: extra} if extra else {},
    )


def cache(value: Table) -> Cache | None:
    """A cache breakpoint: the extension of several vendors, or OpenAI's own."""
    mark = value.get("cache_control")
    if isinstance(mark, dict):
        ttl = mark.get("ttl")
        return Cache(ttl if isinstance(ttl, str) else None)
    return Cache() if isinstance(value.get("prompt_cache_breakpoint"), dict) else None


def tool_choice(data: Table, known: Collection[str]) -> ToolChoice | None:
    """known: names of the functions there are."""
    choice, member = data.get("tool_choice"), "tool_choice"
    if choice is None and "functions" in data:
        # The old spelling: a mode, or an object with the name.
        choice, member = data.get("function_call"), "function_call"
        choice = {"type": "function", "function": choice} if isinstance(choice, dict) else choice
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _MODES:
            raise members.wrong(member, "none, auto, required, or an object that names a function")
        return ToolChoice(cast(Literal["auto", "none", "required"], choice))
    if not isinstance(choice, dict):
        raise members.wrong(member, "a string or an object")
    kind = choice.get("type", "function")
    if kind in ("function", CUSTOM):
        return ToolChoice("named", _known(choice.get(kind), f"{member}.{kind}", known))
    if kind == "allowed_tools":
        return _allowed(choice, known)
    raise Unsupported(f"a tool choice of type {kind!r} exists on OpenAI's own wire alone", "tool_choice")


def _allowed(choice: dict[str, Any], known: Collection[str]) -> ToolChoice:
    at = "tool_choice.allowed_tools"
    inner = members.table(choice, "allowed_tools", "tool_choice") or choice
    mode = inner.get("mode", "auto")
    if mode not in ("auto", "required"):
        raise members.wrong(f"{at}.mode", "auto or required")
    names = []
    for place, entry in enumerate(members.items(inner, "tools", at)):
        function = entry.get("function", entry.get(CUSTOM, entry)) if isinstance(entry, dict) else None
        names.append(_known(function, f"{at}.tools[{place}]", known))
    if not names:
        raise members.wrong(f"{at}.tools", "a list with at least one function")
    return ToolChoice(mode, allowed=tuple(names))


def _known(function: Any, at: str, known: Collection[str]) -> str:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise members.wrong(f"{at}.name", "a string")
    if name not in known:
        raise BadBody(f"{at!r} names {name!r}, which is none of the tools", f"{at}.name")
    return name


def answer_format(data: Table) -> Format | None:
    """`response_format`; None if any text will do."""
    wanted = members.table(data, "response_format")
    kind = "text" if wanted is None else wanted.get("type")
    if wanted is None or kind == "text":
        return None
    if kind == "json_object":
        return Format()
    if kind in ("grammar", "python", "regex"):
        raise Unsupported("only text, json_object and json_schema can be translated", "response_format")
    if kind != "json_schema":
        raise members.wrong("response_format.type", "text, json_object or json_schema")
    at = "response_format.json_schema"
    inner = members.table(wanted, "json_schema", "response_format")
    if inner is None:
        raise members.wrong(at, "an object")
    schema = inner.get("schema")
    if schema is not None and not isinstance(schema, dict):
        raise members.wrong(f"{at}.schema", "an object")
    return Format(
        schema=schema if schema is not None else {"type": "object"},
        name=members.text(inner, "name", at) or "answer",
        strict=members.flag(inner, "strict", at),
        description=members.text(inner, "description", at),
    )
