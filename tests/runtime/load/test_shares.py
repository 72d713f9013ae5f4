"""Fairness between callers: one that floods the engine keeps nobody else out."""

from __future__ import annotations

import contextlib
import random

import pytest

from runtime.load.shares import Shares


def test_one_caller_has_no_share_to_claim() -> None:
    """Alone, its requests are admitted as before."""
    shares = Shares()
    with shares.held("a"), shares.held("a"):
        assert shares.room("a") == 0.0
        assert shares.room("b") == 3.0
    assert shares.room("b") == 0.0


def test_the_share_shrinks_with_what_a_caller_holds() -> None:
    """Of nine requests and one more: an equal share of two callers is five."""
    shares = Shares()
    with contextlib.ExitStack() as held:
        for caller in ("a",) * 8 + ("b",):
            held.enter_context(shares.held(caller))
        assert shares.room("b") == 5 / 2
        assert shares.room("a") == 5 / 9


@pytest.mark.parametrize("seed", range(50))
def test_no_flood_keeps_others_out(seed: int) -> None:
    """A caller with none there is let in, and the queue stays below twice its bound and a place each."""
    rng = random.Random(seed)
    shares, most = Shares(), rng.choice((4, 20, 100))
    callers = [f"key {number}" for number in range(rng.randint(2, 6))]
    open_: list[tuple[str, contextlib.AbstractContextManager[None]]] = []
    for _ in range(2_000):
        caller = callers[0] if rng.random() < 0.7 else rng.choice(callers)
        holds = sum(other == caller for other, _ in open_)
        # As the plan does, with a wait that grows with the requests.
        admitted = len(open_) < most or shares.room(caller) * most >= len(open_)
        assert admitted or holds
        assert admitted or holds + 1 > most / len(callers) - 1
        if admitted:
            open_.append((caller, shares.held(caller)))
            open_[-1][1].__enter__()
        assert len(open_) <= 2 * most + len(callers)
        if rng.random() < 0.4:
            open_.pop(rng.randrange(len(open_)))[1].__exit__(None, None, None) if open_ else None
    for _, place in open_:
        place.__exit__(None, None, None)
    assert shares.room("another") == 0.0
