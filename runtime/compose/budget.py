"""The budget as the settings want it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

from runtime.money.budget import ALL, KEY, BudgetLedger, SpendingLimits
from runtime.money.spent_file import SpentFile
from runtime.settings import Settings
from runtime.trust.caller import Caller

ALONE = "these are the requests of this Hearth: what the other Hearths of the fleet answered is in their own reports"


def budget_of(
    settings: Settings, folder: Path, notice: Callable[[str], None], spent: Callable[[str], None]
) -> BudgetLedger:
    """folder: the state folder. notice: gets one line when the limit that nobody chose comes into force.

    spent: gets one when a limit is spent.
    """
    file = folder / "budget.sqlite3"
    limit = settings.budget.daily_usd
    if (
        settings.targets
        and limit is not None
        and "daily_usd" not in settings.budget.model_fields_set
        and not file.exists()
    ):
        notice(f"clouds may cost ${limit:g} a day together; [budget] daily_usd changes that")
    made = BudgetLedger(SpentFile(file), {}, settings.budget.timezone, time.time, spent)
    put_in_force(made, settings)
    if settings.targets:
        made.measure()
    return made


def dollars_of(budget: BudgetLedger) -> dict[tuple[str, str, str], float]:
    """The budget in `/metrics`: dollars by scope, period and kind. total: spent here and by the other Hearths of a fleet."""
    found: dict[tuple[str, str, str], float] = {}
    for each in budget.standings():
        kinds = {"limit": each.limit_usd, "spent": each.spent_usd, "reserved": each.reserved_usd, "left": each.left_usd}
        kinds["total"] = each.total_usd
        found |= {(each.scope or "all", each.span, kind): usd for kind, usd in kinds.items() if usd is not None}
    return found


def beside_others(budget: BudgetLedger) -> tuple[str, ...]:
    """Sentences beside the costs of this Hearth: what all Hearths that share the budget have spent of its limits."""
    found = [
        f"of the ${each.limit_usd:g} for {each.period} the fleet has spent ${each.total_usd:.2f}:"
        f" ${each.spent_usd:.2f} here, ${each.others_spent_usd:.2f} by other Hearths"
        for each in budget.standings()
        if each.scope == ALL and each.limit_usd is not None and each.others_spent_usd is not None
    ]
    return (ALONE, *found) if budget.leases is not None else ()


def put_in_force(budget: BudgetLedger, settings: Settings, callers: Iterable[Caller] = ()) -> None:
    """Takes other limits over, those of keys too; what is spent and reserved stays."""
    wanted = settings.budget
    targets = {
        name: SpendingLimits(each.daily_usd) for name, each in settings.targets.items() if each.daily_usd is not None
    }
    keys = {
        f"{KEY}{each.id}": SpendingLimits(each.daily_usd, each.monthly_usd)
        for each in callers
        if each.daily_usd is not None or each.monthly_usd is not None
    }
    budget.limits = {ALL: SpendingLimits(wanted.daily_usd, wanted.monthly_usd), **targets, **keys}
    budget.zone = ZoneInfo(wanted.timezone)
    budget.when_spent = wanted.when_spent
