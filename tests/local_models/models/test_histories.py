"""Random histories of several models on a fake clock: the rules that hold whatever happens."""

from __future__ import annotations

from itertools import pairwise

import pytest

from local_models.models.planner import Collation, ModelCase
from runtime.contract.models import ModelState
from tests.local_models.models.world import WAITING, box, history, place


def calm(seeds: range) -> set[str]:
    """The states that the histories went through. Every check is made on the way, by the world."""
    seen = set[str]()
    for seed in seeds:
        world = history(seed)
        seen |= world.states
        waiting = [case.name for case in world.table.cases if case.life.state in WAITING]
        assert not world.visits, f"seed {seed}: requests without an end"
        firm = {case.name for case in world.table.cases if case.firm}
        assert not set(waiting) - firm, f"seed {seed}: {waiting} wait for ever"
        assert not any(case.replaces for case in world.table.cases), f"seed {seed}: a swap without an end"
        for name in world.heirs:  # only what may still hold memory is not followed by its heir
            assert world.table.case(name).life.held is not None, f"seed {seed}: {name} does not end"
    return seen


def test_rules_hold_in_random_histories() -> None:
    """No illegal transition, no wait without end, never two loads of one model, never more memory than there is."""
    assert calm(range(100)) == set(ModelState)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rules_hold_in_ten_thousand_histories() -> None:
    """The same at full size."""
    assert calm(range(1000, 11_000)) == set(ModelState)


def test_alternating_traffic_swaps_once_per_dwell_at_most() -> None:
    """A B A B every second for five minutes on a GPU for one of them: all are served, and the models do not thrash."""
    pair = [ModelCase(name, "on_demand", (place(60),)) for name in "ab"]
    world = box(*pair, rules=Collation(dwell=30, patience=60), luck=0.5)
    for second in range(300):
        world.ask("ab"[second % 2], 200.0)
        world.settle()
        world.pass_time(1.0)
    world.pass_time(300.0)
    times = [at for at, _ in world.starts]
    assert len(times) >= 3
    assert all(later - earlier >= 30 for earlier, later in pairwise(times))
    assert {visit.model for visit in world.served} == {"a", "b"}
