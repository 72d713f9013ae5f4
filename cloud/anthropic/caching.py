"""Cache marks of a prompt: the client's own, else at the places that stay the same from turn to turn.

A prompt is read in the order tools, system, messages, and a mark caches everything before it. A prefix below the model's
minimum is not cached, so it gets no mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from cloud.losses import Losses

_MOST = 4
_CHARS_PER_TOKEN = 4
_MEDIA_TOKENS = 1500  # an image of usual size
_MINIMUM = 1024  # tokens, where the model's own is not known
_MARK = {"type": "ephemeral"}
_MARKED = frozenset({"text", "image", "document", "tool_result"})


def placed(body: dict[str, Any], minimum: int | None, losses: Losses) -> None:
    """Marks a body whose client set no mark; keeps four of those a client set. minimum: tokens, None where unknown."""
    if "cache_control" in body:
        return
    tools, system = body.get("tools") or [], body.get("system") or []
    messages = [block for turn in body["messages"] for block in turn["content"]]
    marked = [block for block in (*tools, *system, *messages) if "cache_control" in block]
    for block in marked[2 : len(marked) - 2] if len(marked) > _MOST else ():
        del block["cache_control"]
        losses.add("cache_control")
    if marked:
        return
    tokens = 0

    def mark_last(blocks: Sequence[dict[str, Any]]) -> None:
        # Thinking takes no mark, nor does a tool that is loaded later.
        fit = (
            block
            for block in reversed(blocks)
            if block.get("type") in _MARKED or ("input_schema" in block and not block.get("defer_loading"))
        )
        last = next(fit, None)
        if last is not None and tokens >= (minimum or _MINIMUM):
            last["cache_control"] = _MARK

    for blocks in (tools, system):
        tokens += sum(map(_tokens, blocks))
        mark_last(blocks)
    # A single question may have no successor; a tool loop or a conversation that has begun has one.
    users = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
    if tools or len(users) > 1:
        tokens += sum(map(_tokens, messages))
        for content in users[-2:]:
            mark_last(content)


def _tokens(block: dict[str, Any]) -> int:
    """The estimated tokens of a block."""
    match block.get("type"):
        case "text":
            return len(block["text"]) // _CHARS_PER_TOKEN
        case "image" | "document" if block["source"]["type"] != "text":
            return _MEDIA_TOKENS
        case _:
            return len(msgspec.json.encode(block)) // _CHARS_PER_TOKEN
