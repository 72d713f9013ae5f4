"""The nearest right name for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "…"?`, or nothing where no name is near."""
    near = near_name(word, known)
    return f'; did you mean "{near}"?' if near else ""


def near_name(word: str, known: Iterable[str]) -> str | None:
    """The one of the known names that looks most like the word, if any does."""
    return next(iter(get_close_matches(word.lower().replace("-", "_"), list(known), n=1, cutoff=0.6)), None)


def percent(given: object) -> str:
    """The end of a message on a share that was written as a percentage; "" for any other value."""
    text = str(given)
    try:
        found = float(text.removesuffix("%"))
    except ValueError:
        return ""
    written = isinstance(given, int | float) or text.endswith("%")
    return f": {found:g} % is {found / 100:g}" if written and 2 <= found <= 100 else ""
