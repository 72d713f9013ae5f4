"""The common part of vendors' error bodies: an object with a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

SHOWN = 500  # characters of a vendor's message that are kept

Table = Mapping[str, Any]


def error_of(body: bytes) -> tuple[Table, Table]:
    """The error object and the object around it, from any shape that servers use. Any other body is the message."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode(errors="replace")[:SHOWN].strip()
        return ({"message": text} if text else {}), {}
    value = value[0] if isinstance(value, list) and value else value
    whole = value if isinstance(value, dict) else {}
    error = whole.get("error", whole) if isinstance(value, dict) else value
    return (error if isinstance(error, dict) else {"message": str(error)}), whole


def message_of(error: Table) -> str:
    """The error's message; the whole object where it has none, "" for an empty one."""
    return str(error.get("message") or error or "")[:SHOWN]
