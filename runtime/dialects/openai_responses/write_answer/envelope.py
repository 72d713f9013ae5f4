"""The response object around the output items: the client's parameters repeated, how it ended, how far the stream is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.events import Stop
from runtime.contract.messages import Request
from runtime.contract.usage import Usage
from runtime.dialects.openai_responses.read_request.tools import kind_of
from runtime.dialects.openai_responses.words import CUT_SHORT, NAME, usage_object

Json = dict[str, Any]

_ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Member that a response repeats -> its value if the client left it out."""


class StreamProgress:
    """State of one stream that an error event needs, too.

    response: the object as last sent to the client, None before. sequence: of the last event, -1 before the first.
    """

    __slots__ = ("response", "sequence")

    def __init__(self) -> None:
        self.response: Json | None = None
        self.sequence = -1

    def next(self) -> int:
        self.sequence += 1
        return self.sequence


def echo_of(body: Mapping[str, Any]) -> Json:
    """The members of a body that its response repeats."""
    return {name: body[name] for name in _ECHOED if body.get(name) is not None}


def echo_from(request: Request) -> Json:
    """The same, from a request whose body is not at hand."""
    tools: list[Json] = []
    for tool in request.tools:
        entry: Json = {"type": "function", "name": tool.name, "description": tool.description}
        if kind_of(tool) == "custom":
            entry["type"] = "custom"
        else:
            entry |= {"parameters": tool.schema, "strict": bool(tool.strict)}
        tools.append(entry)
    known: Json = {
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "parallel_tool_calls": request.parallel_tool_calls,
        "tools": [*tools, *request.extra.get(NAME, {}).get("tools", [])],
        "metadata": dict(request.metadata) if request.metadata else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def new_response(response_id: str, created: int, model: str, echo: Mapping[str, Any]) -> Json:
    """The response object before its first output."""
    head = {"id": response_id, "object": "response", "created_at": created, "status": "in_progress", "model": model}
    open_ends: Json = {"completed_at": None, "error": None, "incomplete_details": None, "output": [], "usage": None}
    return {**head, **open_ends, **_ECHOED, **echo}


def final_response(response: Json, items: list[Json], stop: Stop | None, usage: Usage | None, completed: int) -> Json:
    """The same object at the end: completed, or incomplete with its reason."""
    reason = CUT_SHORT.get(stop.finish) if stop is not None else None
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else completed,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": items,
        "usage": usage_object(usage) if usage is not None else None,
    }


def failed_response(response: Mapping[str, Any], code: str, message: str) -> Json:
    return {**response, "status": "failed", "error": {"code": code, "message": message}}
