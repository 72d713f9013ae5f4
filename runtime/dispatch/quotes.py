"""A failure as it may be kept: without a message that quotes the request. Servers repeat prompts in their error texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from runtime.contract.failures import Failure

QUOTING = "the target's own words are not kept: they repeat the request"
_WINDOW = 16  # characters: a shorter common part may be chance
_STEP = 4  # between two windows of a message: a quote of 20 characters holds a whole one
_SHORTEST = 4  # a shorter prompt is in many a message
_PROMPT = frozenset(
    ("messages", "input", "prompt", "system", "instructions", "content", "text", "output", "arguments", "thinking")
)  # members that hold what somebody wrote


def unquoting(failure: Failure, body: dict[str, Any]) -> Failure:
    """The failure, its message replaced if it repeats a part of what the body asks."""
    return replace(failure, message=QUOTING, body=b"") if quotes(failure.message, body) else failure


def quotes(message: str, body: dict[str, Any]) -> bool:
    """True if the message holds a whole text of the prompt, or a part of at least 20 characters of one."""
    windows = (
        [message[at : at + _WINDOW] for at in range(0, max(1, len(message) - _WINDOW + 1), _STEP)] if message else []
    )
    for text in _texts(body):
        if len(text) <= _WINDOW + _STEP:
            if len(text) >= _SHORTEST and text in message:
                return True
        elif any(map(text.__contains__, windows)):
            return True
    return False


def _texts(value: Any) -> Iterator[str]:
    left: list[tuple[Any, bool]] = [(value, False)]
    while left:
        each, written = left.pop()
        if isinstance(each, dict):
            left += [(inner, name in _PROMPT) for name, inner in each.items()]
        elif isinstance(each, list):
            left += [(inner, written) for inner in each]
        elif written and isinstance(each, str):
            yield each
