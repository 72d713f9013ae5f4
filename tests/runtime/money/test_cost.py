"""The cost of an exchange, from its tokens."""

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
    """The long price holds for every token; cached ones count for the length and cost more too."""
    assert paid(usage) == pytest.approx(dollars / 1e6)


def test_cached_tokens_without_a_price_cost_the_full_one() -> None:
    """The full price of a long prompt holds for them likewise."""
    price = Price(2.0, 10.0, long=LongPrompt(1_000, 2.0, 1.5))
    assert paid(Usage(2_000, 0, cached=500, cache_write=500), price) == pytest.approx(2_000 * 4 / 1e6)


def test_what_is_not_known_is_not_guessed() -> None:
    """Without a price or a usage the cost is unknown; the box itself costs nothing."""
    assert paid(Usage(1, 1), None) is None
    assert paid(None) is None
    assert cost(Target("local", LOCAL, "m"), None) == 0.0


def test_two_exchanges_cost_the_sum_of_their_costs() -> None:
    """Two prompts of 600 tokens are no long prompt of 1,200."""
    one, both = paid(Usage(600, 10)), paid(Usage(1_200, 20))
    assert one is not None and both is not None
    assert 2 * one == pytest.approx((1_200 * 2 + 20 * 10) / 1e6)
    assert both > 2 * one


@pytest.mark.parametrize("usage", [Usage(-5, -7), Usage(10, 0, cached=50), Usage(10, 0, cached=-50, cache_write=-1)])
def test_counts_that_make_no_sense_earn_nothing(usage: Usage) -> None:
    """A server's usage is not checked: a negative count is none."""
    assert (paid(usage) or 0.0) >= 0.0
