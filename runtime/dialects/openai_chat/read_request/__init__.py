"""Reads a client's chat body as a Request: every member is read, kept as an extra, or refused with its place."""

from __future__ import annotations

from collections.abc import Callable
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

    signatures: of earlier turns, for clients that do not give them back.
    """
    data = body.data
    functions, foreign = tools(data)
    given = members.items(data, "messages")
    if not given:
        raise BadBody("'messages' must be a list with at least one message", "messages")
    parallel = members.flag(data, "parallel_tool_calls")
    if parallel is None and data.get("functions") and not data.get("tools"):
        parallel = False  # the old spelling of tools has one call per answer
    limit = members.whole(data, "max_completion_tokens", 0)
    wants_logprobs, top = members.flag(data, "logprobs"), members.whole(data, "top_logprobs", 0)
    options = members.table(data, "stream_options") or {}
    # Members without a place in the contract stay with the wire.
    extra = members.rest(data, _READ)
    if foreign:
        extra["tools"] = foreign
    if data.get("user") and data.get("safety_identifier"):
        extra["safety_identifier"] = data["safety_identifier"]
    return Request(
        model=members.text(data, "model") or "",
        messages=messages(given, signatures),
        tools=functions,
        tool_choice=tool_choice(data, {tool.name for tool in functions}),
        parallel_tool_calls=parallel,
        max_tokens=members.whole(data, "max_tokens", 0) if limit is None else limit,
        temperature=members.number(data, "temperature"),
        top_p=members.number(data, "top_p"),
        top_k=members.whole(data, "top_k"),
        stop=members.texts(data, "stop"),
        n=members.whole(data, "n", 1) or 1,
        seed=members.whole(data, "seed"),
        presence_penalty=members.number(data, "presence_penalty"),
        frequency_penalty=members.number(data, "frequency_penalty"),
        logprobs=top or 0 if wants_logprobs else None,
        logit_bias=_each(data, "logit_bias", members.number),
        format=answer_format(data),
        thinking=_thinking(data),
        verbosity=members.text(data, "verbosity"),
        user=members.text(data, "user") or members.text(data, "safety_identifier"),
        service_tier=members.text(data, "service_tier"),
        metadata=_each(data, "metadata", members.text),
        stream=members.flag(data, "stream") or False,
        include_usage=members.flag(options, "include_usage", "stream_options") or False,
        dropped=("tools",) if any(tool.extra.get(WIRE, {}).get("grammar") for tool in functions) else (),
        extra={WIRE: extra} if extra else {},
    )


def _thinking(data: Table) -> Thinking | None:
    """`reasoning_effort`, the `reasoning` object that several servers of this wire take, or a vendor's own switch.

    Switches: DeepSeek's and Anthropic's `thinking` object, Qwen's `enable_thinking` and `thinking_budget`.
    """
    effort = members.text(data, "reasoning_effort")
    reasoning = members.table(data, "reasoning") or {}
    effort = effort or members.text(reasoning, "effort", "reasoning")
    budget = members.whole(reasoning, "max_tokens", 0)
    if effort is None and budget is None and (enabled := members.flag(reasoning, "enabled", "reasoning")) is not None:
        effort = "medium" if enabled else "none"
    switch, on = data.get("thinking"), data.get("enable_thinking")
    if isinstance(switch, dict) and isinstance(kind := switch.get("type"), str):
        on = kind not in ("disabled", "between_tools")
    more = switch.get("budget_tokens") if isinstance(switch, dict) else data.get("thinking_budget")
    if on is False:
        effort, budget = "none", None
    elif budget is None and isinstance(more, int) and not isinstance(more, bool) and more >= 0:
        budget = more
    if on is True and effort is None and budget is None:
        effort = "medium"
    hidden = members.flag(reasoning, "exclude", "reasoning")
    if effort is None and budget is None and hidden is None:
        return None
    return Thinking(effort, budget, None if hidden is None else not hidden)


def _each(data: Table, name: str, read: Callable[[Table, str, str], Any]) -> dict[str, Any] | None:
    """An object whose members all have one type; None if it is empty."""
    found = members.table(data, name)
    for member in found or ():
        read(found or {}, member, name)
    return found or None
