"""The budget: what clouds may cost in a day and a month. Reserves before each call, settles on its true cost.

    SpendingLimits   dollars a day and a month of one scope: all targets, one of them, or one key
    BudgetLedger     settled and reserved micro-dollars by period and scope; decides, and lets what does not fit wait
    Reservation      the room of one call; left without `settle`, it counts in full
    BudgetStanding   what is spent, reserved and left of one limit

What does not fit beside open reservations waits until they are settled, and is refused only if the settled sum alone leaves
no room for it. A call belongs to the periods it was reserved in. Single-threaded, on the event loop; the file behind it is
written before a call may begin, so that a killed process has counted what it had not settled.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from runtime.money.cost import MICRO
from runtime.money.estimate import Answers
from runtime.money.leases import Leases
from runtime.money.spent_file import BudgetLine, SpentFile
from runtime.sqlite_files import damaged

_UNWRITABLE = "the budget's file cannot be written: no cloud is called"  # for clients: no path is theirs to know
ALL = ""  # the scope of every target together
KEY = "key:"  # the scope of a key is this and its id
UNKNOWN = -1  # the least room, until it is measured
_ORDINARY = 0.05  # a limit is spent once it has no room for a call of this share of it
_AWAY_S = 5.0  # after which a fleet's store that is away may be back
_AGAIN_S = 1.0  # between two tries of a file that could not be written


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """Dollars. None: no limit."""

    daily_usd: float | None = None
    monthly_usd: float | None = None


_NO_LIMITS = SpendingLimits()


class Shortfall(NamedTuple):
    """The reason for which a call may not begin. wait_s: seconds until the next period; None if the file cannot be written."""

    words: str
    wait_s: float | None = None


class BudgetStanding(NamedTuple):
    """One period of one scope, in dollars. limit_usd: None where only the sum is known.

    period: 2026-11-29 or 2026-11, which ends in ends_in_s. is_spent: nothing is left, or too little for an ordinary call.
    """

    scope: str
    period: str
    limit_usd: float | None
    spent_usd: float
    reserved_usd: float
    ends_in_s: float
    is_spent: bool
    others_usd: float = 0.0  # held by the other Hearths of a fleet
    others_spent_usd: float | None = None  # of it spent; None without a fleet, or before it was heard

    @property
    def span(self) -> str:
        return "day" if len(self.period) > len("2026-11") else "month"

    @property
    def total_usd(self) -> float:
        """Dollars that are spent, by the other Hearths of a fleet too."""
        return self.spent_usd + (self.others_spent_usd or 0.0)

    @property
    def left_usd(self) -> float | None:
        """Dollars that further calls may cost, beside those under way."""
        return (
            None
            if self.limit_usd is None
            else max(0.0, self.limit_usd - self.spent_usd - self.reserved_usd - self.others_usd)
        )


class Reservation:
    """micro: micro-dollars that are kept free for one call."""

    __slots__ = ("accounts", "id", "limits", "micro", "true")

    def __init__(self, id: int, limited: Sequence[tuple[BudgetLine, int | None]], micro: int) -> None:
        self.id, self.micro = id, micro
        self.accounts, self.limits = [line for line, _ in limited], [most for _, most in limited]
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
    keyed: True if a key has a limit. room: micro-dollars that every limit but those of keys still has at least; `UNKNOWN`
    until `measure` is called. spent: called with one sentence when a limit is spent, once in a period.
    leases: of a fleet that shares its limits; None: they are this process's alone. usual: micro-dollars of the latest call.
    """

    def __init__(
        self,
        file: SpentFile,
        limits: Mapping[str, SpendingLimits],
        timezone: str,
        wall: Callable[[], float],
        spent: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.zone = ZoneInfo(timezone)
        self.when_spent = "local"
        self.answers = Answers()
        self.trouble: str | None = None
        self.spent = spent
        self.room: float = UNKNOWN
        self.leases: Leases | None = None
        self.usual = 0
        self._file, self._wall = file, wall
        self._settled: dict[BudgetLine, int] = {}
        self._open: dict[BudgetLine, int] = {}
        self._reservations: dict[int, Reservation] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._short: dict[BudgetLine, int] = {}  # limits that had no room for an ordinary call, and what was spent then
        self._next = 0
        self._loaded = False
        self._tried_at = 0.0
        self.limits = limits

    @property
    def limits(self) -> Mapping[str, SpendingLimits]:
        return self._limits

    @limits.setter
    def limits(self, limits: Mapping[str, SpendingLimits]) -> None:
        self._limits, self.room = limits, UNKNOWN
        self.keyed = any(scope.startswith(KEY) for scope in limits)
        self._short.clear()

    def scopes(self, target: str, caller: str) -> tuple[str, ...]:
        """The scopes of a call: all, its target, and its key if that has a budget. caller: the key's id."""
        key = f"{KEY}{caller}"
        return (ALL, target, key) if key in self._limits else (ALL, target)

    @contextlib.asynccontextmanager
    async def reserved(
        self, micro: int, scopes: Sequence[str], within_s: float, most: int = 0
    ) -> AsyncIterator[Reservation | Shortfall]:
        """Room for one call, kept while the `with` lasts. micro: the most it is expected to cost. within_s: longest wait.

        most: its cost with the longest answer, where no limit is set. The room is for that, up to a small share of the limit:
        the last call before a limit could go far beyond its own usual cost.
        """
        micro = self._sized(scopes, micro, most)
        found = self._decided(scopes, micro)
        if found is None:
            self._next += 1
            ticket, answer = self._next, asyncio.get_running_loop().create_future()
            self._waiting[ticket] = _Waiting(scopes, micro, answer)
            try:
                async with asyncio.timeout(within_s):
                    found = await answer
            except TimeoutError:
                found = Shortfall("no room in the budget beside calls under way", self._left_s(self._periods()[0]))
                if answer.done() and not answer.cancelled():
                    found = answer.result()  # the time was up in the very turn of the loop that gave it
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

    def grow(self, made: Reservation, micro: int) -> bool:
        """Adds room for one more exchange of the same call. False, with nothing added, if there is none now."""
        for account, limit in zip(made.accounts, made.limits, strict=True):
            most = limit if limit is None or self.leases is None else self.leases.leased(account)
            if most is not None and self._settled.get(account, 0) + self._open.get(account, 0) + micro > most:
                return False
        if not self._written(lambda: self._file.reserve(made.id, made.accounts, made.micro + micro)):
            return False
        made.micro += micro
        for account in made.accounts:
            self._open[account] = self._open.get(account, 0) + micro
        return True

    def shortfall(self, scopes: Sequence[str], micro: int, most: int = 0) -> Shortfall | None:
        """The refusal that `reserved` would give now; None if the settled sums leave room. Reserves nothing."""
        if self.trouble is not None and self._wall() - self._tried_at >= _AGAIN_S:
            self._written(self._file.settle_late)
        if not self._load() or self.trouble is not None:
            return Shortfall(_UNWRITABLE)
        return self._without_room(self._accounts(scopes), self._sized(scopes, micro, most))

    def measure(self) -> None:
        """Brings `room` up to date."""
        if self._load() and self.trouble is None:
            scopes = [each for each in self._limits if not each.startswith(KEY)]
            limited = [(line, most) for line, most in self._accounts(scopes) if most is not None]
            if self.leases is not None:
                limited = [(line, self.leases.ceiling(line, most)) for line, most in limited]
            left = [most - self._settled.get(line, 0) for line, most in limited]
            self.room = min(left, default=math.inf)

    def spent_usd(self, scope: str = ALL) -> tuple[float, float]:
        """Dollars settled in this day and this month."""
        if not self._load():
            return 0.0, 0.0
        day, month = self._periods()
        return self._settled.get(BudgetLine(day, scope), 0) / MICRO, self._settled.get(
            BudgetLine(month, scope), 0
        ) / MICRO

    def standings(self) -> tuple[BudgetStanding, ...]:
        """Day and month of all targets together, and every other limit."""
        self._load()
        found = []
        for line, most in self._accounts(dict.fromkeys((ALL, *self._limits))):
            if most is None and line.scope != ALL:
                continue
            settled, reserved = self._settled.get(line, 0), self._open.get(line, 0) / MICRO
            others = 0 if self.leases is None or most is None else self.leases.others(line)
            theirs = None if self.leases is None or most is None else self.leases.theirs(line)
            limit, spent = None, False
            if most is not None:
                limit = most / MICRO
                spent = settled + others >= most or settled + (theirs or 0) >= self._short.get(line, most)
            ends_in_s = self._left_s(line.period)
            by_others = others / MICRO, None if theirs is None else theirs / MICRO
            sums = (settled / MICRO, reserved, ends_in_s, spent, *by_others)
            found.append(BudgetStanding(line.scope, line.period, limit, *sums))
        return tuple(found)

    def limited(self) -> list[tuple[BudgetLine, int, int, int, int]]:
        """Of each limit in this period, in micro-dollars: the limit, settled, reserved, and wanted by calls that wait."""
        waiting = [each for each in self._waiting.values() if not each.answer.done()] if self._load() else []
        return [
            (
                line,
                most,
                self._settled.get(line, 0),
                self._open.get(line, 0),
                sum([each.micro for each in waiting if line.scope in each.scopes]),
            )
            for line, most in self._accounts(self._limits)
            if most is not None
        ]

    def close(self) -> None:
        """Closes the file. What is still reserved counts in full at the next start."""
        self._file.close()

    def _accounts(self, scopes: Iterable[str]) -> list[tuple[BudgetLine, int | None]]:
        """Day and month of each scope, with their limits in micro-dollars."""
        day, month = self._periods()
        found = []
        for scope in scopes:
            limits = self._limits.get(scope, _NO_LIMITS)
            for period, usd in ((day, limits.daily_usd), (month, limits.monthly_usd)):
                found.append((BudgetLine(period, scope), None if usd is None else round(usd * MICRO)))
        return found

    def _sized(self, scopes: Sequence[str], micro: int, most: int) -> int:
        """The room for a call: of an answer longer than usual, up to a small share of the smallest limit."""
        if most <= micro:
            return micro
        least = min([limit for _, limit in self._accounts(scopes) if limit is not None], default=0)
        return max(micro, min(most, int(_ORDINARY * least)))

    def _without_room(self, accounts: Iterable[tuple[BudgetLine, int | None]], micro: int) -> Shortfall | None:
        """The refusal of a call that does not fit beside what is settled."""
        for account, most in accounts:
            settled = self._settled.get(account, 0)
            if most is None or settled + micro <= most:
                if most is None or self.leases is None or settled + micro <= self.leases.ceiling(account, most):
                    continue
                if not self.leases.away:
                    self._fell_short(account, most, micro)
                return self._beside_others(account, most, micro)
            scope = "this key" if account.scope.startswith(KEY) else account.scope
            words = f"${settled / MICRO:.4f} of the ${most / MICRO:g}{scope and f' of {scope}'} for {account.period} are spent"
            self._fell_short(account, most, micro)
            return Shortfall(f"{words}, and about ${micro / MICRO:.4f} are needed", self._left_s(account.period))
        return None

    def _fell_short(self, account: BudgetLine, most: int, micro: int) -> None:
        """Notes that a limit has no room for a call. One without room for an ordinary call is spent: notice is given once."""
        theirs = (self.leases.theirs(account) if self.leases is not None else None) or 0
        settled = self._settled.get(account, 0) + theirs
        if micro > _ORDINARY * most and settled < most:
            return
        noticed = account in self._short
        self._short[account] = settled
        if not noticed:
            who = f"key {account.scope.removeprefix(KEY)}" if account.scope.startswith(KEY) else account.scope
            by_others = f", ${theirs / MICRO:.2f} of it by other Hearths" if theirs else ""
            self.spent(
                f"the budget of {who or 'all targets'} for {account.period} is spent: ${most / MICRO:g}{by_others}"
            )

    def _beside_others(self, account: BudgetLine, most: int, micro: int) -> Shortfall:
        """The refusal of a call that fits into a limit and not beside what the other Hearths hold of it."""
        assert self.leases is not None
        left = self._left_s(account.period)
        if self.leases.away:
            words = f"the fleet's store is away, and ${self.leases.leased(account) / MICRO:.4f} of the ${most / MICRO:g} for"
            return Shortfall(f"{words} {account.period} are this Hearth's until it is back", min(left, _AWAY_S))
        theirs = (most - self.leases.ceiling(account, most)) / MICRO
        words = f"${self._settled.get(account, 0) / MICRO:.4f} here and ${theirs:.4f} by other Hearths of the ${most / MICRO:g}"
        return Shortfall(f"{words} for {account.period} are spent, and about ${micro / MICRO:.4f} are needed", left)

    def _decided(self, scopes: Sequence[str], micro: int) -> Reservation | Shortfall | None:
        """A reservation that stands in the file; a refusal; None if it has to wait for settlements."""
        if not self._load():
            return Shortfall(_UNWRITABLE)
        limited = self._accounts(scopes)
        if (refused := self._without_room(limited, micro)) is not None:
            return refused
        self.usual = micro
        for account, limit in limited:
            most = limit if limit is None or self.leases is None else self.leases.leased(account)
            if most is not None and self._settled.get(account, 0) + self._open.get(account, 0) + micro > most:
                if limit is None or self.leases is None:
                    return None
                self.leases.need()
                return self._beside_others(account, limit, micro) if self.leases.away else None
        self._next += 1
        made = Reservation(self._next, limited, micro)
        if not self._written(lambda: self._file.reserve(made.id, made.accounts, micro)):
            return Shortfall(_UNWRITABLE)
        self._reservations[made.id] = made
        for account in made.accounts:
            self._open[account] = self._open.get(account, 0) + micro
        return made

    def _leave(self, made: Reservation) -> None:
        """Settles a reservation, and gives its room to those that wait."""
        true = made.micro if made.true is None else made.true
        del self._reservations[made.id]
        for account in made.accounts:
            # Calls that cost nothing hold no room: of several at a time the first leaves no entry for the others.
            left = self._open.pop(account, 0) - made.micro
            if left:
                self._open[account] = left
            self._settled[account] = self._settled.get(account, 0) + true
        # One that cannot be written stays in the file as unsettled, and is tried again with the next.
        self._written(lambda: self._file.settle(made.id, made.accounts, true))
        self.look_again()

    def look_again(self) -> None:
        """Gives the room that is free now to the calls that wait, in order of arrival."""
        self.room = UNKNOWN
        # By scopes, the smallest that did not fit: of a crowd that waits few need another look.
        least = dict[tuple[str, ...], int]()
        for waiting in tuple(self._waiting.values()):
            scopes = tuple(waiting.scopes)
            if waiting.answer.done() or waiting.micro >= least.get(scopes, waiting.micro + 1):
                continue
            if (found := self._decided(scopes, waiting.micro)) is not None:
                waiting.answer.set_result(found)
            else:
                least[scopes] = waiting.micro

    def _load(self) -> bool:
        """True if the settled sums are known. What an earlier process had not settled is among them, in full."""
        if not self._loaded:
            self._loaded = self._written(lambda: self._settled.update(self._file.load(self._oldest())))
        return self._loaded

    def _written(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except (sqlite3.Error, OSError) as error:
            self._tried_at, self.room = self._wall(), UNKNOWN
            self.trouble = f"the budget's file {self._file.path} cannot be written ({error}): no cloud is called"
            if damaged(error):
                self.trouble += " until a backup stands in its place or `hearth doctor --repair` has moved it aside"
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
