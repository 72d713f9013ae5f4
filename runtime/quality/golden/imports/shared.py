"""Cases that were taken from a file, and the sentences on what was not. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from runtime.settings.faults import dotted, quoted

Case = dict[str, Any]  # the members of one case, as a line of JSONL has them


class NotTaken(ValueError):
    """A case or check that has no like here. The message says what it is."""


class Imported(NamedTuple):
    """untaken: one sentence each, with the place in the file."""

    cases: list[Case]
    untaken: list[str]

    def jsonl(self, name: str, task: str = "") -> str:
        """The golden set as JSONL."""
        own: dict[str, Any] = {"name": name} | ({"task": task} if task else {})
        return "".join(f"{msgspec.json.encode(each).decode()}\n" for each in ({"set": own}, *self.cases))

    def toml(self, name: str, task: str = "") -> str:
        """The golden set as TOML. Raises NotTaken where a case has a null, which TOML has not."""
        own = {"name": name} | ({"task": task} if task else {})
        lines = [f"{key} = {toml_value(value)}" for key, value in own.items()]
        for case in self.cases:
            lines += ["", "[[case]]", *(f"{dotted((key,))} = {toml_value(value)}" for key, value in case.items())]
        return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """A value of JSON in one line. Raises NotTaken."""
    if value is None:
        raise NotTaken("a null has no like in TOML")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{dotted((name,))} = {toml_value(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def records(text: str) -> Iterable[tuple[str, Any]]:
    """The objects of a JSONL file, or of a file that is one JSON list, each with its place. A bad line gives its fault."""
    if text.lstrip().startswith("["):
        try:
            listed = msgspec.json.decode(text)
        except msgspec.DecodeError as fault:
            yield "the file", fault
            return
        yield from ((f"record {number}", each) for number, each in enumerate(listed, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}", msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError) as fault:
                yield f"line {number}", fault


def turns(given: Any) -> Case:
    """A prompt or messages as members of a case. Raises NotTaken."""
    if isinstance(given, str) and given.strip():
        return {"prompt": given}
    if isinstance(given, list) and given and all(isinstance(each, Mapping) and "content" in each for each in given):
        kept = ("role", "content", "name", "tool_calls", "tool_call_id")
        return {"messages": [{name: each[name] for name in kept if name in each} for each in given]}
    raise NotTaken("its input is neither a text nor a list of messages")


def texts(given: Any) -> list[str]:
    """One wanted text or several. Raises NotTaken."""
    listed = given if isinstance(given, list) else [given]
    if not listed or not all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in listed):
        raise NotTaken("what it wants is no text and no list of texts")
    return [str(each) for each in listed]


def one_or_many(kind: str, wanted: list[str], **options: Any) -> Case:
    """A check that takes one text or a list of them."""
    return {kind: wanted[0] if len(wanted) == 1 else wanted, **options}
