"""The word that ends an answer: one rule for every reader of an answer, whatever its wire calls the member.

An answer is ended by its finish reason, by the closing mark of its wire, and by nothing else. What follows a finish reason
(usage, citations, more text, an error) is still read.
"""

from __future__ import annotations

from typing import Any


def finish_reason(value: Any) -> str | None:
    """The finish reason; None for null, for "" and for all that is no text: the answer goes on."""
    return value if isinstance(value, str) and value else None
