"""The cost of an exchange, from its tokens and the time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.contract.prices import BATCH, Price, Rates, Tariff
from runtime.contract.targets import LOCAL, Target
from runtime.contract.usage import Usage
from runtime.money.cost import cost

PRICE = Price(2.0, 10.0, 0.1, 2.5, 4.0, tariffs=(Tariff(Rates(4.0, 15.0, 0.2, 5.0, 8.0), above=1_000),))


def paid(usage: Usage | None, price: Price | None = PRICE, at: float = 0.0, processing: str = "") -> int | None:
    return cost(Target("t", "p", "m", price=price), usage, at, processing)


@pytest.mark.parametrize(
    ("usage", "micro"),
    [
        (Usage(1_000, 100), 2_000 + 1_000),
        (Usage(1_000, 100, cached=600, cache_write=200), 200 * 2 + 60 + 500 + 1_000),
        (Usage(1_000, 100, cache_write=300, cache_write_1h=200), 700 * 2 + 250 + 800 + 1_000),
        (Usage(1_001, 100), 1_001 * 4 + 1_500),
        (Usage(2_000, 100, cached=1_500, cache_write=200), 300 * 4 + 1_500 * 0.2 + 200 * 5 + 1_500),
    ],
)
def test_a_long_prompt_costs_more_all_of_it(usage: Usage, micro: int) -> None:
    """The long price holds for every token; cached ones count for the length and cost more too."""
    assert paid(usage) == micro


def test_cached_tokens_without_a_price_cost_the_full_one() -> None:
    """The full price of a long prompt holds for them likewise."""
    price = Price(2.0, 10.0, tariffs=(Tariff(Rates(4.0, 15.0), above=1_000),))
    assert paid(Usage(2_000, 0, cached=500, cache_write=500), price) == 2_000 * 4


def test_reasoning_costs_what_the_answer_costs_unless_it_has_a_rate() -> None:
    """It is part of the answer's tokens, and is not counted twice."""
    usage = Usage(0, 100, reasoning=60)
    assert paid(usage, Price(1.0, 10.0)) == 1_000
    assert paid(usage, Price(1.0, 10.0, reasoning=3.0)) == 40 * 10 + 60 * 3


def test_what_is_not_known_is_not_guessed() -> None:
    """Without a price or a usage the cost is unknown, on the box too."""
    assert paid(Usage(1, 1), None) is None
    assert paid(None) is None
    assert cost(Target("local", LOCAL, "m"), Usage(1, 1), 0.0) is None


def test_two_exchanges_cost_the_sum_of_their_costs() -> None:
    """Two prompts of 600 tokens are no long prompt of 1,200."""
    one, both = paid(Usage(600, 10)), paid(Usage(1_200, 20))
    assert one is not None and both is not None
    assert 2 * one == 1_200 * 2 + 20 * 10
    assert both > 2 * one


@pytest.mark.parametrize(
    "usage",
    [
        Usage(-5, -7),
        Usage(10, 0, cached=50),
        Usage(10, 0, cached=-50, cache_write=-1),
        Usage(10, 5, reasoning=9, cache_write=3, cache_write_1h=8),
        Usage(10, 5, reasoning=-9, cache_write_1h=-8),
    ],
)
def test_counts_that_make_no_sense_earn_nothing(usage: Usage) -> None:
    """A server's usage is not checked: a negative count is none, and a part is never more than the whole."""
    assert 0 <= (paid(usage) or 0) <= 10 * 2.5 + 5 * 10 + 50


@pytest.mark.parametrize(
    ("at", "rate"),
    [
        (datetime(2026, 11, 27, 0, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 11, 27, 1, tzinfo=UTC), 2),
        (datetime(2026, 11, 27, 4, tzinfo=UTC), 1),
        (datetime(2026, 11, 28, 1, tzinfo=UTC), 1),  # a Saturday
        (datetime(2026, 11, 29, 1, tzinfo=UTC), 1),
        (datetime(2026, 11, 30, 1, tzinfo=UTC), 2),
        (datetime(2026, 11, 27, 23, tzinfo=UTC), 5),
        (datetime(2026, 11, 28, 0, 30, tzinfo=UTC), 5),
    ],
)
def test_hours_of_the_day(at: datetime, rate: int) -> None:
    """From the first second to before the last, in UTC; over midnight too; some on weekdays alone."""
    peak = Tariff(Rates(2.0, 0.0), hours=(3_600, 4 * 3_600), weekdays=True)
    night = Tariff(Rates(5.0, 0.0), hours=(22 * 3_600, 1_800 + 1))
    assert paid(Usage(1, 0), Price(1.0, 0.0, tariffs=(peak, night)), at.timestamp()) == rate


def test_a_price_that_begins_on_a_day() -> None:
    """Before its first second the old one holds."""
    price = Price(1.0, 0.0, tariffs=(Tariff(Rates(3.0, 0.0), since=1_000.0),))
    assert (paid(Usage(1, 0), price, 999.0), paid(Usage(1, 0), price, 1_000.0)) == (1, 3)


def test_a_batch_costs_less_and_is_nothing_that_a_live_request_gets() -> None:
    """The rates of a processing hold for it alone; where a price has none, the usual ones hold."""
    price = Price(2.0, 0.0, tariffs=(Tariff(Rates(1.0, 0.0), processing=BATCH),))
    assert (paid(Usage(10, 0), price), paid(Usage(10, 0), price, processing=BATCH)) == (20, 10)
    assert paid(Usage(10, 0), price, processing="flex") == 20


def test_the_bound_of_a_cost_is_the_dearest_hour() -> None:
    """What a caller allows at most is kept at every hour, and for long prompts."""
    peak = Tariff(Rates(7.0, 0.0), hours=(0, 10))
    price = Price(
        2.0, 0.0, tariffs=(Tariff(Rates(4.0, 0.0), above=100), peak, Tariff(Rates(9.0, 0.0), processing=BATCH))
    )
    assert price.most(Usage(10, 0)) == 70
    assert Price(2.0, 0.0, tariffs=price.tariffs[:1]).most(Usage(101, 0)) == 404
