"""The common part of vendors' error bodies: an object with a message, and the wait that a header asks for."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Mapping
from datetime import datetime
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


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] | None = None) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (seconds or a date); None where neither is usable.

    now: the time that a date is compared with; None ignores dates. Never less than 0, never infinite.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / scale
            return max(0.0, seconds) if math.isfinite(seconds) else None
        except ValueError:
            pass
        try:
            when = email.utils.parsedate_to_datetime(value)
            return max(0.0, (when - now()).total_seconds()) if now is not None else None
        except (TypeError, ValueError):
            continue
    return None
