"""A Request as the body of a responses call, for one server's `ResponsesProfile`.

Nothing is kept at the server (`store` is false): what a model sealed comes down and goes up with the conversation. Hints a
server does not know are left out and named; what would change the meaning is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.codec import Encoded, Unsupported
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Format, Request, Thinking, Tool
from runtime.dialects.format import instructed
from runtime.dialects.openai_responses.profile import ResponsesProfile
from runtime.dialects.openai_responses.read_request.tools import is_custom
from runtime.dialects.openai_responses.words import NAME
from runtime.dialects.openai_responses.write_request.items import Items
from runtime.wire import limits

PATH = "/responses"
SEALED = "reasoning.encrypted_content"

_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_BUDGETS = ((2_048, "low"), (8_192, "medium"))  # tokens up to which a budget is this effort; above: high
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
_MEANINGLESS = frozenset({"stream_options", "functions", "tools"})  # of other wires' own members


def write_request(request: Request, model: str, profile: ResponsesProfile) -> Encoded:
    """The call, always for a stream. Raises Unsupported."""
    dropped: list[str] = []
    body = _Body(request, profile, dropped).members(model)
    return Encoded(HttpCall(PATH, msgspec.json.encode(body)), tuple(dict.fromkeys(dropped)))


class _Body:
    """One body on its way. dropped: names of hints that were left out or weakened."""

    def __init__(self, request: Request, profile: ResponsesProfile, dropped: list[str]) -> None:
        _refuse(request)
        self._weak_format = request.format is not None and request.format.schema is not None and not profile.schemas
        if self._weak_format:
            request = instructed(request)
            dropped.append("response_format")
        self._request, self._profile, self._dropped = request, profile, dropped

    def members(self, model: str) -> dict[str, Any]:
        request = self._request
        own = dict(request.extra.get(NAME, {}))
        foreign = own.pop("tools", [])
        body = {
            "model": model,
            "input": Items(self._profile, self._dropped).written(request.messages),
            **self._tools(foreign),
            **self._sampling(),
            "max_output_tokens": self._limit(),
            "reasoning": self._reasoning(request.thinking, own.pop("reasoning", None)),
            "text": self._text(own.pop("text", None)),
            **self._account(),
            **own,
            "include": [SEALED] if self._profile.sealed else None,
            "store": False,
            "stream": True,
        }
        self._name_foreign()
        return {name: value for name, value in body.items() if value is not None}

    def _tools(self, foreign: list[Any]) -> dict[str, Any]:
        request, choice = self._request, self._request.tool_choice
        tools, allowed = request.tools, choice.allowed if choice is not None else ()
        if allowed and not self._profile.allowed_tools:
            tools = tuple(tool for tool in tools if tool.name in allowed)  # what is not there cannot be called
        entries = [*map(_tool, tools), *self._others(), *foreign]
        if not entries:
            return {}
        members: dict[str, Any] = {"tools": entries}
        if choice is not None:
            members["tool_choice"] = self._choice()
        if request.parallel_tool_calls is not None:
            members["parallel_tool_calls"] = request.parallel_tool_calls
        return members

    def _others(self) -> list[Any]:
        """A vendor's own tools, from a client of another wire. Raises Unsupported: they are another vendor's."""
        for wire, said in self._request.extra.items():
            if wire != NAME and isinstance(said, Mapping) and said.get("tools"):
                kinds = [tool.get("type") for tool in said["tools"] if isinstance(tool, dict)]
                raise Unsupported(f"tools of the types {kinds} are not this vendor's", "tools")
        return []

    def _choice(self) -> Any:
        choice = self._request.tool_choice
        if choice is None:
            return None
        if not self._profile.forced_tools and choice.mode in ("required", "named"):
            raise Unsupported("the model cannot be made to call a tool", "tool_choice")
        if choice.mode == "named":
            return {"type": self._kind(choice.name), "name": choice.name}
        if choice.allowed and self._profile.allowed_tools:
            tools = [{"type": self._kind(name), "name": name} for name in choice.allowed]
            return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
        return choice.mode

    def _kind(self, name: str | None) -> str:
        custom = any(tool.name == name and is_custom(tool) for tool in self._request.tools)
        return "custom" if custom else "function"

    def _sampling(self) -> dict[str, Any]:
        request, members = self._request, dict[str, Any]()
        for name in ("temperature", "top_p"):
            value = getattr(request, name)
            if value is not None and self._profile.sampling:
                members[name] = value
            elif value is not None:
                self._dropped.append(name)
        for name in ("top_k", "seed", "presence_penalty", "frequency_penalty"):
            if getattr(request, name):
                self._dropped.append(name)
        return members

    def _limit(self) -> int | None:
        asked, least = self._request.max_tokens, self._profile.least_output
        wanted = limits.least(asked, self._profile.longest)
        wanted = least if wanted is not None and wanted < least else wanted
        if wanted != asked:
            self._dropped.append(limits.NAME)
        return wanted

    def _reasoning(self, thinking: Thinking | None, more: Any) -> dict[str, Any] | None:
        if not self._profile.thinking:
            if thinking is not None and thinking.effort not in (None, "none"):
                self._dropped.append("reasoning_effort")
            return None
        said = dict(more) if isinstance(more, Mapping) else {}
        if thinking is not None and (effort := self._effort(thinking)) is not None:
            said["effort"] = effort
        if thinking is not None and thinking.show:
            said["summary"] = "auto"
        return said or None

    def _effort(self, thinking: Thinking) -> str | None:
        wanted = thinking.effort
        if wanted is None and thinking.budget is not None:
            wanted = next((name for most, name in _BUDGETS if thinking.budget <= most), "high")
            self._dropped.append("reasoning_effort")
        known = self._profile.efforts
        if wanted is None or not known or wanted in known:
            return wanted
        self._dropped.append("reasoning_effort")
        return nearest(wanted, known)

    def _text(self, more: Any) -> dict[str, Any] | None:
        request = self._request
        said: dict[str, Any] = dict(more) if isinstance(more, Mapping) else {}
        if request.format is not None:
            said["format"] = _format(request.format)
        if request.verbosity is not None and self._profile.verbosity:
            said["verbosity"] = request.verbosity
        elif request.verbosity is not None:
            self._dropped.append("verbosity")
        return said or None

    def _account(self) -> dict[str, Any]:
        request = self._request
        metadata = dict(request.metadata) if request.metadata else None
        return {"metadata": metadata, "safety_identifier": request.user, "service_tier": request.service_tier}

    def _name_foreign(self) -> None:
        """What only another wire knows is left out."""
        for wire, said in self._request.extra.items():
            if wire == NAME or not isinstance(said, Mapping):
                continue
            for name, value in said.items():
                if name not in _MEANINGLESS and value not in (None, False):
                    self._dropped.append(name)


def _refuse(request: Request) -> None:
    """What has no member on this wire and cannot be left out. Raises Unsupported."""
    if request.n > 1:
        raise Unsupported("this wire gives one answer at a time", "n")
    if request.logprobs is not None:
        raise Unsupported("models that think, which this wire is for, give no token probabilities", "logprobs")
    if request.logit_bias:
        raise Unsupported("this wire takes no logit_bias", "logit_bias")
    if request.stop:
        raise Unsupported("this wire takes no stop sequences", "stop")
    for said in request.extra.values():
        if isinstance(said, Mapping) and (said.get("audio") or said.get("modalities") not in (None, ["text"])):
            raise Unsupported("this wire answers in text alone", "modalities")


def _tool(tool: Tool) -> dict[str, Any]:
    """`strict` is always said: this wire takes silence for yes."""
    if is_custom(tool):
        custom = {"type": "custom", "name": tool.name, "description": tool.description}
        return {name: value for name, value in custom.items() if value is not None}
    parameters = _NO_PARAMETERS if tool.schema is None else tool.schema
    entry: dict[str, Any] = {"type": "function", "name": tool.name, "description": tool.description}
    entry |= {"parameters": parameters, "strict": bool(tool.strict), **tool.extra.get(NAME, {})}
    return {name: value for name, value in entry.items() if value is not None}


def _format(wanted: Format) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    told = {
        "type": "json_schema",
        "name": _NAME.sub("_", wanted.name)[:64] or "answer",
        "description": wanted.description,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
    return {name: value for name, value in told.items() if value is not None}


def nearest(wanted: str, known: tuple[str, ...]) -> str:
    """The known effort that is nearest; of two as near, the weaker. An effort nobody knows is the strongest."""
    places = {name: place for place, name in enumerate(_EFFORTS)}
    at = places.get(wanted, len(_EFFORTS))
    return min(known, key=lambda name: (abs(places.get(name, 0) - at), places.get(name, 0)))
