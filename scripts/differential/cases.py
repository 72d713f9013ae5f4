"""The cases for both translators: written requests and answers that cover the features, and recorded ones if there are any.

Requests are in OpenAI's chat form, without a model; each is asked of every model of every wire. Recordings are read through
the judge beside them, which derives the chat request a client would have sent; none stands here.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any

# Of each wire a model of an older generation and one of a newer, both known to both translators.
MODELS = {
    "anthropic": ("claude-sonnet-4-5", "claude-opus-4-8"),
    "gemini": ("gemini-2.5-flash", "gemini-3.6-flash"),
}
JUDGED = ("recordings", "reverse", "synth")


@dataclass(frozen=True, slots=True)
class Question:
    """A chat request. name: for the reader of a difference."""

    name: str
    request: Json


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's answer: its events, and the body of one that was not streamed."""

    name: str
    wire: str
    model: str
    stream: str
    whole: Json = None


# Written requests

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_PDF = "JVBERi0xLjQKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+PgplbmRvYmoKdHJhaWxlcjw8L1Jvb3QgMSAwIFI+PgolJUVPRgo="
_TEXT = "TW9uZGF5OiBvcGVuIHRpbGwgZml2ZS4K"
_WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="


def _user(content: Json) -> Json:
    return {"role": "user", "content": content}


def _model(content: Json, *calls: Json) -> Json:
    return {"role": "assistant", "content": content} | ({"tool_calls": list(calls)} if calls else {})


def _call(identity: str, name: str, arguments: str = "{}", **more: Json) -> Json:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}} | more


def _result(identity: str, content: Json) -> Json:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def _tool(name: str, schema: Json = None, **more: Json) -> Json:
    function = {"name": name, "description": f"Does {name}."} | ({} if schema is None else {"parameters": schema})
    return {"type": "function", "function": function | more}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _schema(schema: Json, **more: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema} | more}


def _image(mime: str = "image/png", **more: Json) -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{_PNG}"} | more}


def _file(mime: str, data: str, name: str) -> Json:
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{mime};base64,{data}"}}


def _text(text: str, **more: Json) -> Json:
    return {"type": "text", "text": text} | more


# Members of a client's own that are called like keywords.
_KEYWORDS = ("title", "type", "default", "nullable", "description", "enum", "properties", "required", "items", "anyOf")
_LIKE_KEYWORDS = _object(**{name: {"type": "string"} for name in _KEYWORDS})
_CITY = _object(city={"type": "string", "description": "Where."})
_WEATHER, _CLOCK = _tool("weather", _CITY), _tool("clock")
_ASK = [_user("What is the weather in Turin?")]
_IN_TURIN = _call("call_1", "weather", '{"city": "Turin"}')
_LOOP = [*_ASK, _model(None, _IN_TURIN), _result("call_1", "sunny")]
_BOTH = [*_ASK, _model("One moment.", _IN_TURIN, _call("call_2", "clock"))]
_MARK = {"cache_control": {"type": "ephemeral"}}
_LONG = "The opening hours of the library of Turin depend on the day. " * 400

_CONVERSATIONS: Mapping[str, list[Json]] = {
    "one question": _ASK,
    "instructions first": [{"role": "system", "content": "Be brief."}, *_ASK],
    "instructions by the developer": [{"role": "developer", "content": "Be brief."}, *_ASK],
    "instructions in two messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": [_text("Be kind."), _text("Speak Latin.")]},
        *_ASK,
    ],
    "instructions in the middle": [*_ASK, _model("Sunny."), {"role": "system", "content": "In Latin."}, _user("Now?")],
    "instructions at the end": [*_ASK, {"role": "system", "content": "In Latin."}],
    "instructions alone": [{"role": "system", "content": "Say something."}],
    "several turns": [*_ASK, _model("Sunny."), _user("And in Rome?"), _model("Rain."), _user("Why?")],
    "two questions in a row": [*_ASK, _user("And in Rome?")],
    "two answers in a row": [*_ASK, _model("Sunny."), _model("And warm."), _user("Why?")],
    "an empty answer in between": [*_ASK, _model(""), _user("Hello?")],
    "a blank beside a text": [_user([_text(" "), _text("Hello")])],
    "the model's turn first": [_model("Hello."), *_ASK],
    "the model's turn last": [*_ASK, _model("It is")],
    "names of speakers": [_user("Hello") | {"name": "anna"}],
    "a refusal in the history": [*_ASK, {"role": "assistant", "content": None, "refusal": "No."}, _user("Please.")],
    "letters of all kinds": [_user("Größe ≤ 5 \u200b 𝄞 \\u0041 \"'<&>\n\ttab")],
    "an image": [_user([_text("What is it?"), _image()])],
    "an image alone": [_user([_image()])],
    "an image of low detail": [_user([_text("What is it?"), _image(detail="low")])],
    "an image by another type's name": [_user([_text("What is it?"), _image("image/jpeg")])],
    "an image elsewhere": [
        _user([_text("What?"), {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}])
    ],
    "a PDF": [_user([_text("What is it?"), _file("application/pdf", _PDF, "a.pdf")])],
    "a table": [_user([_text("What is it?"), _file("text/csv", "YSxiCjEsMgo=", "a.csv")])],
    "a text file": [_user([_text("What is it?"), _file("text/plain", _TEXT, "a.txt")])],
    "a sound": [_user([_text("What is it?"), {"type": "input_audio", "input_audio": {"data": _WAV, "format": "wav"}}])],
    "a marked prefix": [
        {"role": "system", "content": [_text(_LONG, **_MARK)]},
        _user([_text(_LONG, **_MARK), _text("When is it open?")]),
    ],
    "a long prefix without a mark": [{"role": "system", "content": _LONG}, *_ASK, _model("Sunny."), _user("Why?")],
}

_WITH_TOOLS: Mapping[str, list[Json]] = {
    "tools offered": _ASK,
    "a result": _LOOP,
    "a result and a question": [*_LOOP, _user("And tomorrow?")],
    "a result that is an object": [*_LOOP[:-1], _result("call_1", '{"sky": "clear", "degrees": 21.5}')],
    "a result that is a list": [*_LOOP[:-1], _result("call_1", '["clear", 21]')],
    "a result that is a number": [*_LOOP[:-1], _result("call_1", "21")],
    "a result in parts": [*_LOOP[:-1], _result("call_1", [_text("sunny"), _text("and warm")])],
    "an empty result": [*_LOOP[:-1], _result("call_1", "")],
    "results side by side": [*_BOTH, _result("call_1", "sunny"), _result("call_2", "noon")],
    "results in another order": [*_BOTH, _result("call_2", "noon"), _result("call_1", "sunny")],
    "words between results": [*_BOTH, _result("call_1", "sunny"), _user("And?"), _result("call_2", "noon")],
    "an id that comes again": [*_LOOP, _model(None, _IN_TURIN), _result("call_1", "rain")],
    "a result that is missing": [*_BOTH, _result("call_1", "sunny")],
    "a result of no call": [*_ASK, _result("call_9", "sunny")],
    "no arguments": [*_ASK, _model(None, _call("call_2", "clock", "")), _result("call_2", "noon")],
    "arguments that are not JSON": [*_ASK, _model(None, _call("call_1", "weather", '{"city')), _result("call_1", "?")],
    "arguments with long numbers": [
        *_ASK,
        _model(None, _call("call_1", "weather", '{"city": "Turin", "id": 9007199254740993}')),
        _result("call_1", "sunny"),
    ],
    "ids of another alphabet": [*_ASK, _model(None, _call("call:1/ä", "clock")), _result("call:1/ä", "noon")],
    "a signed call": [
        *_ASK,
        _model(None, _IN_TURIN | {"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}),
        _result("call_1", "sunny"),
    ],
    "several steps": [*_LOOP, _model(None, _call("call_2", "clock")), _result("call_2", "noon")],
}

_FUNCTIONS: Mapping[str, Json] = {
    "a tool without arguments": _CLOCK,
    "a tool with an empty object": _tool("clock", {"type": "object", "properties": {}}),
    "a tool kept strictly": _tool("weather", _CITY | {"additionalProperties": False}, strict=True),
    "a tool with a dotted name": _tool("city.weather", _CITY),
    "a tool with a described object": _tool("weather", _CITY | {"description": "What to look up."}),
    "a tool with choices": _tool(
        "weather", _object(unit={"type": "string", "enum": ["C", "F"]}, kind={"const": "now"})
    ),
    "a tool with bounds": _tool("weather", _object(days={"type": "integer", "minimum": 1, "maximum": 7})),
    "a tool with a pattern": _tool("weather", _object(code={"type": "string", "pattern": "^[A-Z]+$", "maxLength": 3})),
    "a tool with alternatives": _tool("weather", _object(at={"anyOf": [{"type": "string"}, {"type": "integer"}]})),
    "a tool with one of two": _tool("weather", _object(at={"oneOf": [{"type": "string"}, {"type": "integer"}]})),
    "a tool with a nothing allowed": _tool("weather", _object(at={"type": ["string", "null"]})),
    "a tool with the older nothing": _tool("weather", _object(at={"type": "string", "nullable": True})),
    "a tool with lists": _tool("weather", _object(at={"type": "array", "items": _CITY, "minItems": 1, "maxItems": 3})),
    "a tool with a default": _tool("weather", _object(unit={"type": "string", "default": "C"})),
    "a tool with a map": _tool("weather", _object(by={"type": "object", "additionalProperties": {"type": "number"}})),
    "a tool with references": _tool(
        "weather", _object(at={"$ref": "#/$defs/City"}) | {"$defs": {"City": _CITY | {"title": "City"}}}
    ),
    "a tool that is recursive": _tool(
        "tree",
        _object(root={"$ref": "#/$defs/Node"})
        | {"$defs": {"Node": _object(name={"type": "string"}) | {"properties": {"next": {"$ref": "#/$defs/Node"}}}}},
    ),
    "a tool without a type": _tool("weather", {"properties": {"city": {"type": "string"}}}),
    "a tool whose members are called like keywords": _tool("weather", _LIKE_KEYWORDS),
    "a tool with a described reference": _tool(
        "weather",
        _object(at={"allOf": [{"$ref": "#/$defs/City"}], "description": "Where."}) | {"$defs": {"City": _CITY}},
    ),
    "a tool with a pair": _tool("weather", _object(at={"prefixItems": [{"type": "number"}] * 2, "type": "array"})),
    "a tool united": _tool("weather", {"allOf": [_CITY, _object(day={"type": "string"})], "type": "object"}),
}

_FORMATS: Mapping[str, Json] = {
    "any object": {"type": "json_object"},
    "words": {"type": "text"},
    "a schema": _schema(_CITY),
    "a strict schema": _schema(_CITY | {"additionalProperties": False}, strict=True, description="A city."),
    "a schema with choices": _schema(_object(sky={"enum": ["clear", "grey"]}, kind={"const": "now"})),
    "a schema with bounds": _schema(_object(n={"type": "integer", "minimum": 1}, s={"type": "string", "minLength": 2})),
    "a schema with the older nothing": _schema(_object(at={"type": "string", "nullable": True})),
    "a schema with an object or nothing": _schema(_object(at={"anyOf": [_CITY, {"type": "null"}]})),
    "a schema with lists": _schema(_object(at={"type": "array", "items": _CITY, "minItems": 1, "maxItems": 3})),
    "a schema with a map": _schema(_object(by={"type": "object", "additionalProperties": {"type": "number"}})),
    "a schema with formats": _schema(_object(on={"type": "string", "format": "date-time"})),
    "a schema with references": _schema(_object(at={"$ref": "#/$defs/City"}) | {"$defs": {"City": _CITY}}),
    "a schema whose members are called like keywords": _schema(_LIKE_KEYWORDS),
    "a schema that is one of two": _schema({"anyOf": [_CITY, _object(sky={"type": "string"})]}),
    "a schema that is a reference": _schema({"$ref": "#/$defs/City", "$defs": {"City": _CITY}}),
    "a schema of a list": _schema({"type": "array", "items": _CITY}),
}

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SETTINGS: Mapping[str, Json] = {
    **{f"effort {effort}": {"reasoning_effort": effort, "max_tokens": 20000} for effort in _EFFORTS},
    "a limit": {"max_tokens": 100},
    "a limit by its newer name": {"max_completion_tokens": 100},
    "both limits": {"max_tokens": 50, "max_completion_tokens": 100},
    "a limit too high": {"max_tokens": 10_000_000},
    "thought in a small limit": {"reasoning_effort": "high", "max_completion_tokens": 1000},
    "sampling": {"temperature": 0.3},
    "sampling by mass": {"top_p": 0.8},
    "sampling both ways": {"temperature": 0.3, "top_p": 0.8},
    "sampling hot": {"temperature": 1.8},
    "sampling and thought": {"temperature": 0.3, "reasoning_effort": "low", "max_tokens": 9000},
    "one stop": {"stop": "END"},
    "several stops": {"stop": ["END", "STOP"]},
    "a blank stop": {"stop": ["\n\n", "END"]},
    "a seed": {"seed": 7},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.25},
    "probabilities": {"logprobs": True, "top_logprobs": 3},
    "biases": {"logit_bias": {"50256": -100}},
    "one answer": {"n": 1},
    "two answers": {"n": 2},
    "a user": {"user": "user-17"},
    "a safety identifier": {"safety_identifier": "user-17"},
    "metadata": {"metadata": {"team": "blue"}},
    "a tier": {"service_tier": "priority"},
    "a slow tier": {"service_tier": "flex"},
    "the usual tier": {"service_tier": "default"},
    "few words": {"verbosity": "low"},
    "a key of the cache": {"prompt_cache_key": "k", "store": False},
    "a search": {"web_search_options": {}},
    "a search nearby": {
        "web_search_options": {
            "user_location": {"type": "approximate", "approximate": {"city": "Turin", "country": "IT"}}
        }
    },
    "what nobody knows": {"flavour": "vanilla"},
}
_NAMED = {"type": "function", "function": {"name": "clock"}}
_CHOICES: Mapping[str, Json] = {
    "choice auto": {"tool_choice": "auto"},
    "choice none": {"tool_choice": "none"},
    "choice required": {"tool_choice": "required"},
    "choice by name": {"tool_choice": _NAMED},
    "choice among some": {
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}}
    },
    "one call at a time": {"parallel_tool_calls": False},
    "calls side by side": {"parallel_tool_calls": True},
    "one forced call at a time": {"parallel_tool_calls": False, "tool_choice": "required"},
    "choice required while thinking": {"tool_choice": "required", "reasoning_effort": "low", "max_tokens": 9000},
    "a schema beside tools": {"response_format": _schema(_CITY)},
}


def questions() -> Iterator[Question]:
    tools = {"tools": [_WEATHER, _CLOCK]}
    for name, messages in _CONVERSATIONS.items():
        yield Question(name, {"messages": messages})
    for name, messages in _WITH_TOOLS.items():
        yield Question(name, {"messages": messages} | tools)
    yield Question("calls in the history alone", {"messages": [*_LOOP, _model("Sunny."), _user("Why?")]})
    older = {"functions": [_WEATHER["function"]], "function_call": {"name": "weather"}}
    yield Question("the older way to offer tools", {"messages": _ASK} | older)
    yield Question("a marked tool", {"messages": _ASK, "tools": [_tool("weather", _CITY) | _MARK]})
    for name, tool in _FUNCTIONS.items():
        yield Question(name, {"messages": _ASK, "tools": [tool]})
    for name, form in _FORMATS.items():
        yield Question(f"format: {name}", {"messages": _ASK, "response_format": form})
    for name, members in _SETTINGS.items():
        yield Question(name, {"messages": _ASK} | members)
    for name, members in _CHOICES.items():
        yield Question(name, {"messages": _ASK} | tools | members)


# Recorded requests and answers


def recorded_questions(shared: Path) -> Iterator[Question]:
    """The requests that clients of OpenAI's chat would have sent; each once."""
    recordings, reverse, _ = _judge(shared)
    seen: set[str] = set()
    for each in recordings.load(shared / "recordings"):
        try:
            request = reverse.derive(each)
        except reverse.Skip:
            continue
        written = json.dumps(request, sort_keys=True)
        if written not in seen:
            seen.add(written)
            yield Question(each.id, request)


def recorded_answers(shared: Path) -> Iterator[Answer]:
    """The answers of the two wires, without errors; each once."""
    recordings, _, synth = _judge(shared)
    seen: set[str] = set()
    for each in recordings.load(shared / "recordings"):
        # Counts of tokens and the like are no answers.
        is_answer = each.sse is not None or {"content", "candidates", "promptFeedback"} & set(each.json)
        if each.wire not in MODELS or each.error or not is_answer:
            continue
        stream = synth.as_sse(each.wire, each)
        if stream not in seen:
            seen.add(stream)
            yield Answer(each.id, each.wire, each.model, stream, each.json)


def _judge(shared: Path) -> tuple[Any, ...]:
    """The judge's modules: a folder of plain modules, put on the path."""
    folder = str(shared / "wire_judge")
    if folder not in sys.path:
        sys.path.append(folder)
    return tuple(importlib.import_module(name) for name in JUDGED)
