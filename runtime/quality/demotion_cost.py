"""Dollars a day that a demotion of the local model costs: its latest answers at the price of the cloud behind it. Pure.

Each decision record has the candidates of its plan in order, and the dollars that its tokens would have cost at each. Requests
that no demotion moves (pinned, without a cloud among the candidates) cost nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from runtime.contract.reasons import Reason
from runtime.life.kept import Kept
from runtime.money.budget import ALL, BudgetStanding
from runtime.quality.recorded import MOST
from runtime.record.cost_report import usd
from runtime.record.decisions import Decision

_DAY_S = 86_400.0
_SHORTEST = 1 / 24  # days


class DemotionCost(NamedTuple):
    """requests: that would leave, in `days`. Dollars a day: `least_usd` of those whose task is known to be the demoted one,
    `most_usd` also of those whose task was not read. unpriced: requests whose next target has no known price. clouds: names of
    the next targets.
    """

    requests: int
    days: float
    least_usd: float
    most_usd: float
    unpriced: int
    clouds: frozenset[str]


def demotion_cost(decisions: Sequence[Decision], target: str, task: str, now: float, most: int = MOST) -> DemotionCost:
    """target: the local model's label. task: "" for every task. now: unix seconds. most: that were to be read; a history
    that is shorter than a day although fewer were found counts as a day.
    """
    known = unread = 0.0
    requests = unpriced = 0
    clouds, oldest = set[str](), now
    for each in decisions:
        oldest = min(oldest, each.at)
        if each.target != target or each.status != 200 or each.origin or each.kept is None:
            continue
        kept = msgspec.convert(each.kept, Kept)
        # The candidates stand first, and only they are in the order.
        beside = [pair for pair in zip(kept.order, each.considered, strict=False) if pair[1].target != target]
        if kept.reason is Reason.PINNED or not beside or (task and each.task not in (None, task)):
            continue
        name, place = beside[0]
        requests += 1
        clouds.add(name)
        unpriced += place.cost_usd is None
        if task and each.task is None:
            unread += place.cost_usd or 0.0
        else:
            known += place.cost_usd or 0.0
    days = max((now - oldest) / _DAY_S, 1.0 if len(decisions) < most else _SHORTEST)
    return DemotionCost(requests, days, known / days, (known + unread) / days, unpriced, frozenset(clouds))


def words(cost: DemotionCost, standings: Sequence[BudgetStanding]) -> str:
    """One clause: the dollars, and the limit of the budget that has the least left. standings: of every limit."""
    past = f"the last {24 * cost.days:.0f} hours" if cost.days < 2 else f"the last {cost.days:.0f} days"
    if not cost.requests:
        return f"none of its requests of {past} leaves the box for it"
    least, most = usd(cost.least_usd), usd(cost.most_usd)
    about = f"about {most} a day" if least == most else f"{least} to {most} a day (not every task was read)"
    unpriced = f", besides {cost.unpriced:,} of unknown price" if cost.unpriced else ""
    said = f"its traffic goes to clouds for {about}, by {cost.requests:,} requests of {past}{unpriced}"
    # Where several limits bind, the one with the least left ends it.
    scopes = {ALL, *cost.clouds}
    limits = [(left, each) for each in standings if each.scope in scopes and (left := each.left_usd) is not None]
    if not limits:
        return f"{said}; no budget limits that"
    left, tightest = min(limits, key=lambda pair: pair[0])
    scope, until = tightest.scope or "all targets", "today" if tightest.span == "day" else "this month"
    return f"{said}; the budget of {scope} has {usd(left)} of {usd(tightest.limit_usd or 0.0)} left {until}"
