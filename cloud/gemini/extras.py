"""Members of a body only this wire knows. A client of another dialect reaches them by their names, in either casing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloud.gemini.names import WIRE, Table, camel, camel_name
from cloud.losses import Losses
from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request

_WHOLE = frozenset({"cachedContent", "generationConfig", "labels", "modelArmorConfig", "safetySettings", "toolConfig"})
_OF_GENERATION = frozenset(
    {
        "audioTimestamp",
        "imageConfig",
        "mediaResolution",
        "responseModalities",
        "responseSchema",
        "speechConfig",
        "thinkingConfig",
    }
)
# Objects in which clients put this vendor's members: ours, and that of the vendor's own OpenAI-like door.
_SPACES = frozenset({WIRE, "google"})
_NESTS = frozenset({"extra_body"})
_MEANINGLESS = frozenset({"stream_options", "functions", "tools"})  # tools are read on their own
_SERVER_TOOLS = frozenset(
    {
        "codeExecution",
        "computerUse",
        "enterpriseWebSearch",
        "fileSearch",
        "googleMaps",
        "googleSearch",
        "googleSearchRetrieval",
        "retrieval",
        "urlContext",
    }
)
# What some must hold: other vendors have tools of these names, with other members.
_MARKS = {
    "fileSearch": frozenset({"fileSearchStoreNames"}),
    "retrieval": frozenset({"externalApi", "vertexAiSearch", "vertexRagStore"}),
}
_SEARCH = "web_search_options"  # OpenAI's chat way to ask for it
_IN_PIECES = "streamFunctionCallArguments"  # calls come whole from this decoder's upstream


def members(request: Request, losses: Losses) -> Table:
    """What the client said that only this wire knows. What only another wire knows is dropped. Raises Unsupported."""
    out: Table = {}
    for wire, said in request.extra.items():
        if isinstance(said, Mapping):
            out = merged(out, camel(dict(said)) if wire == WIRE else _foreign(said, losses))
    calling = out.get("toolConfig", {}).get("functionCallingConfig")
    if isinstance(calling, dict) and calling.pop(_IN_PIECES, None):
        losses.add(_IN_PIECES)
    return out


def tools(request: Request) -> list[Table]:
    """Tools that run at the vendor. Raises Unsupported where one is another vendor's."""
    found: list[Table] = []
    for wire, said in request.extra.items():
        if wire == WIRE or not isinstance(said, Mapping):
            continue
        found += [_server_tool(tool) for tool in said.get("tools") or ()]
        found += [{"googleSearch": {}}] if said.get(_SEARCH) is not None else []
    return found


def once(offered: Sequence[Any]) -> list[Any]:
    """A tool of the vendor's that was asked for in several ways goes up once: with what was said of it, if anything was."""
    known = [tool for tool in offered if isinstance(tool, Mapping)]
    seen = {name for tool in known for name, value in tool.items() if value}
    out: list[Any] = [tool for tool in offered if not isinstance(tool, Mapping)]
    for tool in known:
        kept = {name: value for name, value in tool.items() if value or name not in seen}
        seen |= set(kept)
        out += [kept] if kept else []
    return out


def merged(ours: Table, theirs: Mapping[str, Any]) -> Table:
    """What the client said in this wire's own words goes before what was made of the rest; tools stand side by side."""
    out = dict(ours)
    for name, value in theirs.items():
        if name == "tools" and isinstance(value, list):
            out[name] = [*(out.get(name) or ()), *value]
        elif isinstance(value, dict) and isinstance(out.get(name), dict):
            out[name] = merged(out[name], value)
        else:
            out[name] = value
    return out


def _foreign(said: Mapping[str, Any], losses: Losses) -> Table:
    out: Table = {}
    for name, value in said.items():
        known = camel_name(name)
        if name in _SPACES | _NESTS and isinstance(value, Mapping):
            out = merged(out, _space(name, value, losses))
        elif known in _WHOLE | _OF_GENERATION:
            out = merged(out, _placed(known, camel(value)))
        elif name == "modalities":
            out = merged(out, _modalities(value))
        elif name == "continue_final_message" and value:
            raise Unsupported("this wire does not continue a turn of the model's own", name)
        elif name == "audio":
            raise Unsupported("this wire speaks by speech_config alone", name)
        elif name == _SEARCH:
            losses.add_if(bool(value), name)
        elif name not in _MEANINGLESS and value not in (None, False):
            losses.add(name)
    return out


def _space(name: str, value: Mapping[str, Any], losses: Losses) -> Table:
    if name in _NESTS:
        return _foreign(value, losses)
    out: Table = {}
    for key, inner in camel(dict(value)).items():
        out = merged(out, _placed(key, inner))
    return out


def _placed(name: str, value: Any) -> Table:
    """A member where it belongs. Its names are in the wire's casing already."""
    inner = value if name in _OF_GENERATION else None
    return {"generationConfig": {name: inner}} if inner is not None else {name: value}


def _modalities(value: Any) -> Table:
    words = [word.upper() for word in value if isinstance(word, str)] if isinstance(value, list) else []
    if "AUDIO" in words:
        raise Unsupported("this wire speaks by speech_config alone", "modalities")
    return {"generationConfig": {"responseModalities": words}} if words not in ([], ["TEXT"]) else {}


def _server_tool(tool: Any) -> Table:
    """As the wire writes it (`{"google_search": {}}`), or by its name as a type."""
    found = dict(_entries(tool)) if isinstance(tool, Mapping) else {}
    if not found or not all(_is_ours(name, value) for name, value in found.items()):
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        raise Unsupported(f"a tool of type {kind!r} is not this vendor's", "tools")
    return found


def _is_ours(name: str, value: Any) -> bool:
    return name in _SERVER_TOOLS and (
        name not in _MARKS or (isinstance(value, dict) and bool(_MARKS[name] & set(value)))
    )


def _entries(tool: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = tool.get("type")
    if isinstance(kind, str):
        yield camel_name(kind), camel({name: value for name, value in tool.items() if name not in ("type", kind)})
        return
    yield from ((name, value) for name, value in camel(dict(tool)).items())
