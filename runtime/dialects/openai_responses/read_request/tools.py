"""Tools, the choice among them, and the format of the answer, as a client of the responses wire writes them: flat.

A vendor's own tools stay as written: a target of another wire takes those it knows and drops the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Format, Json, Tool, ToolChoice
from runtime.dialects.custom_tools import SCHEMA, grammar_in_words
from runtime.dialects.openai_responses.words import NAME
from runtime.wire import members
from runtime.wire.members import Table
from runtime.wire.raw_body import BadBody

SEARCH = "tool_search"  # type of the tool by which a client finds more tools; its name on other wires

_TOOL = frozenset({"type", "name", "description", "parameters", "strict"})
_MODES = frozenset({"auto", "none", "required"})
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_ORIGIN = "namespaced"  # the member of a tool's extra that holds its namespace and its name in it
_HOLDERS = ("additional_tools", "tool_search_output")  # items that bring tools


class Namespaced(NamedTuple):
    """A function as the client names it. namespace: "" for none."""

    namespace: str
    name: str


class ClientTools:
    """The tools of one request: those of its member `tools`, and those that items of its input bring.

    The functions of a namespace become functions of their own, with both names in one.
    functions: run by the client. vendors: a vendor's own tools, as written. grammars: True if a grammar is kept in words alone.
    """

    def __init__(self, data: Table) -> None:
        self.vendors: list[Json] = []
        self.grammars = False
        self._tools: dict[Namespaced, Tool] = {}
        self._taken: set[str] = set()
        lists = [("tools", members.items(data, "tools"))]
        given = data.get("input")
        for place, item in enumerate(given if isinstance(given, list) else ()):
            if isinstance(item, dict) and item.get("type") in _HOLDERS:
                lists.append((f"input[{place}].tools", members.items(item, "tools", f"input[{place}]")))
        for at, entries in lists:
            for place, entry in enumerate(entries):
                self._read(entry, f"{at}[{place}]")

    @property
    def functions(self) -> tuple[Tool, ...]:
        return tuple(self._tools.values())

    def flat(self, namespace: str, name: str) -> str:
        """The name of a function on wires without namespaces; also of one that is no longer among the tools."""
        known = self._tools.get(Namespaced(namespace, name))
        return known.name if known is not None else _joined(namespace, name)

    def within(self, namespace: str) -> list[str]:
        """The flat names of a namespace's functions."""
        return [tool.name for key, tool in self._tools.items() if key.namespace == namespace]

    def _read(self, entry: Any, at: str) -> None:
        if not isinstance(entry, dict):
            raise members.wrong(at, "an object")
        match entry.get("type"):
            case "namespace":
                namespace, about = members.needed_text(entry, "name", at), members.text(entry, "description", at)
                for place, inner in enumerate(members.items(entry, "tools", at)):
                    here = f"{at}.tools[{place}]"
                    if not isinstance(inner, dict):
                        raise members.wrong(here, "an object")
                    if inner.get("type", "function") not in ("function", "custom"):
                        self.vendors.append(inner)
                        continue
                    self._add(inner, here, namespace, about)
                    about = None  # its first function introduces the namespace
            case "function" | "custom":
                self._add(entry, at, "", None)
            case "tool_search" if entry.get("execution") == "client":
                self._add(entry | {"name": SEARCH}, at, "", None)
            case str():
                self.vendors.append(entry)
            case _:
                raise members.wrong(f"{at}.type", "a string")

    def _add(self, entry: dict[str, Any], at: str, namespace: str, about: str | None) -> None:
        """about: the words about the namespace, before those about its first function."""
        key = Namespaced(namespace, members.needed_text(entry, "name", at))
        described = [about, members.text(entry, "description", at)]
        if entry.get("type") == "custom":
            schema: Any = SCHEMA
            strict, extra = None, dict[str, Any](type="custom")
            if (grammar := grammar_in_words(entry, at)) is not None:
                described.append(grammar)
                self.grammars = True
        else:
            schema, strict = members.table(entry, "parameters", at), members.flag(entry, "strict", at)
            extra = {"type": SEARCH} if entry.get("type") == SEARCH else members.rest(entry, _TOOL)
        flat = self._tools[key].name if key in self._tools else _joined(*key)
        while key not in self._tools and flat in self._taken:
            flat += "_"
        self._taken.add(flat)
        if namespace:
            extra = extra | {_ORIGIN: key}
        description = "\n\n".join(words for words in described if words) or None
        self._tools[key] = Tool(flat, description, schema, strict, extra={NAME: extra} if extra else {})


def _joined(namespace: str, name: str) -> str:
    if not namespace:
        return name
    between = "" if namespace.endswith("__") else "__"
    return _NOT_IN_A_NAME.sub("_", f"{namespace}{between}{name}")


def namespaced(tool: Tool) -> Namespaced | None:
    """The client's name of a function in a namespace; None for any other."""
    origin = tool.extra.get(NAME, {}).get(_ORIGIN)
    return origin if isinstance(origin, Namespaced) else None


def own_members(tool: Tool) -> Mapping[str, Any]:
    """The members of a function that only this wire has."""
    return {name: value for name, value in tool.extra.get(NAME, {}).items() if name not in (_ORIGIN, "type")}


def kind_of(tool: Tool) -> Literal["function", "custom", "tool_search"]:
    """The type of a client's tool on this wire."""
    kind: Any = tool.extra.get(NAME, {}).get("type", "function")
    return cast(Literal["function", "custom", "tool_search"], kind)


def tool_choice(data: Table, tools: ClientTools) -> ToolChoice | None:
    """Raises Unsupported for the choice of a vendor's own tool."""
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
            return ToolChoice("named", _known(choice, "tool_choice", tools))
        case "allowed_tools":
            mode, names = choice.get("mode", "auto"), list[str]()
            if mode not in ("auto", "required"):
                raise members.wrong("tool_choice.mode", "auto or required")
            entries = members.items(choice, "tools", "tool_choice")
            for place, entry in enumerate(entries):
                kind = entry.get("type", "function") if isinstance(entry, dict) else None
                if kind == "namespace":
                    names += tools.within(str(entry.get("name")))
                elif not isinstance(kind, str) or kind in ("function", "custom"):
                    names.append(_known(entry, f"tool_choice.tools[{place}]", tools))
            if not entries:
                raise members.wrong("tool_choice.tools", "a list with at least one tool")
            if not names and mode == "required":
                raise Unsupported("allowed tools can only be functions on other wires", "tool_choice")
            # A vendor's own tools that are allowed and not demanded are left out.
            return ToolChoice(mode, allowed=tuple(names)) if names else ToolChoice("none")
        case other:
            raise Unsupported(f"a tool choice of type {other!r} exists on OpenAI's own wire alone", "tool_choice")


def _known(entry: Any, at: str, tools: ClientTools) -> str:
    """The flat name of a function that exists."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise members.wrong(f"{at}.name", "a string")
    flat = tools.flat(members.text(entry, "namespace", at) or "", name)
    if not any(tool.name == flat for tool in tools.functions):
        raise BadBody(f"{at!r} names {name!r}, which is none of the tools", f"{at}.name")
    return flat


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
