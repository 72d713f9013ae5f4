"""A client's responses body as a Request: every member is read, kept as an extra, or refused with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Message, Request, Role, Text, Thinking
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_responses.read_request.items import messages
from runtime.dialects.openai_responses.read_request.tools import answer_format, more_text, tool_choice, tools
from runtime.dialects.openai_responses.words import NAME
from runtime.dialects.seam import HINTS
from runtime.wire import members
from runtime.wire.members import Table
from runtime.wire.raw_body import BadBody, RawBody

_READ = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "reasoning",
        "text",
        "user",
        "safety_identifier",
        "service_tier",
        "metadata",
        "stream",
        HINTS,
    }
)
# What says how an answer is delivered or kept, not what it is to be; and what is refused or read elsewhere.
_ASIDE = frozenset(
    {"store", "include", "stream_options", "background", "previous_response_id", "conversation", "prompt"}
)
_LOGPROBS = "message.output_text.logprobs"
_PLAIN_REASONING = frozenset({"effort", "summary", "generate_summary"})
_DEFAULTS: Mapping[str, Any] = {"truncation": "disabled", "top_logprobs": 0}  # said aloud, they change nothing


def read_request(body: RawBody, signatures: SignatureCache | None = None) -> Request:
    """Raises BadBody with the place of what the wire does not allow, Unsupported for what only OpenAI's own servers do.

    signatures: what earlier turns left, for clients that do not give it back.
    """
    data = body.data
    _refuse_state(data)
    functions, foreign = tools(data)
    return Request(
        model=members.text(data, "model") or "",
        messages=_messages(data, signatures),
        tools=functions,
        tool_choice=tool_choice(data, {tool.name for tool in functions}),
        parallel_tool_calls=members.flag(data, "parallel_tool_calls"),
        max_tokens=members.whole(data, "max_output_tokens", 1),
        temperature=members.number(data, "temperature"),
        top_p=members.number(data, "top_p"),
        top_k=members.whole(data, "top_k"),
        stop=_stop(data),
        seed=members.whole(data, "seed"),
        presence_penalty=members.number(data, "presence_penalty"),
        frequency_penalty=members.number(data, "frequency_penalty"),
        logprobs=_logprobs(data),
        logit_bias=members.table(data, "logit_bias") or None,
        format=answer_format(data),
        thinking=_thinking(data),
        verbosity=members.text(members.table(data, "text") or {}, "verbosity", "text"),
        user=members.text(data, "safety_identifier") or members.text(data, "user"),
        service_tier=members.text(data, "service_tier"),
        metadata=_metadata(data),
        stream=members.flag(data, "stream") or False,
        include_usage=True,
        extra=_extra(data, foreign),
    )


def _refuse_state(data: Table) -> None:
    """What stands on another server cannot be sent to this target."""
    for name in ("conversation", "prompt"):
        if data.get(name) is not None:
            raise Unsupported(f"{name!r} names something that only OpenAI's own servers keep", name)
    if data.get("previous_response_id") is not None:
        raise BadBody("the response that 'previous_response_id' names is not kept here", "previous_response_id")


def _messages(data: Table, signatures: SignatureCache | None) -> tuple[Message, ...]:
    instructions = members.text(data, "instructions")
    head = (Message(Role.SYSTEM, (Text(instructions),)),) if instructions else ()
    found = (*head, *messages(data.get("input"), signatures))
    if len(found) == len(head):
        raise BadBody("'input' must be a text or a list with at least one item", "input")
    return found


def _stop(data: Table) -> tuple[str, ...]:
    """Not OpenAI's own member; servers of this wire take it."""
    value = data.get("stop")
    words = [value] if isinstance(value, str) else members.items(data, "stop")
    if not all(isinstance(word, str) for word in words):
        raise members.wrong("stop", "a string or a list of strings")
    return tuple(word for word in words if word)


def _logprobs(data: Table) -> int | None:
    wanted, top = members.items(data, "include"), members.whole(data, "top_logprobs", 0)
    return top or 0 if _LOGPROBS in wanted or top else None


def _thinking(data: Table) -> Thinking | None:
    said = members.table(data, "reasoning") or {}
    effort = members.text(said, "effort", "reasoning")
    summary = members.text(said, "summary", "reasoning") or members.text(said, "generate_summary", "reasoning")
    if effort is None and summary is None:
        return None
    return Thinking(effort, show=True if summary else None)


def _metadata(data: Table) -> Mapping[str, str] | None:
    found = members.table(data, "metadata")
    for name in found or ():
        members.text(found or {}, name, "metadata")
    return found or None


def _extra(data: Table, foreign: list[Any]) -> dict[str, Any]:
    found = members.rest(data, _READ | _ASIDE)
    found = {name: value for name, value in found.items() if _DEFAULTS.get(name, found) != value}
    if more := more_text(data):
        found["text"] = more
    if more := members.rest(members.table(data, "reasoning") or {}, _PLAIN_REASONING):
        found["reasoning"] = more
    if foreign:
        found["tools"] = foreign
    return {NAME: found} if found else {}
