"""JSON texts that end too early."""

from __future__ import annotations

import msgspec


def breaks_off(text: str) -> bool:
    """True if a JSON text ends before its value does. False for blank text, and for text that is no JSON from its start."""
    if not text.strip():
        return False
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False
