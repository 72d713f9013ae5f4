"""Stored responses as the tests of this room make and read them."""

from __future__ import annotations

import json
from typing import Any

from runtime.dialects.openai_responses.conversation import StoredResponse


def item(text: str, **more: Any) -> bytes:
    return json.dumps({"role": "user", "content": text, **more}).encode()


def stored(
    name: str,
    previous: str | None = None,
    *,
    size: int = 0,
    requires: frozenset[str] = frozenset(),
    durable: bool = True,
) -> StoredResponse:
    """One turn: the user asks "ask NAME", the model answers with the item "msg_NAME" of that many characters."""
    output = [{"type": "message", "id": f"msg_{name}", "content": "x" * size}]
    response = json.dumps({"id": name, "output": output}).encode()
    return StoredResponse(name, previous, b"[" + item(f"ask {name}") + b"]", response, requires, durable)


def texts(items: tuple[bytes, ...] | None) -> list[str]:
    """The ids of items, or their texts where they have none."""
    return [json.loads(each).get("id") or json.loads(each)["content"] for each in items or ()]
