"""The order of calls and results that strict servers demand: all results of a turn right after it, before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runtime.contract.messages import Message, Part, Role, ToolCall, ToolResult
from runtime.wire.raw_body import RawBody

# Members and types that results alone have, in the bodies of every wire. In a text their quotes would be escaped.
_RESULTS = (b'"tool_call_id"', b'"tool_result"', b'_call_output"')
_RESULT_ROLES = ("tool", "function")


def holds_results(body: RawBody) -> bool:
    """True if the conversation holds a result of a tool, in any turn."""
    messages = body.data.get("messages")
    return any(sign in body.raw for sign in _RESULTS) or any(
        isinstance(each, dict) and each.get("role") in _RESULT_ROLES
        for each in (messages if isinstance(messages, list) else ())
    )


def results_in_place(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with one result of each call, in the message after the turn of the call.

    Agents put other things between the two: instructions, a word of the user, text of the model, results of other calls. These
    keep their order, behind the results. A result without a call stays where it is. Several results of one call become one:
    an agent reports what a tool said while it ran, and later how it ended.
    """
    return tuple(map(_one_result_per_call, _moved(messages)))


def _moved(messages: Sequence[Message]) -> Sequence[Message]:
    callers: dict[str, int] = {}  # call id -> place of the turn that made the call last
    late: dict[int, list[Part]] = {}  # place of a turn -> its results that stand too far behind it
    rest: dict[int, tuple[Part, ...]] = {}  # place of a message -> its parts without those
    for place, message in enumerate(messages):
        kept: list[Part] = []
        for part in message.parts:
            caller = callers.get(part.call_id) if isinstance(part, ToolResult) else None
            if caller is None or caller == place - 1:
                kept.append(part)
            else:
                late.setdefault(caller, []).append(part)
            if isinstance(part, ToolCall):
                callers[part.id] = place
        if len(kept) < len(message.parts):
            rest[place] = tuple(kept)
    if not late:
        return messages
    out: list[Message] = []
    pending: list[Part] = []
    for place, message in enumerate(messages):
        parts = rest.get(place, message.parts)
        if pending:
            # They join the results that stand right after the turn.
            early = [part for part in parts if isinstance(part, ToolResult)]
            out.append(Message(Role.USER, (*early, *pending)))
            parts = tuple(part for part in parts if not isinstance(part, ToolResult))
            if parts or not message.parts:
                out.append(replace(message, parts=parts))
        elif parts or not message.parts:
            out.append(replace(message, parts=parts) if place in rest else message)
        pending = late.get(place, [])
    return [*out, Message(Role.USER, tuple(pending))] if pending else out


def _one_result_per_call(message: Message) -> Message:
    """The message itself if no call has two results in it."""
    first: dict[str, ToolResult] = {}
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for part in results:
        one = first.setdefault(part.call_id, part)
        if one is not part:
            together = replace(one, content=one.content + part.content, is_error=one.is_error or part.is_error)
            first[part.call_id] = together
    if len(first) == len(results):
        return message
    rest = [part for part in message.parts if not isinstance(part, ToolResult)]
    return replace(message, parts=(*first.values(), *rest))
