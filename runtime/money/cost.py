"""The cost of one exchange, from its tokens, its target's price and the time. Whole micro-dollars."""

from __future__ import annotations

from runtime.contract.targets import Target
from runtime.contract.usage import Usage

MICRO = 1_000_000  # micro-dollars of a dollar


def cost(target: Target, usage: Usage | None, at: float, processing: str = "") -> int | None:
    """Micro-dollars of one exchange; None where no price or no usage is known. at: unix seconds of its beginning.

    A price may depend on the length of the prompt, so a request of several exchanges costs the sum of their costs, not the cost
    of their sum.
    """
    if target.price is None or usage is None:
        return None
    return round(target.price.rates(usage.prompt, at, processing).cost(usage))
