"""The money of evaluation: `[quality] daily_usd`, a ledger of its own beside the budget, which binds each call too."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.money.budget import ALL, BudgetLedger, Reservation, Shortfall, SpendingLimits
from runtime.money.cost import MICRO
from runtime.money.estimate import Answers, answer_tokens, dearest, expected_micro
from runtime.money.spent_file import SpentFile
from runtime.quality.values import Measures
from runtime.routing.facts.facts import Facts

_WITHIN_S = 120.0  # longest wait for calls under way to be settled


class Purse:
    """The room of one call; left unsettled, it counts in full."""

    def __init__(self, target: Target, reservation: Reservation | None, answers: Answers) -> None:
        self._target, self._reservation, self._answers = target, reservation, answers

    def settle(self, measures: Measures) -> None:
        """Takes the true cost in."""
        if measures.completion_tokens:
            self._answers.learn(self._target.label, measures.completion_tokens)
        if self._reservation is None:
            return
        usd, price = measures.cost_usd, self._target.price
        if usd is None and price is None and measures.prompt_tokens:
            return  # nobody knows: what was reserved stands
        if usd is None and price is not None:
            usd = price.most(Usage(measures.prompt_tokens, measures.completion_tokens)) / MICRO
        self._reservation.settle(round((usd or 0.0) * MICRO))


class Wallet:
    """folder: of the state. prices: of the configured targets, for one whose price is not known."""

    def __init__(
        self,
        folder: Path,
        prices: Callable[[], Iterable[Target]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        file = SpentFile(folder / "quality-spent.sqlite3")
        self._ledger = BudgetLedger(file, {}, "UTC", wall)
        self._prices = prices

    def limit(self, daily_usd: float, zone: str) -> None:
        """Puts settings in force."""
        self._ledger.limits = {ALL: SpendingLimits(daily_usd)}
        self._ledger.zone = ZoneInfo(zone)

    @property
    def trouble(self) -> str | None:
        return self._ledger.trouble

    @property
    def spent_usd(self) -> float:
        """Dollars of this day."""
        return self._ledger.spent_usd()[0]

    @contextlib.asynccontextmanager
    async def room(self, target: Target, facts: Facts) -> AsyncIterator[Purse | Shortfall]:
        """Room for one call, kept while the `with` lasts."""
        if target.on_box:
            yield Purse(target, None, self._ledger.answers)
            return
        price = target.price or dearest(each.price for each in self._prices())
        likely = answer_tokens(target, facts.max_tokens, self._ledger.answers)[0] * facts.n
        micro = expected_micro(price, facts.prompt_tokens, likely)
        async with self._ledger.reserved(micro, (ALL, target.name), _WITHIN_S) as found:
            yield found if isinstance(found, Shortfall) else Purse(target, found, self._ledger.answers)

    def close(self) -> None:
        self._ledger.close()
