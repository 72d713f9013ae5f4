"""The dollars of a demotion of the local model: of the requests that it moves, and of no others."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.contract.reasons import Reason
from runtime.life.kept import Kept
from runtime.money.budget import BudgetStanding
from runtime.quality.demotion_cost import demotion_cost, words
from runtime.record.decisions import Considered, Decision
from runtime.routing.facts.hints import NO_HINTS
from runtime.routing.facts.query import read_query
from runtime.routing.facts.tokens import TokenEstimate

LOCAL, DAY = "local/small", 86_400.0
NOW = 10 * DAY
FACTS = read_query("openai_chat", {"model": "auto", "messages": []}, NO_HINTS, {}, TokenEstimate()).facts
HERE, THERE = Considered(LOCAL, "default"), Considered("vendor/paid-model", "default", cost_usd=0.5)


def answered(*, at: float = NOW - DAY, clouds: tuple[Considered, ...] = (THERE,), **more: Any) -> Decision:
    """An answer of the local model, with clouds behind it."""
    order = ("local", *(f"cloud-{place}" for place in range(len(clouds))))
    kept = Kept(FACTS, more.pop("reason", Reason.DEFAULT), order)
    known = {"id": "dec_1", "target": LOCAL, "task": "code", "considered": (HERE, *clouds), "kept": kept, **more}
    return Decision(at=at, dialect="openai_chat", model="auto", **known)


def standing(scope: str, limit: float | None, spent: float, period: str = "2026-11-29") -> BudgetStanding:
    return BudgetStanding(scope, period, limit, spent, 0.0, 3600.0, False)


def test_each_request_costs_what_its_next_target_would_have_taken() -> None:
    """By the day, over the days that there are records of."""
    rows = [answered(at=NOW - 4 * DAY), answered(), answered(clouds=(Considered("a/b", "default"), THERE))]
    found = demotion_cost(rows, LOCAL, "code", NOW)
    assert (found.requests, found.days, found.least_usd, found.most_usd, found.unpriced) == (3, 4.0, 0.25, 0.25, 1)
    assert words(found, ()) == (
        "its traffic goes to clouds for about $0.2500 a day, by 3 requests of the last 4 days, "
        "besides 1 of unknown price; no budget limits that"
    )


@pytest.mark.parametrize(
    "row",
    [
        answered(task="math"),
        answered(reason=Reason.PINNED),
        answered(clouds=()),
        answered(status=502),
        answered(origin="quality"),
        answered(target="vendor/paid-model"),
        answered(kept=None),
    ],
    ids=["another task", "pinned", "no cloud", "failed", "golden", "left already", "of an older runtime"],
)
def test_what_a_demotion_does_not_move_costs_nothing(row: Decision) -> None:
    """And without any such request the notice says so."""
    found = demotion_cost([row], LOCAL, "code", NOW)
    assert (found.requests, found.most_usd) == (0, 0.0)
    assert words(found, ()) == "none of its requests of the last 24 hours leaves the box for it"


def test_an_unread_task_makes_a_range() -> None:
    """It may be the demoted one."""
    found = demotion_cost([answered(), answered(task=None), answered(task=None)], LOCAL, "code", NOW)
    assert (found.least_usd, found.most_usd) == (0.5, 1.5)
    assert "for $0.5000 to $1.50 a day (not every task was read)" in words(found, ())
    assert demotion_cost([answered(task=None)], LOCAL, "", NOW).least_usd == 0.5


def test_a_busy_box_is_scaled_from_the_hours_that_were_read() -> None:
    """Of more records than are looked at."""
    rows = [answered(at=NOW - DAY / 4)] * 10
    assert demotion_cost(rows, LOCAL, "code", NOW, most=10).most_usd == pytest.approx(20.0)
    assert demotion_cost(rows, LOCAL, "code", NOW, most=11).most_usd == pytest.approx(5.0)


def test_the_tightest_budget_is_named() -> None:
    """Of all targets, and of those that take the traffic; no other target's."""
    found = demotion_cost([answered()], LOCAL, "code", NOW)
    limits = [
        standing("", 10.0, 4.0),
        standing("", 100.0, 96.5, "2026-11"),
        standing("cloud-0", 5.0, 1.0),
        standing("other", 1.0, 1.0),
        standing("", None, 7.0),
    ]
    assert words(found, limits).endswith("; the budget of all targets has $3.50 of $100.00 left this month")
    assert words(found, limits[2:]).endswith("; the budget of cloud-0 has $4.00 of $5.00 left today")
