"""What an answer cost, from its tokens and its target's price. The box's own engine costs nothing per token."""

from __future__ import annotations

from runtime.contract.targets import Price, Target
from runtime.contract.usage import Usage


def cost(target: Target, usage: Usage | None) -> float | None:
    """Dollars; None where no price or no usage is known. Cached tokens without a price of their own cost the full one."""
    if target.local:
        return 0.0
    if target.price is None or usage is None:
        return None
    return _tokens(target.price.of(usage.prompt), usage) / 1e6


def _tokens(price: Price, usage: Usage) -> float:
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    plain = usage.prompt - usage.cached - usage.cache_write
    return (
        max(0, plain) * price.input + usage.cached * read + usage.cache_write * write + usage.completion * price.output
    )
