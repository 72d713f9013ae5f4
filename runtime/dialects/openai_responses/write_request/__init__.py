"""A Request as the body of a responses call, for one server's profile.

Nothing is stored at the server (`store` is false): encrypted reasoning comes down and goes up with the conversation. Hints that
a server does not know are dropped and named; what would change the meaning of the request is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.codec import Encoded, Unsupported
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Request, Thinking, Tool
from runtime.dialects.format import instructed
from runtime.dialects.openai_responses.profile import ResponsesProfile
from runtime.dialects.openai_responses.read_request.tools import kind_of, own_members
from runtime.dialects.openai_responses.words import NAME
from runtime.dialects.openai_responses.write_request.items import Items
from runtime.wire import limits

PATH = "/responses"
SEALED = "reasoning.encrypted_content"

_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_BUDGETS = ((2_048, "low"), (8_192, "medium"))  # up to so many tokens a budget is this effort; above: high
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
# Members of other wires that are not lost here.
_MEANINGLESS = frozenset({"stream_options", "functions", "tools", "thinking", "enable_thinking", "thinking_budget"})


def write_request(request: Request, model: str, profile: ResponsesProfile) -> Encoded:
    """The call, always for a stream. Raises Unsupported."""
    _refuse(request)
    dropped: list[str] = []  # names of hints that are left out or weakened
    if request.format is not None and request.format.schema is not None and not profile.schemas:
        request = instructed(request)
        dropped.append("response_format")
    extra = dict(request.extra.get(NAME, {}))
    vendor_tools = extra.pop("tools", [])
    body = {
        "model": model,
        "input": Items(profile, dropped).written(request.messages),
        **_tools(request, profile, vendor_tools),
        **_sampling(request, profile, dropped),
        "reasoning": _reasoning(request.thinking, extra.pop("reasoning", None), profile, dropped),
        "text": _text(request, extra.pop("text", None), profile, dropped),
        "metadata": dict(request.metadata) if request.metadata else None,
        "safety_identifier": request.user,
        "service_tier": request.service_tier,
        **extra,
        "include": [SEALED] if profile.sealed else None,
        "store": False,
        "stream": True,
    }
    for wire, foreign in request.extra.items():
        if wire != NAME and isinstance(foreign, Mapping):
            kept = ((name, value) for name, value in foreign.items() if name not in _MEANINGLESS)
            dropped += [name for name, value in kept if value not in (None, False)]
            dropped += ["tools"] if foreign.get("tools") else []
    written = msgspec.json.encode({name: value for name, value in body.items() if value is not None})
    return Encoded(HttpCall(PATH, written), tuple(dict.fromkeys(dropped)))


def nearest(wanted: str, known: tuple[str, ...]) -> str:
    """The nearest known effort; the weaker of two equally near ones. An effort without a rank counts as the strongest."""
    places = {name: place for place, name in enumerate(_EFFORTS)}
    at = places.get(wanted, len(_EFFORTS))
    return min(known, key=lambda name: (abs(places.get(name, 0) - at), places.get(name, 0)))


def _refuse(request: Request) -> None:
    """Raises Unsupported for what this wire has no member for and cannot do without."""
    if request.n > 1:
        raise Unsupported("this wire gives one answer at a time", "n")
    if request.logprobs is not None:
        raise Unsupported("models that reason, which this wire is for, give no token probabilities", "logprobs")
    if request.logit_bias:
        raise Unsupported("this wire takes no logit_bias", "logit_bias")
    if request.stop:
        raise Unsupported("this wire takes no stop sequences", "stop")
    for wire, extra in request.extra.items():
        if not isinstance(extra, Mapping):
            continue
        if extra.get("audio") or extra.get("modalities") not in (None, ["text"]):
            raise Unsupported("this wire answers in text alone", "modalities")
        if wire != NAME and extra.get("tools") and request.demands_vendor_tool:
            kinds = [tool.get("type") for tool in extra["tools"] if isinstance(tool, dict)]
            raise Unsupported(f"tools of the types {kinds} belong to another vendor", "tools")


def _tools(request: Request, profile: ResponsesProfile, vendor_tools: list[Any]) -> dict[str, Any]:
    """`tools`, and the choice among them. Raises Unsupported for a choice that this model cannot be given."""
    tools, choice = request.tools, request.tool_choice
    if choice is not None and choice.allowed and not profile.allowed_tools:
        tools = tuple(tool for tool in tools if tool.name in choice.allowed)  # the model cannot call what is not listed
    entries = [*map(_tool, tools), *vendor_tools]
    if not entries:
        return {}
    found: dict[str, Any] = {"tools": entries}
    if request.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = request.parallel_tool_calls
    if choice is None:
        return found
    if not profile.forced_tools and choice.mode in ("required", "named"):
        raise Unsupported("the model cannot be made to call a tool", "tool_choice")
    kinds = {tool.name: "custom" for tool in request.tools if kind_of(tool) == "custom"}
    if choice.mode == "named":
        found["tool_choice"] = {"type": kinds.get(choice.name or "", "function"), "name": choice.name}
    elif choice.allowed and profile.allowed_tools:
        allowed = [{"type": kinds.get(name, "function"), "name": name} for name in choice.allowed]
        found["tool_choice"] = {"type": "allowed_tools", "mode": choice.mode, "tools": allowed}
    else:
        found["tool_choice"] = choice.mode
    return found


def _tool(tool: Tool) -> dict[str, Any]:
    """A function always states `strict`, because this wire takes its absence for true."""
    if kind_of(tool) == "custom":
        entry: dict[str, Any] = {"type": "custom", "name": tool.name, "description": tool.description}
    else:
        parameters = _NO_PARAMETERS if tool.schema is None else tool.schema
        entry = {"type": "function", "name": tool.name, "description": tool.description}
        entry |= {"parameters": parameters, "strict": bool(tool.strict), **own_members(tool)}
    return {name: value for name, value in entry.items() if value is not None}


def _sampling(request: Request, profile: ResponsesProfile, dropped: list[str]) -> dict[str, Any]:
    """Temperature and top_p where the model takes them, and the limit of output tokens."""
    found: dict[str, Any] = {}
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is not None and profile.sampling:
            found[name] = value
        elif value is not None:
            dropped.append(name)
    dropped += [name for name in ("top_k", "seed", "presence_penalty", "frequency_penalty") if getattr(request, name)]
    limit = limits.least(request.max_tokens, profile.longest)
    limit = profile.least_output if limit is not None and limit < profile.least_output else limit
    if limit != request.max_tokens:
        dropped.append(limits.NAME)
    return {**found, "max_output_tokens": limit}


def _reasoning(
    thinking: Thinking | None, extra: Any, profile: ResponsesProfile, dropped: list[str]
) -> dict[str, Any] | None:
    """extra: members of the client's `reasoning` that the contract does not have."""
    if not profile.thinking:
        if thinking is not None and thinking.effort not in (None, "none"):
            dropped.append("reasoning_effort")
        return None
    found = dict(extra) if isinstance(extra, Mapping) else {}
    if thinking is None:
        return found or None
    effort = thinking.effort
    if effort is None and thinking.budget is not None:
        effort = next((name for most, name in _BUDGETS if thinking.budget <= most), "high")
        dropped.append("reasoning_effort")
    if effort is not None and profile.efforts and effort not in profile.efforts:
        dropped.append("reasoning_effort")
        effort = nearest(effort, profile.efforts)
    if effort is not None:
        found["effort"] = effort
    if thinking.show:
        found["summary"] = "auto"
    return found or None


def _text(request: Request, extra: Any, profile: ResponsesProfile, dropped: list[str]) -> dict[str, Any] | None:
    """Format and verbosity. extra: members of the client's `text` that the contract does not have."""
    found: dict[str, Any] = dict(extra) if isinstance(extra, Mapping) else {}
    wanted = request.format
    if wanted is not None and wanted.schema is None:
        found["format"] = {"type": "json_object"}
    elif wanted is not None:
        schema = {
            "type": "json_schema",
            "name": _NAME.sub("_", wanted.name)[:64] or "answer",
            "description": wanted.description,
            "schema": wanted.schema,
            "strict": wanted.strict,
        }
        found["format"] = {name: value for name, value in schema.items() if value is not None}
    if request.verbosity is not None and profile.verbosity:
        found["verbosity"] = request.verbosity
    elif request.verbosity is not None:
        dropped.append("verbosity")
    return found or None
