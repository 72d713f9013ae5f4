"""The budget: what clouds may cost in a day and a month. Reserves before each call, settles on its true cost.

    SpendingLimits       dollars a day and a month of one scope: all targets, or one of them
    BudgetLedger       settled and reserved micro-dollars by period and scope; decides, and lets what does not fit wait
    Reservation  the room of one call; left without `settle`, it counts in full

What does not fit beside open reservations waits until they are settled, and is refused only if the settled sum alone leaves
no room for it. A call belongs to the periods it was reserved in. Single-threaded, on the event loop; the file behind it is
written before a call may begin, so that a killed process has counted what it had not settled.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from runtime.money.cost import MICRO
from runtime.money.estimate import Answers
from runtime.money.spent_file import BudgetLine, SpentFile

ALL = ""  # the scope of every target together


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """Dollars. None: no limit."""

    daily_usd: float | None = None
    monthly_usd: float | None = None


class Shortfall(NamedTuple):
    """The reason for which a call may not begin. wait_s: seconds until the next period; None if the file cannot be written."""

    words: str
    wait_s: float | None = None


class Reservation:
    """micro: micro-dollars that are kept free for one call."""

    __slots__ = ("accounts", "id", "micro", "true")

    def __init__(self, id: int, accounts: Sequence[BudgetLine], micro: int) -> None:
        self.id, self.accounts, self.micro = id, accounts, micro
        self.true: int | None = None

    def settle(self, micro: int) -> None:
        """Takes the true cost in: the difference is free again when the reservation is left."""
        self.true = max(0, micro)


class _Waiting(NamedTuple):
    scopes: Sequence[str]
    micro: int
    answer: asyncio.Future[Reservation | Shortfall]


class BudgetLedger:
    """limits: by scope; `ALL` is every target together. wall: unix seconds.

    limits, zone and when_spent (local, queue, refuse) change with the settings. answers: the lengths it has learned.
    """

    def __init__(
        self, file: SpentFile, limits: Mapping[str, SpendingLimits], timezone: str, wall: Callable[[], float]
    ) -> None:
        self.limits, self.zone = limits, ZoneInfo(timezone)
        self.when_spent = "local"
        self.answers = Answers()
        self.trouble: str | None = None
        self._file, self._wall = file, wall
        self._settled: dict[BudgetLine, int] = {}
        self._open: dict[BudgetLine, int] = {}
        self._reservations: dict[int, Reservation] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._next = 0
        self._loaded = False

    @contextlib.asynccontextmanager
    async def reserved(self, micro: int, scope: str, within_s: float) -> AsyncIterator[Reservation | Shortfall]:
        """Room for one call, kept while the `with` lasts. micro: the most it is expected to cost. within_s: longest wait."""
        found = self._decided((ALL, scope), micro)
        if found is None:
            self._next += 1
            ticket, answer = self._next, asyncio.get_running_loop().create_future()
            self._waiting[ticket] = _Waiting((ALL, scope), micro, answer)
            try:
                async with asyncio.timeout(within_s):
                    found = await answer
            except TimeoutError:
                found = Shortfall("no room in the budget beside calls under way", self._left_s(self._periods()[0]))
            except asyncio.CancelledError:
                if answer.done() and not answer.cancelled() and isinstance(granted := answer.result(), Reservation):
                    granted.settle(0)
                    self._leave(granted)
                raise
            finally:
                self._waiting.pop(ticket, None)
        try:
            yield found
        finally:
            if isinstance(found, Reservation):
                self._leave(found)

    @property
    def reserved_micro(self) -> int:
        """Micro-dollars of all calls under way."""
        return sum(each.micro for each in self._reservations.values())

    def spent_usd(self, scope: str = ALL) -> tuple[float, float]:
        """Dollars settled in this day and this month."""
        if not self._load():
            return 0.0, 0.0
        day, month = self._periods()
        return tuple(self._settled.get(BudgetLine(each, scope), 0) / MICRO for each in (day, month))  # type: ignore[return-value]

    def close(self) -> None:
        """Closes the file. What is still reserved counts in full at the next start."""
        self._file.close()

    def _decided(self, scopes: Sequence[str], micro: int) -> Reservation | Shortfall | None:
        """A reservation that stands in the file; a refusal; None if it has to wait for settlements."""
        if not self._load():
            return Shortfall(self.trouble or "")
        accounts, waits = [], False
        for scope in scopes:
            limits = self.limits.get(scope, SpendingLimits())
            for period, usd in zip(self._periods(), (limits.daily_usd, limits.monthly_usd), strict=True):
                account = BudgetLine(period, scope)
                accounts.append(account)
                if usd is None:
                    continue
                most, settled = round(usd * MICRO), self._settled.get(account, 0)
                if settled + micro > most:
                    of = f" of {scope}" if scope else ""
                    words = f"${settled / MICRO:.4f} of the ${usd:g}{of} for {period} are spent"
                    return Shortfall(f"{words}, and about ${micro / MICRO:.4f} are needed", self._left_s(period))
                waits = waits or settled + self._open.get(account, 0) + micro > most
        if waits:
            return None
        self._next += 1
        made = Reservation(self._next, accounts, micro)
        if not self._written(lambda: self._file.reserve(made.id, accounts, micro)):
            return Shortfall(self.trouble or "")
        self._reservations[made.id] = made
        for account in accounts:
            self._open[account] = self._open.get(account, 0) + micro
        return made

    def _leave(self, made: Reservation) -> None:
        """Settles a reservation, and gives the room that is free now to those that wait, in order of arrival."""
        true = made.micro if made.true is None else made.true
        del self._reservations[made.id]
        for account in made.accounts:
            if left := self._open[account] - made.micro:
                self._open[account] = left
            else:
                self._open.pop(account)
            self._settled[account] = self._settled.get(account, 0) + true
        # One that cannot be written stays in the file as unsettled, and is tried again with the next.
        self._written(lambda: self._file.settle(made.id, made.accounts, true))
        for waiting in tuple(self._waiting.values()):
            if not waiting.answer.done() and (found := self._decided(waiting.scopes, waiting.micro)) is not None:
                waiting.answer.set_result(found)

    def _load(self) -> bool:
        """True if the settled sums are known. What an earlier process had not settled is among them, in full."""
        if not self._loaded:
            self._loaded = self._written(lambda: self._settled.update(self._file.load(self._oldest())))
        return self._loaded

    def _written(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except (sqlite3.Error, OSError) as error:
            self.trouble = f"the budget's file {self._file.path} cannot be written ({error}): no cloud is called"
            return False
        self.trouble = None
        return True

    def _periods(self) -> tuple[str, str]:
        """Names of the day and the month."""
        today = datetime.fromtimestamp(self._wall(), self.zone).date().isoformat()
        return today, today[:7]

    def _oldest(self) -> str:
        return (datetime.fromtimestamp(self._wall(), self.zone) - timedelta(days=400)).date().isoformat()

    def _left_s(self, period: str) -> float:
        """Seconds until a day or a month is over."""
        now = datetime.fromtimestamp(self._wall(), self.zone)
        day = now.date()
        after = (
            day + timedelta(days=1)
            if period == day.isoformat()
            else (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        )
        return max(1.0, datetime.combine(after, datetime.min.time(), self.zone).timestamp() - now.timestamp())
