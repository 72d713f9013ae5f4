"""Structured answers where a model cannot be made to keep a schema: say it, check it, ask once more, or own up.

Pure. `instructed` puts the wish into words, `fault` judges an answer, `repair` asks for a better one. What is asked once more
and still wrong is a failure: never an answer that pretends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import jsonschema
import msgspec
from referencing import Registry
from referencing.exceptions import Unresolvable

from runtime.contract.messages import Format, Message, Request, Role, Text

_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an answer is not what was asked for. at: the JSON path, "" for the whole."""

    message: str
    at: str = ""

    def __str__(self) -> str:
        return f"at {self.at}: {self.message}" if self.at else self.message


def instructed(request: Request) -> Request:
    """The request with its format said in words, after the instructions that stand at its head. A JSON object is still
    asked for, so that a server which knows that much enforces it."""
    wanted = request.format
    if wanted is None:
        return request
    head = 0
    while head < len(request.messages) and request.messages[head].role is Role.SYSTEM:
        head += 1
    told = Message(Role.SYSTEM, (Text(instruction(wanted)),))
    messages = (*request.messages[:head], told, *request.messages[head:])
    return replace(request, messages=messages, format=Format(None, wanted.name))


def instruction(wanted: Format) -> str:
    """The wish in words; the same words for the same schema, so that prompt caches hold."""
    words = "Answer with one JSON object and nothing else: no prose around it, no code fence."
    if wanted.schema is None:
        return words
    about = f" It describes: {wanted.description}." if wanted.description else ""
    return f"{words}{about} It must be valid under this JSON Schema:\n{msgspec.json.encode(wanted.schema).decode()}"


def unfenced(text: str) -> str:
    """The text without a code fence around all of it."""
    fenced = _FENCE.match(text)
    return fenced[1] if fenced else text


def fault(text: str, wanted: Format) -> Fault | None:
    """What is wrong with an answer; None where it keeps its format. A schema that is none itself binds nothing."""
    try:
        value = msgspec.json.decode(unfenced(text))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Fault(f"it is not valid JSON: {error}")
    if wanted.schema is None:
        return None if isinstance(value, dict) else Fault("it is not a JSON object")
    return _against(value, wanted.schema)


def _against(value: Any, schema: Any) -> Fault | None:
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        # An empty registry: nothing a client names in its schema is fetched.
        found = jsonschema.exceptions.best_match(kind(schema, registry=Registry()).iter_errors(value))
    except (jsonschema.exceptions.SchemaError, Unresolvable, RecursionError):
        return None
    return None if found is None else Fault(found.message[:_SHOWN], found.json_path)


def repair(request: Request, answer: str, found: Fault) -> Request:
    """The one more request: the answer given back with what is wrong with it."""
    words = f"That is not what was asked for: {found}. Answer again, with the corrected JSON object alone."
    said = Message(Role.ASSISTANT, (Text(answer),)) if answer else None
    asked = Message(Role.USER, (Text(words),))
    return replace(request, messages=(*request.messages, *((said,) if said else ()), asked))
