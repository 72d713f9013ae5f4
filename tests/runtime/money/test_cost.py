"""What an answer cost, from its tokens."""

from __future__ import annotations

import pytest

from runtime.contract.targets import LOCAL, LongPrompt, Price, Target
from runtime.contract.usage import Usage
from runtime.money.cost import cost

PRICE = Price(2.0, 10.0, 0.1, 2.5, LongPrompt(1_000, 2.0, 1.5))


def paid(usage: Usage | None, price: Price | None = PRICE) -> float | None:
    return cost(Target("t", "p", "m", price=price), usage)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(1_000, 100), 2_000 + 1_000),
        (Usage(1_000, 100, cached=600, cache_write=200), 200 * 2 + 60 + 500 + 1_000),
        (Usage(1_001, 100), 1_001 * 4 + 1_500),
        (Usage(2_000, 100, cached=1_500, cache_write=200), 300 * 4 + 1_500 * 0.2 + 200 * 5 + 1_500),
    ],
)
def test_a_long_prompt_costs_more_all_of_it(usage: Usage, dollars: float) -> None:
    """Cached tokens count for how long it is, and cost more too."""
    assert paid(usage) == pytest.approx(dollars / 1e6)


def test_cached_tokens_without_a_price_cost_the_full_one() -> None:
    """Of a long prompt likewise."""
    price = Price(2.0, 10.0, long=LongPrompt(1_000, 2.0, 1.5))
    assert paid(Usage(2_000, 0, cached=500, cache_write=500), price) == pytest.approx(2_000 * 4 / 1e6)


def test_what_is_not_known_is_not_guessed() -> None:
    """No price, no usage; the box itself costs nothing."""
    assert paid(Usage(1, 1), None) is None
    assert paid(None) is None
    assert cost(Target("local", LOCAL, "m"), None) == 0.0
