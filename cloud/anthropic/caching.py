"""Where the prefix is to be cached: as the client says, else where it stays the same from turn to turn.

Order of a prompt: tools, system, messages. A mark caches all before it. Too short a prefix is not cached, so it gets none.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """Puts marks into a body whose client set none; bounds those it set."""
    if "cache_control" in body:
        return
    mine = [block for block in _blocks(body) if "cache_control" in block]
    if mine:
        for block in mine[2 : len(mine) - 2] if len(mine) > _MOST else ():
            del block["cache_control"]
            losses.add("cache_control")
        return
    _place(body, minimum or _MINIMUM)


def _place(body: dict[str, Any], minimum: int) -> None:
    tokens = 0
    for blocks in (body.get("tools") or [], body.get("system") or []):
        tokens += sum(map(_tokens, blocks))
        last = next((block for block in reversed(blocks) if _fit(block)), None)
        if last is not None and tokens >= minimum:
            last["cache_control"] = _MARK
    # One question alone may never be followed up; a tool loop or a conversation that has begun will be.
    users = [turn["content"] for turn in body["messages"] if turn["role"] == "user"]
    if not body.get("tools") and len(users) == 1:
        return
    tokens += sum(_tokens(block) for turn in body["messages"] for block in turn["content"])
    for content in users[-2:]:
        last = next((block for block in reversed(content) if _fit(block)), None)
        if last is not None and tokens >= minimum:
            last["cache_control"] = _MARK


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("tools") or ()
    yield from body.get("system") or ()
    for turn in body["messages"]:
        yield from turn["content"]


def _fit(block: dict[str, Any]) -> bool:
    """Whether a mark may stand here: not on thinking, not on a tool that is loaded later."""
    return block.get("type") in _MARKED or ("input_schema" in block and not block.get("defer_loading"))


def _tokens(block: dict[str, Any]) -> int:
    """An estimate."""
    match block.get("type"):
        case "text":
            return len(block["text"]) // _CHARS_PER_TOKEN
        case "image" | "document" if block["source"]["type"] != "text":
            return _MEDIA_TOKENS
        case _:
            return len(msgspec.json.encode(block)) // _CHARS_PER_TOKEN
