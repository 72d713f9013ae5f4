"""Writes a Request as the body of an OpenAI chat call, for one server's `ChatProfile`.

Hints a server does not know are left out and named; where that would change the meaning, the request is refused. Members
stand in a fixed order, so that the prefix of a conversation has the same bytes in every turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.codec import Encoded, Unsupported
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Request, Thinking, Tool
from runtime.dialects.custom_tools import CUSTOM
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
    if request.n > 1:
        raise Unsupported("several answers at once (n) cannot be translated between wires", "n")
    if request.logprobs is not None and not profile.logprobs:
        raise Unsupported("the model gives no log probabilities", "logprobs")
    body = _Body(request, profile)
    written = body.members(model)
    return Encoded(HttpCall(PATH, msgspec.json.encode(written)), tuple(dict.fromkeys(body.dropped)))


class _Body:
    """One body in the making. dropped: names of hints that were left out or weakened."""

    def __init__(self, request: Request, profile: ChatProfile) -> None:
        self.dropped = _left_behind(request)
        wanted = request.format
        keeps = wanted is None or (profile.json_mode if wanted.schema is None else profile.schema)
        if not keeps:
            request = instructed(request)
            self.dropped.append("response_format")
        self._request, self._profile, self._instructed = request, profile, not keeps

    def members(self, model: str) -> dict[str, Any]:
        request, profile = self._request, self._profile
        own = dict(request.extra.get(WIRE, {}))
        foreign = own.pop("tools", [])
        known = profile.members
        self.dropped += [name for name in own if known is not None and name not in known]
        own = {name: value for name, value in own.items() if known is None or name in known}
        if request.logit_bias and not profile.biases:
            raise Unsupported("the model takes no logit_bias", "logit_bias")
        if profile.stops and len(request.stop) > profile.stops:
            raise Unsupported(f"the model takes at most {profile.stops} stop sequences", "stop")
        limit = limits.least(request.max_tokens, profile.longest)
        if limit != request.max_tokens:
            self.dropped.append(limits.NAME)
        body: dict[str, Any] = {
            "model": model,
            "messages": Messages(profile, self.dropped).written(request.messages),
            **self._tools(foreign),
            "response_format": self._format(),
            profile.limit: limit,
            "stop": self._hint("stop", list(request.stop) or None, profile.stops != 0),
            "temperature": self._hint("temperature", request.temperature, profile.sampling),
            "top_p": self._hint("top_p", request.top_p, profile.sampling),
            "presence_penalty": self._hint("presence_penalty", request.presence_penalty, profile.penalties),
            "frequency_penalty": self._hint("frequency_penalty", request.frequency_penalty, profile.penalties),
            "top_k": self._hint("top_k", request.top_k, profile.top_k),
            "seed": self._hint("seed", request.seed, profile.seed),
            "logit_bias": request.logit_bias,
            "logprobs": True if request.logprobs is not None else None,
            "top_logprobs": request.logprobs or None,
            "reasoning_effort": self._effort(request.thinking),
            "user": request.user,
            "verbosity": self._hint("verbosity", request.verbosity, profile.verbosity),
            "metadata": self._hint("metadata", request.metadata, profile.metadata),
            "service_tier": self._hint("service_tier", request.service_tier, request.service_tier in profile.tiers),
            **own,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return {name: value for name, value in body.items() if value is not None}

    def _hint(self, name: str, value: Any, known: bool) -> Any:
        """The value if the server knows the member; else None, and the name among the dropped."""
        if value is None or known:
            return value
        self.dropped.append(name)
        return None

    def _tools(self, foreign: list[Any]) -> dict[str, Any]:
        """Tools and the choice among them. Tools that are not allowed are left out if the server has no word for that."""
        request, profile, choice = self._request, self._profile, self._request.tool_choice
        tools, allowed = request.tools, choice.allowed if choice is not None else ()
        if allowed and not profile.allowed_tools:
            tools = tuple(tool for tool in tools if tool.name in allowed)
        entries = [tool_entry(tool, profile) for tool in tools] + foreign
        if not entries:
            return {}
        written: Any = None if choice is None else choice.mode
        if choice is not None and choice.mode == "named":
            written = {"type": "function", "function": {"name": choice.name}}
        elif allowed and profile.allowed_tools:
            named = [{"type": "function", "function": {"name": name}} for name in allowed]
            written = {"type": "allowed_tools", "allowed_tools": {"mode": written, "tools": named}}
        parallel = self._hint("parallel_tool_calls", request.parallel_tool_calls, profile.parallel)
        return {"tools": entries, "tool_choice": written, "parallel_tool_calls": parallel}

    def _format(self) -> dict[str, Any] | None:
        wanted = self._request.format
        if wanted is None or (self._instructed and not self._profile.json_mode):
            return None
        if wanted.schema is None or self._instructed:
            return {"type": "json_object"}
        schema = {
            "name": _NAME.sub("_", wanted.name)[:64] or "answer",
            "description": wanted.description,
            "schema": wanted.schema,
            "strict": wanted.strict,
        }
        return {
            "type": "json_schema",
            "json_schema": {name: value for name, value in schema.items() if value is not None},
        }

    def _effort(self, thinking: Thinking | None) -> str | None:
        """The effort nearest to what is wanted; a budget of thinking tokens becomes an effort."""
        if thinking is None or (thinking.effort is None and thinking.budget is None):
            return None
        budget = thinking.budget or 0
        wanted = thinking.effort or (
            "none" if budget == 0 else "low" if budget <= 2048 else "medium" if budget <= 8192 else "high"
        )
        taken = nearest_effort(wanted, self._profile.efforts)
        if taken != wanted:
            self.dropped.append("reasoning_effort")
        return taken


def tool_entry(tool: Tool, profile: ChatProfile) -> dict[str, Any]:
    """A function among `tools`."""
    own = dict(tool.extra.get(WIRE, {}))
    beside = own.pop("function", {})
    for mark in (OLD, CUSTOM, "grammar"):
        own.pop(mark, None)
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    if profile.strict:
        function["strict"] = tool.strict
    function = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": function | beside} | own | cache_mark(tool.cache, profile)


def _left_behind(request: Request) -> list[str]:
    """Names of members that only another wire knows, `tools` for those that a vendor runs itself.

    Raises Unsupported where the model must call such a tool.
    """
    names = []
    for wire, extra in request.extra.items():
        if wire == WIRE or not isinstance(extra, Mapping):
            continue
        if extra.get("tools"):
            if request.demands_vendor_tool:
                kinds = sorted({str(tool.get("type")) for tool in extra["tools"] if isinstance(tool, Mapping)})
                raise Unsupported(f"tools of another vendor's own ({', '.join(kinds)}) cannot be run here", "tools")
            names.append("tools")
        names += [name for name, value in extra.items() if value not in (None, False) and name not in _MEANINGLESS]
    return names


def nearest_effort(wanted: str, known: tuple[str, ...]) -> str | None:
    """The known value nearest to the wanted one, the lesser of two equally near; None if the server knows none."""
    if wanted in known or not known:
        return wanted if known else None
    if wanted not in EFFORTS:
        return None
    at = EFFORTS.index(wanted)
    ranked = [effort for effort in EFFORTS if effort in known and (effort != "none" or wanted == "none")]
    return min(ranked, key=lambda effort: abs(EFFORTS.index(effort) - at), default=None)
