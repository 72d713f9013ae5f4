"""The cost of one exchange, from its tokens and its target's price. The box's own engine costs nothing per token."""

from __future__ import annotations

from runtime.contract.targets import Target
from runtime.contract.usage import Usage


def cost(target: Target, usage: Usage | None) -> float | None:
    """Dollars of one exchange; None where no price or no usage is known.

    A price may depend on the length of the prompt, so a request of several exchanges costs the sum of their costs, not the cost
    of their sum. Cached tokens without a price of their own cost the full one. Counts that a server got wrong never earn money.
    """
    if target.local:
        return 0.0
    if target.price is None or usage is None:
        return None
    price = target.price.of(usage.prompt)
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    plain = usage.prompt - usage.cached - usage.cache_write
    counts = ((plain, price.input), (usage.cached, read), (usage.cache_write, write), (usage.completion, price.output))
    return sum(max(0, tokens) * each for tokens, each in counts) / 1e6
