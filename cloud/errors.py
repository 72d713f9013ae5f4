"""What vendors' error answers have in common: an object with words in it, and when to come back."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

SHOWN = 500  # characters of a vendor's words that are kept

Table = Mapping[str, Any]


def error_of(body: bytes) -> tuple[Table, Table]:
    """The error object and the object it stands in, from any of the shapes servers use; what is none becomes its message."""
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
    """Its words; all it says where it has none, "" where it says nothing."""
    return str(error.get("message") or error or "")[:SHOWN]


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] | None = None) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (seconds or a date); None where neither says anything usable.

    now: dates one that is given as a date; without it such a one says nothing.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) / scale)
        except ValueError:
            pass
        try:
            when = email.utils.parsedate_to_datetime(value)
            return max(0.0, (when - now()).total_seconds()) if now is not None else None
        except (TypeError, ValueError):
            continue
    return None
