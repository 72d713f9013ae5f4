"""Names and tables of the responses wire: its name, finish reasons and usage, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from runtime.contract.events import Finish
from runtime.contract.usage import Usage, counted

NAME = "openai_responses"

CUT_SHORT: Mapping[Finish, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish -> reason of an incomplete response. Any other finish completes it."""

CALLS = ("function_call", "custom_tool_call")  # items that need a result from the client
UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def finish_of(response: Mapping[str, Any]) -> Finish | None:
    """The finish of a response; None if it failed or has not ended. Servers report a truncation by status or by details."""
    status = response.get("status")
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if status not in (None, "completed", "incomplete"):
        return None
    if status == "incomplete" or reason is not None:
        return "content_filter" if reason == "content_filter" else "length"
    items = response.get("output")
    items = items if isinstance(items, list) else []
    called = any(isinstance(item, dict) and item.get("type") in CALLS for item in items)
    return "tool_calls" if called else "stop"


def usage_of(response: Mapping[str, Any]) -> Usage | None:
    """The counts of a response; None if it has no usage object."""
    value, items = response.get("usage"), response.get("output")
    if not isinstance(value, dict):
        return None
    read, written = _table(value.get("input_tokens_details")), _table(value.get("output_tokens_details"))
    found = counted(
        prompt=_count(value.get("input_tokens")),
        completion=_count(value.get("output_tokens")),
        cached=_count(read.get("cached_tokens")),
        cache_write=_count(read.get("cache_write_tokens")),
        reasoning=_count(written.get("reasoning_tokens")),
    )
    kinds = [item.get("type") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    searches, tier = kinds.count("web_search_call"), response.get("service_tier")
    return replace(found, searches=searches, tier=tier if isinstance(tier, str) else "")


def usage_object(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
