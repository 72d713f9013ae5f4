"""The threshold for a wanted share: its intervals, the held-out part, tasks, costs, and which records count."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.quality.thresholds import ALWAYS, FEWEST, NEVER, Free, TooFewRequestsError, leaves, proposal, recorded
from runtime.record.decisions import Considered, Decision
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import RoutingPolicy
from runtime.settings import Escalation, Rule, When
from tests.runtime.quality.test_replay import idle, kept_after, marked
from tests.runtime.routing.boxes import CLAUDE, LOCAL, chat, fleet_of, policy_of, query_of

HARD = "Prove that every group of order p^2 is abelian, for a prime p, and name each theorem that you use."
PRESENT = Escalation()


def traffic(seed: int, count: int, *, timed: bool = True) -> list[Free]:
    """Scores spread evenly, a tenth that the load sends away, a fifth that nothing does."""
    drawn = random.Random(seed)
    kinds = drawn.choices((ALWAYS, NEVER, None), (0.1, 0.2, 0.7), k=count)
    return [
        Free(float(at + 1) if timed else 0.0, "chat", drawn.random() if kind is None else kind)
        for at, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize("wanted", [0.15, 0.4])
def test_the_intervals_cover_the_true_values(wanted: float) -> None:
    """In at least 90 of 100 seeds: that of the threshold the true quantile, that of the rest the threshold's true share."""
    exact = 1 - (wanted - 0.1) / 0.7
    quantiles = shares = 0
    for seed in range(100):
        found = proposal(wanted, traffic(seed, 300), PRESENT)
        assert isinstance(found.complexity, float)
        quantiles += found.low <= exact <= found.high
        shares += found.held_out.low <= 0.1 + 0.7 * (1 - found.complexity) <= found.held_out.high
    assert quantiles >= 90 and shares >= 90


def test_the_older_part_chooses_and_the_newer_one_is_seen() -> None:
    """Traffic that became harder is seen to leave more often, whatever order the records come in."""
    old = [Free(at=float(n + 1), task="chat", score=(n % 200) / 400) for n in range(200)]
    new = [Free(at=1000.0 + n, task="chat", score=0.5 + n / 400) for n in range(100)]
    mixed = random.Random(1).sample([*old, *new], 300)
    found = proposal(0.2, mixed, PRESENT)
    assert (found.split, found.chosen_on.requests, found.chosen_on.share) == ("time", 200, 0.2)
    assert (found.held_out.requests, found.held_out.share) == (100, 1.0)
    assert found.held_out.low > 0.9


def test_lines_without_times_are_drawn() -> None:
    """A file that is sorted by score is split evenly, and twice in the same way."""
    rows = sorted(traffic(1, 600, timed=False), key=lambda each: each.score)
    found = proposal(0.3, rows, PRESENT)
    assert found.split == "random" and found.held_out.low <= 0.3 <= found.held_out.high
    assert found == proposal(0.3, rows, PRESENT)


def test_a_share_out_of_reach_is_not_promised() -> None:
    """Above it everything that can leave does; below it no score sends away, and the load alone is left."""
    rows = traffic(2, 300)
    assert proposal(0.95, rows, PRESENT).chosen_on.share == pytest.approx(0.8, abs=0.06)
    none = proposal(0.01, rows, PRESENT)
    assert none.complexity == 1.0 and not any(leaves(each, Escalation(complexity=1)) for each in rows if each.score < 1)


def test_equal_scores_leave_together() -> None:
    """The nearest share that they allow is taken."""
    rows = [Free(float(n + 1), "chat", 0.8 if n % 10 < 3 else 0.4) for n in range(300)]
    found = proposal(0.2, rows, PRESENT)
    assert found.chosen_on.share == 0.3 and found.complexity == 0.6


def test_each_task_sends_its_part_away() -> None:
    """A task with enough requests has a threshold of its own; the sum is the wanted share, and what is off stays off."""
    drawn = random.Random(3)
    rows = [
        Free(float(n + 1), task, score)
        for n in range(1200)
        for task in [drawn.choice(("chat", "chat", "chat", "code", "math"))]
        for score in [drawn.random() * (0.5 if task == "chat" else 0.99)]
    ]
    rows += [Free(float(n + 1), "document", 0.9 + n / 2000) for n in range(FEWEST - 1)]
    found = proposal(0.25, rows, PRESENT, by_task=True)
    assert isinstance(found.complexity, dict)
    assert set(found.complexity) == {"default", "chat", "code", "math"}
    assert found.complexity["chat"] < 0.5 < found.complexity["code"]
    assert all(each.low <= each.threshold <= each.high for each in found.by_task)
    assert found.chosen_on.share == pytest.approx(0.25, abs=0.02)
    plain = proposal(0.25, rows, PRESENT)
    assert isinstance(plain.complexity, float) and [each.task for each in plain.by_task] == ["chat", "code", "math"]
    off = proposal(0.25, rows, Escalation(complexity={"default": 0.62, "math": 1.0}))
    assert off.complexity == {"default": plain.threshold, "math": 1.0}


def test_too_few_requests_are_no_sample() -> None:
    """The sentence has both numbers."""
    with pytest.raises(TooFewRequestsError, match="99 requests were free to stay or to leave; 100 are needed"):
        proposal(0.2, traffic(1, 99), PRESENT)


def test_costs_and_grades_are_those_of_the_proposal() -> None:
    """Recorded prices over all requests that have both; grades over the graded ones of the second part."""
    rows = [
        Free(float(n + 1), "chat", n % 100 / 100, 0.0, 0.5 if n % 2 else None, weak=0.0, strong=1.0) for n in range(300)
    ]
    found = proposal(0.2, rows, Escalation(complexity=0.9))
    assert (found.cost_usd_now, found.cost_usd_proposed, found.unpriced) == (7.5, 15.0, 150)
    assert found.grades is not None
    assert (found.grades.requests, found.grades.stays, found.grades.leaves) == (100, 0.0, 1.0)
    assert found.grades.proposed == found.held_out.share
    unpriced = proposal(0.2, traffic(1, 300), PRESENT)
    assert (unpriced.cost_usd_now, unpriced.unpriced, unpriced.grades) == (None, 300, None)


def decision(body: dict[str, Any], fleet: Fleet, policy: RoutingPolicy, **more: Any) -> Decision:
    """The record of a request that its first choice answered."""
    _, kept = kept_after(query_of(body), fleet, policy)
    target = more.pop("target", kept.first)
    raw = msgspec.to_builtins(kept)
    return Decision(id="dec_1", at=1.0, dialect="openai_chat", model="auto", target=target, kept=raw, **more)


FULL = LocalState(LOCAL, pressure=Pressure(Reason.QUEUE_DEPTH, 1.5, "full", {Reason.QUEUE_DEPTH: 1.5}))
SCORED = policy_of((CLAUDE,), complexity=0.9)


def counted(decisions: Sequence[Decision], policy: RoutingPolicy, fleet: Fleet) -> tuple[list[Free], dict[str, int]]:
    found, unusable = recorded(decisions, marked(policy), idle(fleet))
    return found, dict(unusable)


@pytest.mark.parametrize("mode", ["act", "advise", "off"])
def test_a_recorded_request_counts_by_its_score(mode: Any) -> None:
    """Its score decides in any mode and at any moved threshold; its costs are those of the record."""
    fleet = fleet_of(CLAUDE)
    asked = decision(
        chat(HARD), fleet, SCORED, cost_usd=0.25, considered=(Considered(CLAUDE.label, "default", cost_usd=0.75),)
    )
    asked.kept["shift"] = 0.4
    policy = policy_of((CLAUDE,), complexity=0.3, mode=mode)
    ((free,), unusable) = counted([asked], policy, fleet)
    assert unusable == {} and 0 < free.score == query_of(chat(HARD)).score < 1
    assert (free.task, free.stays_usd, free.leaves_usd) == ("math", 0.25, 0.75)


def test_what_no_score_moves_is_marked() -> None:
    """Labelling never leaves for its score; a full box sends away at any threshold, and so does what was seen to leave."""
    fleet, full = fleet_of(CLAUDE), fleet_of(CLAUDE, local=FULL)
    label = chat("Classify the sentiment as positive or negative: the soup was cold.")
    rows = [
        decision(label, fleet, SCORED),
        decision(chat(), full, SCORED),
        decision(chat(), fleet, SCORED, target=CLAUDE.label),
    ]
    found, unusable = counted(rows, SCORED, fleet)
    assert [each.score for each in found] == [NEVER, ALWAYS, ALWAYS] and unusable == {}


@pytest.mark.parametrize(
    ("body", "policy", "fleet", "why"),
    [
        ({"model": "local"}, SCORED, fleet_of(CLAUDE), "its model was pinned"),
        ({"hearth": {"requires": ["local_only"]}}, SCORED, fleet_of(CLAUDE), "only the box could take it"),
        ({}, SCORED, fleet_of(TargetState(CLAUDE, available=False)), "only the box could take it"),
        ({}, policy_of((CLAUDE,), complexity=0.9, prefer="claude"), fleet_of(CLAUDE), "it was moved by name (prefer)"),
        (
            {},
            policy_of((CLAUDE,), complexity=0.9, rules=(Rule(when=When(min_tokens=1), to=("claude",)),)),
            fleet_of(CLAUDE),
            "its place was decided before its score (rule)",
        ),
        ({}, policy_of((CLAUDE,)), fleet_of(CLAUDE), "its score was not recorded, and cannot be found without"),
    ],
)
def test_requests_that_were_not_free_are_counted_by_why(
    body: dict[str, Any], policy: RoutingPolicy, fleet: Fleet, why: str
) -> None:
    """As `cloud_share` leaves them out."""
    found, unusable = counted([decision(chat(**body), fleet, policy)], policy, fleet)
    assert found == [] and len(unusable) == 1 and next(iter(unusable)).startswith(why)


def test_a_record_without_facts_is_counted() -> None:
    """Of a refused request, or of an older version."""
    found, unusable = counted(
        [Decision(id="dec_1", at=1.0, dialect="openai_chat", model="auto")], SCORED, fleet_of(CLAUDE)
    )
    assert found == [] and next(iter(unusable)).startswith("its record holds no facts")
