"""A client's chat body as a Request: every member is read, kept as an extra, or refused with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.messages import Request, Thinking
from runtime.dialects.openai_chat.read_request.messages import messages
from runtime.dialects.openai_chat.read_request.tools import WIRE, answer_format, tool_choice, tools
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.seam import HINTS
from runtime.wire import members
from runtime.wire.members import Table
from runtime.wire.raw_body import BadBody, RawBody

_READ = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "response_format",
        "reasoning_effort",
        "reasoning",
        "verbosity",
        "user",
        "safety_identifier",
        "service_tier",
        "metadata",
        "stream",
        "stream_options",
        HINTS,
    }
)


def read_request(body: RawBody, signatures: SignatureCache | None = None) -> Request:
    """Raises BadBody with the place of what the wire does not allow, Unsupported for what only OpenAI's own servers do.

    signatures: what earlier turns left, for clients that do not give it back.
    """
    data = body.data
    functions, foreign = tools(data)
    choice = tool_choice(data, {tool.name for tool in functions})
    limit = members.whole(data, "max_completion_tokens", 0)
    return Request(
        model=members.text(data, "model") or "",
        messages=messages(_needed_messages(data), signatures),
        tools=functions,
        tool_choice=choice,
        parallel_tool_calls=_parallel(data),
        max_tokens=members.whole(data, "max_tokens", 0) if limit is None else limit,
        temperature=members.number(data, "temperature"),
        top_p=members.number(data, "top_p"),
        top_k=members.whole(data, "top_k"),
        stop=_stop(data),
        n=members.whole(data, "n", 1) or 1,
        seed=members.whole(data, "seed"),
        presence_penalty=members.number(data, "presence_penalty"),
        frequency_penalty=members.number(data, "frequency_penalty"),
        logprobs=_logprobs(data),
        logit_bias=_biases(data),
        format=answer_format(data),
        thinking=_thinking(data),
        verbosity=members.text(data, "verbosity"),
        user=members.text(data, "user") or members.text(data, "safety_identifier"),
        service_tier=members.text(data, "service_tier"),
        metadata=_metadata(data),
        stream=members.flag(data, "stream") or False,
        include_usage=_include_usage(data),
        extra=_extra(data, foreign),
    )


def _needed_messages(data: Table) -> list[Any]:
    found = members.items(data, "messages")
    if not found:
        raise BadBody("'messages' must be a list with at least one message", "messages")
    return found


def _parallel(data: Table) -> bool | None:
    """The old spelling of tools has one call per answer."""
    said = members.flag(data, "parallel_tool_calls")
    return False if said is None and data.get("functions") and not data.get("tools") else said


def _stop(data: Table) -> tuple[str, ...]:
    value = data.get("stop")
    if isinstance(value, str):
        return (value,) if value else ()
    words = members.items(data, "stop")
    if not all(isinstance(word, str) for word in words):
        raise members.wrong("stop", "a string or a list of strings")
    return tuple(word for word in words if word)


def _logprobs(data: Table) -> int | None:
    wanted, top = members.flag(data, "logprobs"), members.whole(data, "top_logprobs", 0)
    return top or 0 if wanted else None


def _biases(data: Table) -> Mapping[str, float] | None:
    found = members.table(data, "logit_bias")
    if found is not None:
        for token in found:
            members.number(found, token, "logit_bias")
    return found or None


def _thinking(data: Table) -> Thinking | None:
    """`reasoning_effort`, or the `reasoning` object that several servers of this wire take."""
    effort = members.text(data, "reasoning_effort")
    said = members.table(data, "reasoning") or {}
    effort = effort or members.text(said, "effort", "reasoning")
    budget = members.whole(said, "max_tokens", 0)
    if effort is None and budget is None and (enabled := members.flag(said, "enabled", "reasoning")) is not None:
        effort = "medium" if enabled else "none"
    show = members.flag(said, "exclude", "reasoning")
    if effort is None and budget is None and show is None:
        return None
    return Thinking(effort, budget, None if show is None else not show)


def _metadata(data: Table) -> Mapping[str, str] | None:
    found = members.table(data, "metadata")
    for name in found or ():
        members.text(found or {}, name, "metadata")
    return found or None


def _include_usage(data: Table) -> bool:
    options = members.table(data, "stream_options") or {}
    return members.flag(options, "include_usage", "stream_options") or False


def _extra(data: Table, foreign: list[Any]) -> dict[str, Any]:
    found = members.rest(data, _READ)
    if foreign:
        found["tools"] = foreign
    if data.get("user") and data.get("safety_identifier"):
        found["safety_identifier"] = data["safety_identifier"]
    return {WIRE: found} if found else {}
