"""The seam between a budget and the store of a fleet: how much of each limit this Hearth may spend without asking."""

from __future__ import annotations

from typing import Protocol

from runtime.money.spent_file import BudgetLine


class Leases(Protocol):
    """Micro-dollars of this Hearth's own, by period and scope. Answers at once, from memory."""

    @property
    def away(self) -> bool:
        """True while the store does not answer: nothing beyond what is leased can be had."""

    def leased(self, line: BudgetLine) -> int:
        """The most that may be settled and reserved now."""

    def ceiling(self, line: BudgetLine, limit: int) -> int:
        """The most that could ever be settled here, after what the other Hearths have spent."""

    def others(self, line: BudgetLine) -> int:
        """The part of the limit that the other Hearths hold."""

    def theirs(self, line: BudgetLine) -> int | None:
        """The part of the limit that the other Hearths have spent; None where that was never heard."""

    def need(self) -> None:
        """Asks for more room soon."""
