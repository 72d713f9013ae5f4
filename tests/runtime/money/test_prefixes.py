"""The prefix ledger: who answered a conversation last, what its caches hold, and the bounds of it."""

from __future__ import annotations

import pytest

from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities, Target
from runtime.contract.usage import Usage
from runtime.money.prefixes import IDLE_S, WARM_S, PrefixLedger, cached_after

MARKED = Price(3.0, 15.0, cache_read=0.3, cache_write=3.75)
UNMARKED = Price(1.0, 4.0, cache_read=0.1)


def target(name: str = "a", price: Price | None = UNMARKED, minimum: int | None = None) -> Target:
    return Target(name, "vendor", f"{name}-model", Capabilities(cache_minimum=minimum), price=price)


LOCAL = Target("local", "local", "small")


@pytest.mark.parametrize(
    ("answered", "usage", "kept"),
    [
        (LOCAL, Usage(900, 100), 1_000),
        (target(price=MARKED), Usage(900, 100), 0),
        (target(price=MARKED), Usage(900, 100, cached=500, cache_write=300), 800),
        (target(), Usage(900, 100), 900),
        (target(minimum=1_024), Usage(900, 100), 0),
        (target(minimum=1_024), Usage(1_024, 100), 1_024),
        (target(price=Price(1.0, 4.0)), Usage(900, 100), 0),
        (target(price=None), Usage(900, 100, cached=64), 64),
    ],
)
def test_what_a_cache_holds_after_an_answer(answered: Target, usage: Usage, kept: int) -> None:
    """All of it on the engine; at a cloud what it was paid to write, else the prompt from the least length on."""
    assert cached_after(answered, usage) == kept


def test_the_latest_answer_makes_the_home() -> None:
    """Each target keeps its own prefix."""
    ledger = PrefixLedger()
    ledger.answered(1, target("a"), Usage(900), 0.0)
    ledger.answered(1, LOCAL, Usage(950, 50), 1.0)
    ledger.answered(1, target("b"), None, 2.0)
    found = ledger.session(1, 3.0)
    assert found is not None and (found.home, found.label) == ("b", "vendor/b-model")
    assert found.cached == {"a": 900, "local": 1_000}
    assert ledger.session(2, 3.0) is None


def test_caches_grow_cold_and_conversations_are_forgotten() -> None:
    """The home outlives the cache; an hour without an answer ends both."""
    ledger = PrefixLedger()
    ledger.answered(1, target("a"), Usage(900), 0.0)
    warm, cold = ledger.session(1, WARM_S), ledger.session(1, WARM_S + 1)
    assert warm is not None and warm.cached == {"a": 900}
    assert cold is not None and (cold.home, cold.cached) == ("a", {})
    assert ledger.session(1, IDLE_S) is not None and ledger.session(1, IDLE_S + 1) is None
    ledger.answered(2, target("a"), Usage(900), IDLE_S + 1)
    assert len(ledger) == 1


def test_the_ledger_is_bounded() -> None:
    """By conversations and by targets of each; the oldest go."""
    ledger = PrefixLedger(most=3, most_targets=2)
    for session in (1, 2, 3, 1, 4, 5):
        ledger.answered(session, target("a"), Usage(900), 0.0)
    assert [session for session in range(1, 6) if ledger.session(session, 0.0)] == [1, 4, 5] and len(ledger) == 3
    for name in ("b", "a", "c"):
        ledger.answered(1, target(name), Usage(900), 0.0)
    found = ledger.session(1, 0.0)
    assert found is not None and set(found.cached) == {"a", "c"}
