"""Bodies of the two wires, and chat answers, in one comparable form. Only forms of the same meaning become equal.

A meaning is a flat mapping: the conversation under "turns" (role and items), the tools under "tools" (name -> declaration),
everything else under its own name, absent where it was not given. Media are compared by digest. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cloud.gemini.names import camel
from scripts.differential import schemas

Json = Any
Meaning = dict[str, Json]
Item = dict[str, Json]

_FORCED = {"any": "required", "tool": "named"}
_MODES = {"ANY": "required", "NONE": "none", "AUTO": "auto"}
_DIALECT = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "output_config", "output_format", "stream"}
)
_CONTENTS = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"})
_SCHEMAS = ("responseJsonSchema", "responseSchema", "responseMimeType")
_USUAL = {"candidateCount": 1, "responseLogprobs": False}  # values that mean the same as no value
_WRAPPINGS = frozenset({"result", "content", "output"})
_MESSAGE = ("content", "reasoning_content", "refusal")


def _given(value: Mapping[str, Json]) -> Meaning:
    return {name: inner for name, inner in value.items() if inner is not None and inner not in ([], {}, "")}


class _Ids:
    """Ids of calls as their order of appearance: their spelling has no meaning."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self.names: dict[str, str] = {}

    def place(self, identity: str | None) -> str | None:
        return self._places.setdefault(identity, f"#{len(self._places) + 1}") if identity else None


def _turns(pairs: Iterator[tuple[str, list[Item]]]) -> list[Json]:
    """The turns, consecutive ones of the same role united."""
    out: list[Json] = []
    for role, items in pairs:
        if not items:
            continue
        if not out or out[-1]["role"] != role:
            out.append({"role": role, "items": []})
        out[-1]["items"] += items
    return out


def _media(mime: str, data: str) -> Item:
    try:
        raw = base64.b64decode(data, altchars=b"-_" if set(data) & set("-_") else None)
    except (binascii.Error, ValueError):
        raw = data.encode()
    return {"kind": "media", "mime": mime, "bytes": hashlib.sha256(raw).hexdigest()[:12]}


def _opened(result: Json) -> Json:
    """A tool's result; the value of one that is JSON text."""
    if not isinstance(result, str):
        return result
    try:
        value = json.loads(result)
    except ValueError:
        return result
    return value if isinstance(value, dict | list) else result


def _chosen(mode: str, name: Json = None) -> Json:
    """A choice among tools; None for auto, which is the default."""
    return None if mode == "auto" and not name else _given({"mode": mode, "name": name})


# Anthropic's messages


def anthropic(body: Json) -> Meaning:
    system = body.get("system") or []
    config, ids = body.get("output_config") or {}, _Ids()
    blocks = [{"text": system}] if isinstance(system, str) else system
    choice = body.get("tool_choice") or {"type": "auto"}
    form = config.get("format") or body.get("output_format") or {}
    tools = {}
    for tool in body.get("tools") or ():
        rest = {name: value for name, value in tool.items() if name not in ("input_schema", "name", "cache_control")}
        if rest.get("type") == "custom":
            del rest["type"]
        tools[tool["name"]] = _given(rest | {"schema": schemas.arguments(tool.get("input_schema"))})
    out = {
        "system": [block["text"] for block in blocks],
        "turns": _turns((turn["role"], _blocks(turn["content"], ids)) for turn in body["messages"]),
        "tools": tools,
        "choice": _chosen(_FORCED.get(choice["type"], choice["type"]), choice.get("name")),
        "one call at a time": choice.get("disable_parallel_tool_use") or None,
        "format": schemas.plain(form.get("schema")),
        "effort": config.get("effort"),
        "cache": _marks(body),
    }
    return _given(out | {name: value for name, value in body.items() if name not in _DIALECT})


def _marks(body: Json) -> list[str]:
    """The parts of a prompt with a cache mark, on themselves or inside them."""
    found = [f"tool {tool['name']}" for tool in body.get("tools") or () if "cache_control" in tool]
    parts = [("system", body.get("system") or [])]
    parts += [(f"turn {place}", turn["content"]) for place, turn in enumerate(body["messages"])]
    for name, content in parts:
        blocks = [block for block in content if isinstance(block, dict)]
        inner = [each for block in blocks if isinstance(block.get("content"), list) for each in block["content"]]
        found += [name for block in blocks + inner if "cache_control" in block]
    return found


def _blocks(content: Json, ids: _Ids) -> list[Item]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_block(block, ids) for block in blocks]


def _block(block: Json, ids: _Ids) -> Item:
    source = block.get("source") or {}
    match block["type"]:
        case "text":
            return {"kind": "text", "text": block["text"]}
        case "tool_use":
            ids.names[block["id"]] = block["name"]
            called = {"id": ids.place(block["id"]), "name": block["name"], "arguments": block["input"]}
            return {"kind": "call", **called}
        case "tool_result":
            inner = _blocks(block.get("content") or [], ids)
            texts = [item["text"] for item in inner if item["kind"] == "text"]
            name, identity = ids.names.get(block["tool_use_id"]), ids.place(block["tool_use_id"])
            out = {"kind": "result", "id": identity, "name": name, "error": block.get("is_error")}
            out["told"] = _opened(texts[0]) if len(texts) == 1 else texts
            return _given(out | {"media": [item for item in inner if item["kind"] != "text"]})
        case "image" | "document" if source.get("type") == "base64":
            return _media(source["media_type"], source["data"]) | _given({"title": block.get("title")})
        case "image" | "document" if source.get("type") == "text":
            data = base64.b64encode(source["data"].encode()).decode()
            return _media("text/plain", data) | _given({"title": block.get("title")})
        case "image" | "document":
            return {"kind": "media", "mime": block["type"], "address": source.get("url") or source.get("file_id")}
        case other:
            return {"kind": other} | {name: value for name, value in block.items() if name != "type"}


# Gemini's generateContent


def gemini(body: Json) -> Meaning:
    body, ids = camel(body), _Ids()
    system = (body.get("systemInstruction") or {}).get("parts") or []
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    settings = dict(body.get("generationConfig") or {})
    schema, old, mime = (settings.pop(name, None) for name in _SCHEMAS)
    tools = body.get("tools") or []
    declared = [each for tool in tools for each in tool.get("functionDeclarations") or ()]
    functions = {}
    for each in declared:
        rest = {name: value for name, value in each.items() if not name.startswith("parameters") and name != "name"}
        parameters = each.get("parametersJsonSchema") or each.get("parameters")
        functions[each["name"]] = _given(rest | {"schema": schemas.arguments(parameters)})
    mode, names = calling.get("mode") or "AUTO", calling.get("allowedFunctionNames")
    named = mode == "ANY" and names is not None and len(names) == 1
    thinking = settings.pop("thinkingConfig", None) or {}
    level = thinking.get("thinkingLevel")
    level = level and level.upper()
    out = {
        "system": [part["text"] for part in system],
        "turns": _turns((turn.get("role", "user"), _parts(turn["parts"], ids)) for turn in body["contents"]),
        "tools": functions,
        "server tools": [tool for tool in tools if "functionDeclarations" not in tool],
        "choice": _chosen("named" if named else _MODES.get(mode, mode), names[0] if named and names else names),
        "format": schemas.plain(schema or old) or (mime if mime != "text/plain" else None),
        "thinking": _given(
            thinking | {"includeThoughts": thinking.get("includeThoughts") or None, "thinkingLevel": level}
        ),
    }
    settings = {name: value for name, value in settings.items() if value != _USUAL.get(name)}
    return _given(out | settings | {name: value for name, value in body.items() if name not in _CONTENTS})


def _parts(parts: list[Json], ids: _Ids) -> list[Item]:
    return [_part(part, ids) for part in parts if part.get("text") != ""]


def _part(part: Json, ids: _Ids) -> Item:
    signature = _given({"signature": part.get("thoughtSignature")})
    resolution = _given({"resolution": part.get("mediaResolution")})
    if "functionCall" in part:
        call = part["functionCall"]
        called = {"kind": "call", "name": call["name"], "arguments": call.get("args") or {}}
        return called | _given({"id": ids.place(call.get("id"))} | signature)
    if "functionResponse" in part:
        result = part["functionResponse"]
        content = result.get("response")
        if isinstance(content, dict) and len(content) == 1 and set(content) <= _WRAPPINGS:
            content = _opened(next(iter(content.values())))
        media = _parts(result.get("parts") or [], ids)
        found = {"kind": "result", "name": result["name"], "id": ids.place(result.get("id"))}
        return _given(found | {"told": content, "media": media})
    if "inlineData" in part:
        return _media(part["inlineData"]["mimeType"], part["inlineData"]["data"]) | resolution
    if "fileData" in part:
        file = part["fileData"]
        return _given({"kind": "media", "mime": file.get("mimeType"), "address": file["fileUri"]} | resolution)
    if "text" in part:
        return {"kind": "thought" if part.get("thought") else "text", "text": part["text"]} | signature
    return {**part, "kind": ",".join(sorted(part))}


REQUESTS: Mapping[str, Callable[[Json], Meaning]] = {"anthropic": anthropic, "gemini": gemini}


# OpenAI's chat answers


def answer(body: Json) -> Meaning:
    choice = (body.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    usage = body.get("usage") or {}
    calls = [
        {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"] or "{}")}
        for call in message.get("tool_calls") or ()
    ]
    cited = [each.get("url_citation") or {} for each in message.get("annotations") or ()]
    out = {name: message.get(name) for name in _MESSAGE}
    out |= {
        "calls": calls,
        "cited": {str(each.get("url")): True for each in cited},
        "finish": choice.get("finish_reason"),
    }
    out |= {f"usage.{name}": usage.get(name) or None for name in ("prompt_tokens", "completion_tokens")}
    out["usage.cached"] = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or None
    out["usage.reasoning"] = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or None
    return _given(out)
