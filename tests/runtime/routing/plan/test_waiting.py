"""Waiting against money, and the longest wait that is admitted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.routing.plan.picture import LocalState, TargetState
from runtime.routing.plan.plan import Plan
from runtime.routing.plan.waiting import weighed
from tests.runtime.routing.boxes import CLAUDE, GEMINI, LOCAL, chat, facts_of, fleet_of, planned, policy_of, query_of

BODY = chat(max_tokens=100)  # at 3 and 15 dollars: 0.0015 for the answer, and a little for the prompt


def decided(predicted_s: float, worth: float, ttft_s: float | None = 0.5, local_price: Price | None = None) -> Plan:
    local = LocalState(replace(LOCAL, price=local_price), predicted_ttft_s=predicted_s)
    fleet = fleet_of(TargetState(CLAUDE, ttft_s=ttft_s), local=local)
    return planned(query_of(BODY), fleet=fleet, policy=policy_of((CLAUDE,), wait_usd_per_s=worth))


def test_a_wait_that_costs_more_than_the_target_leaves() -> None:
    """1 s at $0.01 is worth more than $0.0015; the words have the sum."""
    plan = decided(1.5, 0.01)
    assert (plan.candidates[0].target, plan.reason) == (CLAUDE, Reason.TTFT)
    assert "1.00 s at $0.01 are worth $0.01000" in plan.words and "costs $0.0015" in plan.words
    assert "a guess" not in plan.words


@pytest.mark.parametrize(
    ("predicted_s", "worth", "ttft_s"),
    [(1.5, 0.001, 0.5), (1.5, 0.0, 0.5), (0.6, 0.01, 0.5), (0.4, 10.0, 0.5), (1.5, 0.01, 1.45), (1.1, 0.01, None)],
)
def test_a_wait_that_does_not_stays(predicted_s: float, worth: float, ttft_s: float | None) -> None:
    """Too short, too cheap, slower there, or off; a target that has not answered yet is taken to need a second."""
    plan = decided(predicted_s, worth, ttft_s)
    assert plan.candidates[0].target.local and plan.reason is Reason.DEFAULT
    assert ("are worth" in plan.words) is (worth > 0)
    assert ("(a guess: it has not answered yet)" in plan.words) is (ttft_s is None)


def test_the_box_costs_something_too() -> None:
    """Only what the target costs more has to be worth the wait."""
    assert decided(1.0, 0.002).reason is Reason.DEFAULT
    assert decided(1.0, 0.002, local_price=Price(2.0, 10.0)).reason is Reason.TTFT


def test_a_target_without_a_price_is_not_weighed() -> None:
    """What it would cost is not known."""
    assert weighed(facts_of(BODY), LocalState(LOCAL, predicted_ttft_s=9.0), TargetState(GEMINI), 100.0) is None


def test_a_longer_wait_than_is_admitted_is_refused() -> None:
    """With nowhere to go: 429 and the ledger's own wait. With a target it leaves."""
    full = LocalState(LOCAL, predicted_ttft_s=31.0, wait_s=12.5)
    alone = planned(query_of(BODY), fleet=fleet_of(local=full), policy=policy_of(()))
    assert alone.refusal is not None and (alone.refusal.status, alone.refusal.code) == (429, "queue_full")
    assert alone.refusal.retry_after == 12.5 and "30 s" in alone.refusal.message
    assert (
        planned(query_of(BODY), fleet=fleet_of(local=full), policy=policy_of((), admit_ttft_ms=32_000)).refusal is None
    )
    away = planned(query_of(BODY), fleet=fleet_of(CLAUDE, local=full), policy=policy_of((CLAUDE,)))
    assert (away.candidates[0].target, away.reason) == (CLAUDE, Reason.TTFT)
    assert "31 s" in away.words and "30 s" in away.words


def test_a_long_prompt_that_is_alone_is_admitted() -> None:
    """It would not be read sooner later."""
    slow = LocalState(LOCAL, predicted_ttft_s=45.0, alone=True)
    assert planned(query_of(BODY), fleet=fleet_of(local=slow), policy=policy_of(())).refusal is None
