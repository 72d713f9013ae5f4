"""Faults of the settings, each with a place and a message that says what to do.

    SettingsFault   a key and the sentence for it
    Problem         a fault with its place: a line of a file, or a variable
    SettingsError   every problem of one reading

The validator's errors become faults by a table. A value is repeated only where it cannot be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from runtime.settings.model import Document
from runtime.settings.places import Key
from runtime.settings.shape import at, choices_of, fields_of
from runtime.settings.spelling import nearest, percent


class SettingsFault(NamedTuple):
    key: Key
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """source: the file or the variable. line and column count from 1. key: dotted, "" where the whole file is meant."""

    source: str
    key: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = "".join(f":{number}" for number in (self.line, self.column) if number is not None)
        return f"{self.source}{place}: {self.key}{': ' if self.key else ''}{self.message}"


class SettingsError(Exception):
    """The settings cannot be used. Carries every problem found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dotted(key: Key) -> str:
    """A key as it would be written in the file: `rules[0].to`, `aliases."gpt-4.1"`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """A text as TOML writes it: as JSON does, and DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# The validator's name of an error -> the message. Braces are filled from the error's own context.
_WORDS: Mapping[str, str] = {
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list in brackets",
    "mapping_type": "must be a table",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "string_too_short": "must not be empty",
    "too_short": "must hold at least one entry",
}
_SECRET_NAMES = frozenset({"key", "keys", "admin_keys", "token"})


def faults_of(error: ValidationError) -> list[SettingsFault]:
    """The validator's findings, in its order."""
    return [_fault(finding) for finding in error.errors(include_url=False)]


def _fault(finding: Mapping[str, Any]) -> SettingsFault:
    key, kind, context = tuple(finding["loc"]), finding["type"], finding.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return SettingsFault(key, unknown(key))
        case "missing":
            return SettingsFault(key[:-1], f'needs "{key[-1]}"')
        case "value_error":
            return SettingsFault(key, str(context["error"]))
        case "literal_error":
            choices, given = [str(choice) for choice in choices_of(at(key))], finding["input"]
            near = nearest(given, choices) if isinstance(given, str) else ""
            return SettingsFault(key, f"must be one of {', '.join(choices)}{_instead(key, given)}{near}")
    words = _WORDS[kind].format(**context) if kind in _WORDS else str(finding["msg"]).lower()
    given = finding["input"]
    share = percent(given) if context.get("le") == 1 or kind == "float_type" else ""
    return SettingsFault(key, words + ("" if given == "" else _instead(key, given)) + share)


def unknown(key: Key) -> str:
    """The message for an unknown key, with the nearest known one: in its own table, or elsewhere under the same name."""
    word = str(key[-1])
    near = nearest(word, fields_of(at(key[:-1])))
    homes = [name for name, field in Document.model_fields.items() if word in fields_of(field.annotation)]
    return "unknown key" + (near or (f"; it belongs in [{homes[0]}]" if homes and len(key) <= 2 else ""))


def _instead(key: Key, given: object) -> str:
    if not isinstance(given, str | int | float) or _SECRET_NAMES.intersection(key):
        return ""
    text = json.dumps(given, ensure_ascii=False)
    return f", not {text}" if len(text) <= 60 else ""
