"""Checks of a body that hold for every target. Everything else, unknown members too, is left to the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.dialects.anthropic_messages.read_request import role_of
from runtime.wire.raw_body import BadBody


def check_body(data: Mapping[str, Any]) -> None:
    """Raises BadBody with the place."""
    for name, kind, words in _KINDS:
        if data.get(name) is not None and not isinstance(data[name], kind):
            raise BadBody(f"the member {name!r} must be {words}", name)
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadBody("'messages' must be a list with at least one message", "messages")
    for place, message in enumerate(messages):
        at = f"messages[{place}]"
        role_of(message, at)
        if not isinstance(message.get("content"), str | list):
            raise BadBody("a message's content must be a string or a list of blocks", f"{at}.content")


def check_limit(data: Mapping[str, Any]) -> None:
    """`max_tokens`, which this wire requires; 0 only warms a cache. Raises BadBody."""
    limit = data.get("max_tokens")
    if limit is None:
        raise BadBody("the member 'max_tokens' is missing", "max_tokens")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise BadBody("the member 'max_tokens' must be an integer of at least 0", "max_tokens")


_KINDS: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("model", str, "a string"),
    ("system", (str, list), "a string or a list of blocks"),
    ("stream", bool, "true or false"),
    ("tools", list, "a list"),
)
