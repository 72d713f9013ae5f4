"""Reads and writes log probabilities in the shape of OpenAI's chat and responses wires."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runtime.contract.events import TokenLogprob

_TORN = "\ufffd"  # in a token that is a piece of a character: its bytes are not known


def written(tokens: Iterable[TokenLogprob], most: int | None) -> list[dict[str, Any]]:
    """Entries with at most so many alternatives each; None: all of them."""
    return [
        _entry(each.token, each.logprob) | {"top_logprobs": [_entry(*other) for other in each.top[:most]]}
        for each in tokens
    ]


def read(found: Any) -> tuple[TokenLogprob, ...]:
    """The tokens of a list of entries; anything else in it is skipped."""
    return tuple(
        TokenLogprob(*entry, tuple(_entries(each.get("top_logprobs"))))
        for each in (found if isinstance(found, list) else ())
        for entry in _entries([each])
    )


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": None if _TORN in token else list(token.encode())}


def _entries(found: Any) -> Iterable[tuple[str, float]]:
    for each in found if isinstance(found, list) else ():
        token, logprob = (each.get("token"), each.get("logprob")) if isinstance(each, dict) else (None, None)
        if isinstance(token, str) and isinstance(logprob, int | float) and not isinstance(logprob, bool):
            yield token, float(logprob)
