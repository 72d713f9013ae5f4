"""Names and tables of the messages wire: its name, stop reasons and usage, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.events import Finish, Stop
from runtime.contract.usage import Usage

NAME = "anthropic_messages"
NO_THREADS = "this target keeps no threads"  # conversations that a server of this wire stores and continues

FINISH: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "length",
}
_KEPT = frozenset({"pause_turn", "model_context_window_exceeded"})  # stop reasons without an equal finish


def stop_reason(stop: Stop, *, called: bool, refused: bool) -> str:
    """The wire's stop reason. called: a tool call was written. refused: the model refused in words."""
    if stop.raw in _KEPT:
        return stop.raw
    if stop.finish == "length":
        return "max_tokens"
    if refused or stop.finish == "content_filter":
        return "refusal"
    if called:  # some wires finish a forced call with "stop"; a client of this one would not run it
        return "tool_use"
    return "end_turn" if stop.stop_sequence is None else "stop_sequence"


def usage_of(value: Any) -> Usage | None:
    """The counts of a usage object, None if it is no object. Cached and newly cached tokens belong to the prompt."""
    if not isinstance(value, dict):
        return None
    # Steps that summed up the conversation first are billed like the answer, and missing in its own counts.
    steps = value.get("iterations")
    steps = steps if isinstance(steps, list) else []
    spent = [value, *(step for step in steps if isinstance(step, dict) and step.get("type") == "compaction")]
    cached = sum(_count(each.get("cache_read_input_tokens")) for each in spent)
    written = sum(_count(each.get("cache_creation_input_tokens")) for each in spent)
    details = value.get("output_tokens_details")
    kept = [each.get("cache_creation") for each in spent]
    served, speed = value.get("server_tool_use"), value.get("speed")
    return Usage(
        prompt=sum(_count(each.get("input_tokens")) for each in spent) + cached + written,
        completion=sum(_count(each.get("output_tokens")) for each in spent),
        cached=cached,
        cache_write=written,
        reasoning=_count(details.get("thinking_tokens")) if isinstance(details, dict) else 0,
        cache_write_1h=sum(_count(each.get("ephemeral_1h_input_tokens")) for each in kept if isinstance(each, dict)),
        searches=_count(served.get("web_search_requests")) if isinstance(served, dict) else 0,
        tier=speed if isinstance(speed, str) else "",
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    written: dict[str, Any] = {
        "input_tokens": max(0, usage.prompt - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }
    if usage.cache_write_1h:
        shorter = max(0, usage.cache_write - usage.cache_write_1h)
        kept = {"ephemeral_5m_input_tokens": shorter, "ephemeral_1h_input_tokens": usage.cache_write_1h}
        written["cache_creation"] = kept
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
