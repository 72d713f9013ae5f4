"""The nearest things that would have changed a decision."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.routing.plan.names import resolve
from runtime.routing.plan.nearest import Change, Inputs, nearest
from runtime.routing.plan.picture import LocalState, TargetState
from runtime.settings import Rule, When
from tests.runtime.routing.boxes import CLAUDE, GEMINI, LOCAL, chat, fleet_of, policy_of, query_of

CODE = "Write a Python function that sorts a list."
FULL = Pressure(Reason.QUEUE_DEPTH, 1.1, "5 requests wait", {Reason.QUEUE_DEPTH: 1.1})
NEARLY = Pressure(None, 0.9, "", {Reason.QUEUE_DEPTH: 0.9, Reason.KV_CACHE: 0.2})


def changes(
    body: dict[str, Any], *, fleet: tuple[Any, ...] = (CLAUDE,), local: LocalState | None = None, **policy: Any
) -> tuple[Change, ...]:
    """For a box with Claude."""
    query, decides = query_of(body), policy_of((CLAUDE, GEMINI), **policy)
    inputs = Inputs(query, resolve(query.facts.model, decides.directory), fleet_of(*fleet, local=local), decides, 0.0)
    return nearest(inputs, inputs.plan())


def test_two_things_at_most_and_the_nearest_first() -> None:
    """A score just under its threshold is nearer than a long prompt."""
    body = chat("Which river flows through Vienna and Budapest?")
    score = query_of(body).score
    found = changes(body, complexity=score + 0.05)
    assert [each.reason for each in found] == [Reason.COMPLEXITY, Reason.CONTEXT]
    assert found[0].words == f"a score of {score + 0.05:g} (it is {score:.2f})"
    assert found[0].target == "anthropic/sonnet"


def test_a_score_over_its_threshold_would_have_stayed_below_it() -> None:
    """The other direction."""
    body = chat("Which river flows through Vienna and Budapest?")
    score = query_of(body).score
    first = changes(body, complexity=score - 0.01)[0]
    assert first.words.startswith("a score below") and first.target == "local/smollm2-135m"


@pytest.mark.parametrize(
    ("given", "words", "reason"),
    [
        (
            {"local": LocalState(LOCAL, pressure=NEARLY)},
            "queue_depth at its threshold (it is at 90%",
            Reason.QUEUE_DEPTH,
        ),
        ({"local": LocalState(LOCAL, pressure=FULL)}, "a load below its thresholds", Reason.DEFAULT),
        ({"local": LocalState(LOCAL, replicas_ready=0)}, "a ready engine", Reason.DEFAULT),
        ({"prefer": "claude"}, "nothing in escalation.prefer", Reason.DEFAULT),
        ({"rules": [Rule(when=When(), to=("claude",))]}, "no rules", Reason.DEFAULT),
        ({"mode": "off", "tasks": ("chat",)}, 'mode = "act" (it is "off")', Reason.TASK),
        ({"tasks": ("code",), "context_tokens": 100_000}, "the task code (it is chat)", Reason.TASK),
    ],
)
def test_each_input_is_moved(given: dict[str, Any], words: str, reason: Reason) -> None:
    """Load, engine, override, rule, mode, task."""
    found = changes(chat("Hello there"), **given)
    assert any(each.words.startswith(words) and each.reason is reason for each in found), found


def test_a_pin_and_a_demand_are_moved() -> None:
    """What the caller itself asked for."""
    assert any(each.words == "the model auto" for each in changes(chat(model="claude")))
    full = LocalState(LOCAL, pressure=FULL)
    bound = changes(chat("Hello", hearth={"requires": ["zdr"]}), local=full)
    assert any(each.words == "no demand for zdr" and each.target == "anthropic/sonnet" for each in bound)


def test_a_target_that_is_out_is_moved() -> None:
    """With the reason why it is."""
    out = TargetState(CLAUDE, available=False, why="claude has no key")
    found = changes(chat(CODE), fleet=(out,), tasks=("code",))
    assert found[0].words == "claude available (claude has no key)"


def test_without_a_target_nothing_would_have_changed_it_but_the_engine() -> None:
    """A box alone has nobody else to ask."""
    query, decides = query_of(chat()), policy_of(())
    inputs = Inputs(query, decides.directory.auto, fleet_of(), decides, 0.0)
    assert {each.target for each in nearest(inputs, inputs.plan())} == {None}
