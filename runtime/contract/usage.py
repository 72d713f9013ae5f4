"""Tokens of one answer."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens. `prompt` is the total, cached included; `completion` includes reasoning.

    cache_write: of the prompt, newly written to the provider's cache; cache_write_1h: of these, to be kept for an hour
    instead of five minutes. searches: that the provider ran for the answer, which it bills beside the tokens. tier: the kind of
    processing that the provider says the answer had, by which it bills; "" if it says none.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cache_write_1h: int = 0
    searches: int = 0
    tier: str = ""


def counted(prompt: int, completion: int, cached: int, cache_write: int, reasoning: int) -> Usage:
    """The counts of a server whose `prompt` should include what is cached.

    Some servers count it beside the prompt. More cached than in the prompt can only mean that.
    """
    beside = cached + cache_write if cached > prompt else 0
    return Usage(prompt + beside, completion, cached, cache_write, reasoning)
