"""The tier that a call is priced by."""

from __future__ import annotations

from runtime.contract.prices import Price, Rates, Tariff
from runtime.dispatch.payment import tier_of
from runtime.money.estimate import expected_micro


def test_a_tier_is_priced_where_it_was_sent() -> None:
    """What a translation dropped is not priced, and a live call never has the price of batches."""
    asked = {"service_tier": "priority"}
    assert (tier_of(asked), tier_of(asked, ("service_tier",))) == ("priority", "")
    assert (tier_of({"service_tier": "batch"}), tier_of({"speed": "fast"}), tier_of({"service_tier": 3})) == (
        "",
        "fast",
        "",
    )


def test_a_dearer_tier_is_reserved_for() -> None:
    """As much as it will be charged."""
    price = Price(1.0, 1.0, tariffs=(Tariff(Rates(3.0, 3.0), processing="priority"),))
    assert expected_micro(price, 0, 1000, "priority") > 2.9 * expected_micro(price, 0, 1000)
