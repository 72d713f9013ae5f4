"""What the stand-in for models says, as a pure function of what it is asked.

First match (`answer`; each row but the first two and the last is asked for in the prompt or by a parameter):

    a tool must be called        the tool that the prompt names, else one not called yet, with arguments that fit its schema;
                                 with `{}` while the prompt says `badly at first` and nothing has come back yet
    `call NAME with {…}`         those calls, of the tools that are offered; those behind `then` one turn later
    tool results came back       text: `The tools said: …`
    a schema, or JSON            an object that fits; so it does when the prompt says `Answer in JSON`
    anything else                text

With `think` in the prompt, calls and text come after reasoning. Bodies are those of the chat wire.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PLAIN = "Paris is the capital of France, and has been for a long time."
THOUGHT = "They ask for a capital."

_ORDER = re.compile(r"call (\w+) with (?=\{)")
_BADLY = "badly at first"
_THINK = "think"
_IN_JSON = "Answer in JSON"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """arguments: JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Text, or calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""

    @property
    def finish(self) -> str:
        return "tool_calls" if self.calls else "stop"


def answer(body: Json) -> Answer:
    messages: list[Json] = body["messages"]
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or () if "function" in tool}
    prompt, done = _prompt(messages)
    results = _results(messages)
    steps = list(_steps(prompt))[done:]
    ordered = tuple(call for call in _orders(prompt) if call.name in tools)
    due = tuple(call for call in _orders(steps[0]) if call.name in tools) if steps else ()
    choice = body.get("tool_choice")
    reasoning = THOUGHT if _THINK in prompt else ""
    if tools and (choice == "required" or isinstance(choice, dict)):
        return Answer(calls=(_forced(choice, tools, messages, ordered, bad=_BADLY in prompt and not results),))
    if due and choice != "none":
        return Answer(calls=due, reasoning=reasoning)
    if results:
        return Answer("The tools said: " + "; ".join(results))
    wanted = _schema({"type": "json_object"} if _IN_JSON in prompt else body.get("response_format"))
    if wanted is not None:
        return Answer(json.dumps(example(wanted)))
    return Answer(PLAIN, reasoning=reasoning)


def _forced(
    choice: str | Json, tools: Mapping[str, Json], messages: list[Json], ordered: tuple[Call, ...], *, bad: bool
) -> Call:
    called = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    fresh = [call for call in ordered if call.name not in called]
    if isinstance(choice, str) and fresh:
        return fresh[0]
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    name = named or next((name for name in tools if name not in called), list(tools)[-1])
    return Call(name, "{}" if bad else json.dumps(example(tools[name].get("parameters") or {"type": "object"})))


def _prompt(messages: list[Json]) -> tuple[str, int]:
    """The text of the last user message that orders calls, else of the last that has any; the turns of calls since.

    Agents add messages of their own to a task under way; once the model has answered in text, an order is over.
    """
    prompt, turns, calling, over = "", 0, False, True
    for message in messages:
        text = _text(message.get("content"))
        if message["role"] == "assistant":
            calls = bool(message.get("tool_calls"))
            turns += calls and not calling
            calling |= calls
            over = not calling
            continue
        calling = False
        if message["role"] == "user" and text and (over or _ORDER.search(text) or not _ORDER.search(prompt)):
            prompt, turns = text, 0
    return prompt, turns


def _results(messages: list[Json]) -> list[str]:
    """What tools gave since the model last spoke."""
    last = max((place for place, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return [_text(message.get("content")) for message in messages[last + 1 :] if message["role"] == "tool"]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def _steps(prompt: str) -> Iterator[str]:
    """The prompt, cut at each `then` before an order."""
    return iter(re.split(r"\bthen (?=call \w+ with \{)", prompt))


def _orders(prompt: str) -> Iterator[Call]:
    for order in _ORDER.finditer(prompt):
        with contextlib.suppress(json.JSONDecodeError):  # an order that somebody quotes is none
            given, _ = json.JSONDecoder().raw_decode(prompt[order.end() :])
            yield Call(order[1], json.dumps(given))


def _schema(wanted: Json | None) -> Json | None:
    """The schema that a `response_format` asks for; None where it asks for none."""
    kind = (wanted or {}).get("type")
    if wanted is not None and kind == "json_schema":
        schema: Json = wanted["json_schema"]["schema"]
        return schema
    return {"properties": {"city": {"type": "string"}}} if kind == "json_object" else None


def example(schema: Json, root: Json | None = None) -> Any:
    """A value that fits the schema, as far as types, enumerations and references go."""
    root = schema if root is None else root
    if "$ref" in schema:
        return example(_resolve(schema["$ref"], root), root)
    for member in ("enum", "const"):
        if member in schema:
            return schema["enum"][0] if member == "enum" else schema["const"]
    for member in ("anyOf", "oneOf", "allOf"):
        if member in schema:
            return example(next(each for each in schema[member] if each.get("type") != "null"), root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(each, root) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}), root)]
    return {"string": "Paris", "integer": 7, "number": 7.5, "boolean": True}.get(kind)


def _resolve(reference: str, root: Json) -> Json:
    found = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def pieces(text: str, size: int = 7) -> Iterator[str]:
    """The text as a stream says it."""
    return (text[start : start + size] for start in range(0, len(text), size))
