"""Custom tools of OpenAI's wires, which are called with free text: on other wires a function of one text.

A grammar of the text has no equal there: it goes into the tool's description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.dialects.meter import UNDECODABLE
from runtime.wire import members

INPUT = "input"  # the one argument
CUSTOM = "custom"  # the type of such a tool
SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}


def grammar_in_words(tool: dict[str, Any], at: str) -> str | None:
    """The grammar of a custom tool; None if it takes any text. Raises BadBody."""
    form = members.table(tool, "format", at) or {}
    if form.get("type", "text") != "grammar":
        return None
    inner = members.table(form, "grammar", f"{at}.format") or form  # chat has an object more than responses
    syntax, definition = (members.text(inner, name, f"{at}.format") for name in ("syntax", "definition"))
    return f"The text must match this grammar ({syntax or 'lark'}):\n{definition}" if definition else None


def arguments_of(text: str) -> str:
    """The arguments of the function."""
    return msgspec.json.encode({INPUT: text}).decode()


def text_of(arguments: str) -> str:
    """The text that the tool was called with; the arguments as they are if they hold none."""
    try:
        value = msgspec.json.decode(arguments)
    except UNDECODABLE:
        return arguments
    text = value.get(INPUT) if isinstance(value, Mapping) else None
    return text if isinstance(text, str) else arguments
