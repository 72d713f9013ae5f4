"""A client's responses body as a Request: every member is read, kept as an extra, or refused with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Message, Request, Role, Text, Thinking
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_responses.read_request.items import messages
from runtime.dialects.openai_responses.read_request.tools import ClientTools, answer_format, tool_choice
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
# Members about delivery and storage, and those that are refused or read elsewhere.
_ASIDE = frozenset(
    {"store", "include", "stream_options", "background", "previous_response_id", "conversation", "prompt"}
)
_LOGPROBS = "message.output_text.logprobs"
_PLAIN_TEXT = frozenset({"format", "verbosity"})
_PLAIN_REASONING = frozenset({"effort", "summary", "generate_summary"})
_DEFAULTS: Mapping[str, Any] = {"truncation": "disabled", "top_logprobs": 0}  # stated or not, they mean the same


def read_request(body: RawBody, signatures: SignatureCache | None = None) -> Request:
    """Raises BadBody with the place of what the wire does not allow; Unsupported for what only OpenAI's own servers do.

    signatures: of earlier turns, for clients that drop them.
    """
    data = body.data
    for name in ("conversation", "prompt"):
        if data.get(name) is not None:
            raise Unsupported(f"{name!r} names something that only OpenAI's own servers store", name)
    if data.get("previous_response_id") is not None:
        raise BadBody("the response that 'previous_response_id' names is not stored here", "previous_response_id")
    instructions = members.text(data, "instructions")
    head = (Message(Role.SYSTEM, (Text(instructions),)),) if instructions else ()
    tools = ClientTools(data)
    conversation, unread = messages(data.get("input"), tools, signatures)
    if not conversation:
        raise BadBody("'input' must be a text or a list with at least one item", "input")
    top_logprobs = members.whole(data, "top_logprobs", 0)
    wants_logprobs = bool(top_logprobs) or _LOGPROBS in members.items(data, "include")
    return Request(
        model=members.text(data, "model") or "",
        messages=(*head, *conversation),
        tools=tools.functions,
        tool_choice=tool_choice(data, tools),
        parallel_tool_calls=members.flag(data, "parallel_tool_calls"),
        max_tokens=members.whole(data, "max_output_tokens", 1),
        temperature=members.number(data, "temperature"),
        top_p=members.number(data, "top_p"),
        top_k=members.whole(data, "top_k"),
        stop=members.texts(data, "stop"),  # not a member of OpenAI's own; other servers of this wire take it
        seed=members.whole(data, "seed"),
        presence_penalty=members.number(data, "presence_penalty"),
        frequency_penalty=members.number(data, "frequency_penalty"),
        logprobs=top_logprobs or 0 if wants_logprobs else None,
        logit_bias=members.table(data, "logit_bias") or None,
        format=answer_format(data),
        thinking=_thinking(data),
        verbosity=members.text(members.table(data, "text") or {}, "verbosity", "text"),
        user=members.text(data, "safety_identifier") or members.text(data, "user"),
        service_tier=members.text(data, "service_tier"),
        metadata=_metadata(data),
        stream=members.flag(data, "stream") or False,
        include_usage=True,
        dropped=(*(("tools",) if tools.grammars else ()), *(("input",) if unread else ())),
        extra=_extra(data, tools.vendors),
    )


def _metadata(data: Table) -> Mapping[str, str] | None:
    given = members.table(data, "metadata") or {}
    for name in given:
        members.text(given, name, "metadata")  # raises if it is no text
    return given or None


def _thinking(data: Table) -> Thinking | None:
    given = members.table(data, "reasoning") or {}
    effort = members.text(given, "effort", "reasoning")
    summary = members.text(given, "summary", "reasoning") or members.text(given, "generate_summary", "reasoning")
    if effort is None and summary is None:
        return None
    return Thinking(effort, show=True if summary else None)


def _extra(data: Table, vendor_tools: list[Any]) -> dict[str, Any]:
    """Members that the contract does not have, under this wire's name."""
    found = members.rest(data, _READ | _ASIDE)
    found = {name: value for name, value in found.items() if _DEFAULTS.get(name, found) != value}
    if more := members.rest(members.table(data, "text") or {}, _PLAIN_TEXT):
        found["text"] = more
    if more := members.rest(members.table(data, "reasoning") or {}, _PLAIN_REASONING):
        found["reasoning"] = more
    if vendor_tools:
        found["tools"] = vendor_tools
    return {NAME: found} if found else {}
