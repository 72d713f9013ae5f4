"""A Request as the body of an OpenAI chat call, for one server's `ChatProfile`.

Hints a server does not know are left out and named; what would change the meaning is refused. Members stand in a fixed
order, so that the prefix of a conversation has the same bytes in every turn.
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
from runtime.dialects.openai_chat.profile import EFFORTS, ChatProfile, cache_mark
from runtime.dialects.openai_chat.read_request.tools import OLD, WIRE
from runtime.dialects.openai_chat.write_request.messages import Messages
from runtime.wire import limits

PATH = "/chat/completions"

_MEANINGLESS = frozenset({"stream_options", "tools"})
_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def write_request(request: Request, model: str, profile: ChatProfile) -> Encoded:
    """The call, always for a stream with usage. Raises Unsupported."""
    dropped: list[str] = []
    body = _Body(request, profile, dropped).members(model)
    return Encoded(HttpCall(PATH, msgspec.json.encode(body)), tuple(dict.fromkeys(dropped)))


class _Body:
    """One body on its way. dropped: names of hints that were left out or weakened."""

    def __init__(self, request: Request, profile: ChatProfile, dropped: list[str]) -> None:
        _refuse(request, profile)
        dropped += _left_behind(request)
        self._weak_format = request.format is not None and not _takes(request.format, profile)
        if self._weak_format:
            request = instructed(request)
            dropped.append("response_format")
        self._request, self._profile, self._dropped = request, profile, dropped

    def members(self, model: str) -> dict[str, Any]:
        request = self._request
        own = dict(request.extra.get(WIRE, {}))
        foreign = own.pop("tools", [])
        body = {
            "model": model,
            "messages": Messages(self._profile, self._dropped).written(request.messages),
            **self._tool_members(foreign),
            **self._format(),
            **self._limits(),
            **self._sampling(),
            **_probabilities(request.logprobs),
            **self._thinking(request.thinking),
            **self._account(),
            **own,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return {name: value for name, value in body.items() if value is not None}

    def _tool_members(self, foreign: list[Any]) -> dict[str, Any]:
        request, profile, choice = self._request, self._profile, self._request.tool_choice
        tools, allowed = request.tools, choice.allowed if choice is not None else ()
        if allowed and not profile.allowed_tools:
            tools = tuple(tool for tool in tools if tool.name in allowed)  # what is not there cannot be called
        entries = [self._tool(tool) for tool in tools] + foreign
        if not entries:
            return {}
        members: dict[str, Any] = {"tools": entries}
        if choice is not None:
            members["tool_choice"] = self._choice()
        if request.parallel_tool_calls is not None:
            self._hint(members, "parallel_tool_calls", request.parallel_tool_calls, profile.parallel)
        return members

    def _choice(self) -> Any:
        choice = self._request.tool_choice
        if choice is None:
            return None
        if choice.mode == "named":
            return {"type": "function", "function": {"name": choice.name}}
        if choice.allowed and self._profile.allowed_tools:
            tools = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
        return choice.mode

    def _tool(self, tool: Tool) -> dict[str, Any]:
        own = dict(tool.extra.get(WIRE, {}))
        beside = own.pop("function", {})
        own.pop(OLD, None)
        function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
        if self._profile.strict:
            function["strict"] = tool.strict
        function = {name: value for name, value in function.items() if value is not None}
        entry = {"type": "function", "function": function | beside} | own
        return entry | cache_mark(tool.cache, self._profile)

    def _format(self) -> dict[str, Any]:
        wanted = self._request.format
        if wanted is None or (self._weak_format and not self._profile.json_mode):
            return {}
        if wanted.schema is None or self._weak_format:
            return {"response_format": {"type": "json_object"}}
        schema = {
            "name": _NAME.sub("_", wanted.name)[:64] or "answer",
            "description": wanted.description,
            "schema": wanted.schema,
            "strict": wanted.strict,
        }
        told = {name: value for name, value in schema.items() if value is not None}
        return {"response_format": {"type": "json_schema", "json_schema": told}}

    def _limits(self) -> dict[str, Any]:
        request, most = self._request, self._profile.stops
        if most is not None and len(request.stop) > most:
            raise Unsupported(f"the model takes at most {most} stop sequences", "stop")
        limit = limits.least(request.max_tokens, self._profile.longest)
        if limit != request.max_tokens:
            self._dropped.append(limits.NAME)
        return {self._profile.limit: limit, "stop": list(request.stop) or None}

    def _sampling(self) -> dict[str, Any]:
        request, profile = self._request, self._profile
        if request.logit_bias and not profile.biases:
            raise Unsupported("the model takes no logit_bias", "logit_bias")
        members: dict[str, Any] = {}
        for name in ("temperature", "top_p"):
            self._hint(members, name, getattr(request, name), profile.sampling)
        for name in ("presence_penalty", "frequency_penalty"):
            self._hint(members, name, getattr(request, name), profile.penalties)
        self._hint(members, "top_k", request.top_k, profile.top_k)
        self._hint(members, "seed", request.seed, profile.seed)
        members["logit_bias"] = request.logit_bias
        return members

    def _thinking(self, thinking: Thinking | None) -> dict[str, Any]:
        if thinking is None:
            return {}
        wanted = thinking.effort or _effort_of(thinking.budget)
        if wanted is None:
            return {}
        taken = nearest_effort(wanted, self._profile.efforts)
        if taken != wanted:
            self._dropped.append("reasoning_effort")
        return {"reasoning_effort": taken}

    def _account(self) -> dict[str, Any]:
        request, profile = self._request, self._profile
        members: dict[str, Any] = {"user": request.user}
        self._hint(members, "verbosity", request.verbosity, profile.verbosity)
        self._hint(members, "metadata", request.metadata, profile.metadata)
        if request.service_tier is not None:
            known = request.service_tier in profile.tiers
            self._hint(members, "service_tier", request.service_tier, known)
        return members

    def _hint(self, members: dict[str, Any], name: str, value: Any, known: bool) -> None:
        """Puts a hint in, or names it among the dropped."""
        if value is None:
            return
        if known:
            members[name] = value
        else:
            self._dropped.append(name)


def _refuse(request: Request, profile: ChatProfile) -> None:
    """Several answers have no events. Raises Unsupported."""
    if request.n > 1:
        raise Unsupported("several answers at once (n) cannot be translated between wires", "n")
    if request.logprobs is not None and not profile.logprobs:
        raise Unsupported("the model gives no log probabilities", "logprobs")


def _probabilities(wanted: int | None) -> dict[str, Any]:
    return {} if wanted is None else {"logprobs": True, "top_logprobs": wanted or None}


def _left_behind(request: Request) -> list[str]:
    """What only other wires know, named. Raises Unsupported for tools that a vendor runs: no other can."""
    names = []
    for wire, said in request.extra.items():
        if wire == WIRE or not isinstance(said, Mapping):
            continue
        if said.get("tools"):
            kinds = sorted({str(tool.get("type")) for tool in said["tools"] if isinstance(tool, Mapping)})
            raise Unsupported(f"tools of another vendor's own ({', '.join(kinds)}) cannot be run here", "tools")
        names += [name for name, value in said.items() if value not in (None, False) and name not in _MEANINGLESS]
    return names


def _takes(wanted: Format, profile: ChatProfile) -> bool:
    return profile.json_mode if wanted.schema is None else profile.schema


def _effort_of(budget: int | None) -> str | None:
    """A budget of thinking tokens as an effort."""
    if budget is None:
        return None
    return "none" if budget == 0 else "low" if budget <= 2048 else "medium" if budget <= 8192 else "high"


def nearest_effort(wanted: str, known: tuple[str, ...]) -> str | None:
    """The value nearest to the one wanted, the lesser of two as near; None where the server knows none."""
    if wanted in known or not known:
        return wanted if known else None
    if wanted not in EFFORTS:
        return None
    at = EFFORTS.index(wanted)
    ranked = [effort for effort in EFFORTS if effort in known and (effort != "none" or wanted == "none")]
    return min(ranked, key=lambda effort: abs(EFFORTS.index(effort) - at), default=None)
