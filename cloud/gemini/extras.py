"""Members of a body that only this wire has. Clients of other dialects may use them by name, in either casing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
# Objects in which clients put this vendor's members: Hearth's, and that of the vendor's own OpenAI-like endpoint.
_SPACES = frozenset({WIRE, "google"})
_NESTS = frozenset({"extra_body"})
# Read elsewhere, or without meaning for a model.
_MEANINGLESS = frozenset({"stream_options", "functions", "tools", "thinking", "enable_thinking", "thinking_budget"})
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
# Members that some tools must have: other vendors have tools of the same names with other members.
_MARKS = {
    "fileSearch": frozenset({"fileSearchStoreNames"}),
    "retrieval": frozenset({"externalApi", "vertexAiSearch", "vertexRagStore"}),
}
_SEARCH = "web_search_options"  # the member of OpenAI's chat that asks for a search
_IN_PIECES = "streamFunctionCallArguments"  # the reader takes whole calls alone


def members(request: Request, losses: Losses) -> Table:
    """The client's members that this wire has. Those of another wire alone are dropped and named. Raises Unsupported."""
    out: Table = {}
    for wire, given in request.extra.items():
        if isinstance(given, Mapping):
            out = merged(out, camel(dict(given)) if wire == WIRE else _foreign(given, losses))
    config = out.get("toolConfig")
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    if isinstance(calling, dict) and calling.pop(_IN_PIECES, None):
        losses.add(_IN_PIECES)
    return out


def tools(request: Request, losses: Losses) -> list[Table]:
    """The tools that run at the vendor. Those of another vendor are left out and named; Unsupported if one must be called.

    A client writes one as the wire does (`{"google_search": {}}`), or with its name as a type.
    """
    out: list[Table] = []
    foreign: list[Any] = []
    for wire, given in request.extra.items():
        if wire == WIRE or not isinstance(given, Mapping):
            continue
        listed = given.get("tools")
        for tool in listed if isinstance(listed, list | tuple) else ():
            kind = tool.get("type") if isinstance(tool, Mapping) else None
            found: Table = {}
            if isinstance(kind, str):
                rest = {name: value for name, value in tool.items() if name not in ("type", kind)}
                found = {camel_name(kind): camel(rest)}
            elif isinstance(tool, Mapping):
                found = camel(dict(tool))
            for name, value in found.items():
                marks = _MARKS.get(name, frozenset())
                marked = not marks or (isinstance(value, dict) and bool(marks & set(value)))
                if name not in _SERVER_TOOLS or not marked:
                    found = {}
                    break
            if found:
                out.append(found)
            else:
                foreign.append(kind)
        out += [{"googleSearch": {}}] if given.get(_SEARCH) is not None else []
    if foreign and not out and request.demands_vendor_tool:
        raise Unsupported(f"a tool of type {foreign[0]!r} is not this vendor's", "tools")
    losses.add_if(bool(foreign), "tools")
    return out


def once(offered: Sequence[Any]) -> list[Any]:
    """The tools without repetitions: one asked for in several ways is written once, with settings where one of them has any."""
    known = [tool for tool in offered if isinstance(tool, Mapping)]
    seen = {name for tool in known for name, value in tool.items() if value}
    out: list[Any] = [tool for tool in offered if not isinstance(tool, Mapping)]
    for tool in known:
        kept = {name: value for name, value in tool.items() if value or name not in seen}
        seen |= set(kept)
        out += [kept] if kept else []
    return out


def merged(derived: Table, theirs: Mapping[str, Any]) -> Table:
    """Members united, the client's own before those derived from the rest of its request; tools side by side."""
    out = dict(derived)
    for name, value in theirs.items():
        if name == "tools" and isinstance(value, list):
            out[name] = [*(out.get(name) or ()), *value]
        elif isinstance(value, dict) and isinstance(out.get(name), dict):
            out[name] = merged(out[name], value)
        else:
            out[name] = value
    return out


def _foreign(given: Mapping[str, Any], losses: Losses) -> Table:
    """This wire's members among those of another dialect, at their places in the body."""
    out: Table = {}
    for name, value in given.items():
        known = camel_name(name)
        if name in _NESTS and isinstance(value, Mapping):
            out = merged(out, _foreign(value, losses))
        elif name in _SPACES and isinstance(value, Mapping):
            for key, inner in camel(dict(value)).items():
                out = merged(out, _placed(key, inner))
        elif known in _WHOLE | _OF_GENERATION:
            out = merged(out, _placed(known, camel(value)))
        elif name == "modalities":
            words = [word.upper() for word in value if isinstance(word, str)] if isinstance(value, list) else []
            if "AUDIO" in words:
                raise Unsupported("this wire speaks by speech_config alone", "modalities")
            if words not in ([], ["TEXT"]):
                out = merged(out, _placed("responseModalities", words))
        elif name == "continue_final_message" and value:
            raise Unsupported("this wire does not continue a turn of the model's own", name)
        elif name == "audio":
            raise Unsupported("this wire speaks by speech_config alone", name)
        elif name == _SEARCH:
            losses.add_if(bool(value), name)
        elif name not in _MEANINGLESS and value not in (None, False):
            losses.add(name)
    return out


def _placed(name: str, value: Any) -> Table:
    """A member at its place in the body. Its names are in the wire's casing already."""
    of_generation = name in _OF_GENERATION and value is not None
    return {"generationConfig": {name: value}} if of_generation else {name: value}
