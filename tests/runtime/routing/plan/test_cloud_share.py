"""Requests that `cloud_share` counts, and the threshold it moves."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.routing.plan.picture import LocalState, TargetState
from runtime.settings import Rule, When
from tests.runtime.routing.boxes import CLAUDE, LOCAL, chat, fleet_of, planned, policy_of, query_of

FULL = LocalState(LOCAL, pressure=Pressure(Reason.QUEUE_DEPTH, 1.0, "full", {Reason.QUEUE_DEPTH: 1.0}))


@pytest.mark.parametrize(
    ("settings", "local", "body", "free"),
    [
        ({}, LocalState(LOCAL), {}, True),
        ({"complexity": 0.0}, LocalState(LOCAL), {}, True),
        ({}, FULL, {}, True),
        ({"mode": "advise"}, LocalState(LOCAL), {}, False),
        ({"tasks": ("chat",)}, LocalState(LOCAL), {}, False),
        ({"context_tokens": 1}, LocalState(LOCAL), {}, False),
        ({"rules": [Rule(when=When(min_tokens=1), to=("claude",))]}, LocalState(LOCAL), {}, False),
        ({"prefer": "claude"}, LocalState(LOCAL), {}, False),
        ({}, LocalState(LOCAL, replicas_ready=0), {}, False),
        ({}, LocalState(LOCAL), {"model": "local"}, False),
        ({}, LocalState(LOCAL), {"hearth": {"requires": ["local_only"]}}, False),
        ({}, LocalState(LOCAL), {"hearth": {"priority": "batch"}}, False),
        ({"cloud_share": 0.0}, LocalState(LOCAL), {}, False),
    ],
)
def test_a_request_is_free_where_nothing_demands_its_place(
    settings: dict[str, Any], local: LocalState, body: dict[str, Any], free: bool
) -> None:
    """Below the lines on names, rules, ability, tasks and length, with an engine and a target that are able."""
    policy = policy_of([CLAUDE], **{"complexity": 0.99, "cloud_share": 0.2} | settings)
    assert planned(query_of(chat(**body)), fleet_of(CLAUDE, local=local), policy).free is free


def test_a_request_that_no_target_can_take_is_not_free() -> None:
    """A breaker that is open for an hour moves no threshold."""
    fleet = fleet_of(TargetState(CLAUDE, available=False, why="its breaker is open"))
    assert not planned(query_of(chat()), fleet, policy_of([CLAUDE], complexity=0.6, cloud_share=0.2)).free


@pytest.mark.parametrize(("by_task", "shift", "leaves"), [(0.9, -0.9, True), (0.0, 1.0, False), (1.0, -1.0, False)])
def test_the_shift_moves_each_threshold_but_those_that_are_off(by_task: float, shift: float, leaves: bool) -> None:
    """Down to where all leave and up to where none does; 1 stays off."""
    policy = policy_of([CLAUDE], complexity={"default": 0.5, "chat": by_task}, cloud_share=0.2)
    query = query_of(chat("Hello there, how are you?"))
    assert query.task == "chat"
    made = planned(query, structs.replace(fleet_of(CLAUDE), shift=shift), policy)
    assert (made.reason is Reason.COMPLEXITY) is leaves
