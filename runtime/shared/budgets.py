"""Budgets of a fleet: this Hearth's part of each limit, leased from the store in chunks and spent in memory.

What a Hearth holds of a limit in a period is one rising number beside what it has spent. It asks for more before that is used
up, and gives back what it does not need. Only the owner changes its number: a lease stays open until its last request has
ended, and what a dead Hearth held counts as spent until that Hearth is back and reads in its own file what it really spent.
No time-out can free it: what a Hearth may spend without asking, it may have spent before it died. So a lease is small, and
nothing before the first call.

A Hearth that has neither reached nor missed the store for longer than an emptied store waits for it (it was frozen, or the
machine slept) spends nothing of its lease before the store has confirmed it: the others may have been given it.

    spare         how much of a limit a Hearth holds beyond what it has used
    BudgetLeases  the leases of one Hearth
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from runtime.money.budget import KEY, BudgetLedger
from runtime.money.spent_file import BudgetLine
from runtime.shared.journal import SharedJournal
from runtime.shared.store import SharedStore, key_of

_CHUNK = 0.005  # of what is left of a limit: for calls while the store is away
_IDLE_S = 300.0  # without a call, after which room for one more is all that is held
_MOST_SHARE = 0.05  # of what is left, at a time
_REPORTED_S = 1.0
_FENCED_S = 1.5  # an emptied store gives nothing to anybody for so long (YOUNG in functions.lua)
_DENIED_S = 0.25  # before what was not there is asked for again
_HEARD_S = 2.0  # after which a limit that nobody uses here is asked for: sooner than this Hearth passes for silent
_MOST_HEARD = 20  # such limits in a call
_KEPT_S = {"day": 4 * 86_400, "month": 62 * 86_400}


class _Part(msgspec.Struct):
    """Of one limit in one period, in micro-dollars. held: by this Hearth, its spent part included.

    spent: settled, as it was last reported. others, theirs: what the other Hearths hold, and have surely spent.
    known: the store has confirmed what is held. used: settled and reserved at the last report. called_at: when it last rose.
    """

    held: int = 0
    spent: int = -1
    others: int = 0
    theirs: int = 0
    number: int = 0
    known: bool = False
    heard_at: float = 0.0
    denied_at: float = -_REPORTED_S
    used: int = -1
    called_at: float = -math.inf


def spare(left: int, usual: int, second: int, *, idle: bool) -> int:
    """Micro-dollars of a limit that a Hearth holds beyond what it has used: it spends them without asking, and the fleet
    loses them when it is killed.

    left: of the limit, held by nobody. usual: the latest call's. second: used in the last second.
    """
    return min(max(second, 0 if idle else int(_CHUNK * left), usual), int(_MOST_SHARE * left))


class BudgetLeases:
    """A `runtime.money.leases.Leases` on a store. wake: asks for a turn soon. wall: unix seconds."""

    def __init__(
        self,
        store: SharedStore,
        journal: SharedJournal,
        ledger: BudgetLedger,
        wake: Callable[[], None],
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._journal, self._ledger = store, journal, ledger
        self._clock, self._wall = clock, wall
        self.need = wake
        self._parts: dict[BudgetLine, _Part] = {}
        self._periods: set[str] = set()
        self._reported_at = -_REPORTED_S
        self._seen = ("", 0)  # the epoch of the store and the number of its outages, when all was last confirmed

    @property
    def away(self) -> bool:
        return self._store.away and not self._fenced

    @property
    def _fenced(self) -> bool:
        """True if nothing is known of the store for so long that it may have given away what is held here."""
        return self._clock() - self._store.tried_at >= _FENCED_S

    def leased(self, line: BudgetLine) -> int:
        """Micro-dollars of a line that this Hearth may have settled and reserved at most."""
        part = self._parts.get(line)
        return part.held if part is not None and not self._fenced else 0

    def ceiling(self, line: BudgetLine, limit: int) -> int:
        """Micro-dollars of a line that this Hearth could come to at most, after what the others have spent."""
        part = self._part(line)
        return part.held if self.away else limit - part.theirs

    def others(self, line: BudgetLine) -> int:
        """Micro-dollars of a line that the other Hearths hold."""
        return self._part(line).others

    def theirs(self, line: BudgetLine) -> int | None:
        """Micro-dollars of a line that the other Hearths have spent, as last heard; None where it was never asked for."""
        part = self._part(line)
        return part.theirs if part.known or part.theirs else None

    async def turn(self) -> None:
        """Brings the leases up to date where that is needed. Raises StoreAwayError."""
        now, asked, quiet = self._clock(), [], []
        seen = self._store.epoch, self._store.outages
        anew, self._seen = self._fenced or seen != self._seen, seen
        due = anew or now - self._reported_at >= _REPORTED_S
        limits = self._ledger.limited()
        if limits and (periods := {line.period for line, *_ in limits}) != self._periods:
            # What was known of days and months that are over: the journal would grow for ever.
            self._periods, others = periods, self._journal.view.others
            self._parts = {line: part for line, part in self._parts.items() if line.period in periods}
            self._journal.view.others = {name: each for name, each in others.items() if name.split("|")[0] in periods}
        for line, limit, settled, reserved, waiting in limits:
            part, used = self._part(line), settled + reserved
            part.known &= not anew
            held = max(part.held, used)
            left = max(0, limit - part.others - held)
            lately = max(0, used - part.used) if part.used >= 0 else 0
            part.called_at = now if lately or waiting else part.called_at
            kept = spare(left, self._ledger.usual, lately, idle=now - part.called_at > _IDLE_S)
            short = used + waiting + kept - held
            if line.scope.startswith(KEY) and not (used or waiting or held):
                continue  # of many keys few are used at a time
            # (1) More where it runs out; (2) back what is beyond need; (3) each second what was settled; (4) else, each two
            # seconds, what the others have spent and hold.
            if short > kept // 2 and now - part.denied_at >= (_DENIED_S if waiting else _REPORTED_S):
                most = max(int(_MOST_SHARE * left), self._ledger.usual if waiting else 0)
                asked.append((line, limit, held, used, settled, min(short, most)))
            elif due and (-short > kept // 2 or part.spent != settled or not part.known):
                back = -short if -short > kept // 2 else 0
                asked.append((line, limit, max(used, held - back), used, settled, 0))
            elif due and now - part.heard_at >= _HEARD_S:
                quiet.append((part.heard_at, (line, limit, held, used, settled, 0)))
            if due:
                part.used = used
        if due:
            self._reported_at = now
        asked += [row for _, row in sorted(quiet)[:_MOST_HEARD]]
        if asked:
            await self._ask(asked)

    async def give_back(self) -> None:
        """All that is not spent, at the end of the process. Raises StoreAwayError."""
        rows = [
            (line, limit, settled + reserved, settled + reserved, settled, 0)
            for line, limit, settled, reserved, _ in self._ledger.limited()
        ]
        if rows:
            await self._ask(rows)

    async def _ask(self, asked: Sequence[tuple[BudgetLine, int, int, int, int, int]]) -> None:
        rows: list[dict[str, Any]] = []
        for line, limit, held, used, settled, want in asked:
            part = self._part(line)
            part.number = max(part.number + 1, int(self._wall() * 1e6))
            # Nothing is spent from here on of what is given back, nor of what the store has yet to confirm.
            part.held = held if part.known else used
            known, keep = self._journal.view.others.get(_name(line), {}), _KEPT_S["day" if line.period[7:] else "month"]
            rows.append(
                {
                    "limit": limit,
                    "held": held,
                    "used": used,
                    "spent": settled,
                    "want": want,
                    "number": part.number,
                    "keep": keep,
                    "others": known,
                }
            )
        keys = (key_of("epoch"), *[key_of("budget", *line) for line, *_ in asked])
        answers = await self._store.call("budget", keys, self._store.owner, msgspec.json.encode(rows).decode())
        for (line, _, _, _, settled, want), (granted, number, others, held) in zip(asked, answers, strict=True):
            part = self._part(line)
            part.number = max(part.number, int(number))
            part.others = sum([int(entry.partition(":")[0]) for _, entry, _ in others])
            part.theirs = sum([int(spent) for _, _, spent in others])
            part.heard_at = self._clock()
            self._journal.view.others[_name(line)] = {name: entry for name, entry, _ in others}
            if granted >= 0:
                part.held, part.spent, part.known = held + granted, settled, True
            if not granted and want:
                part.denied_at = self._clock()
        self._ledger.look_again()

    def _part(self, line: BudgetLine) -> _Part:
        """Of a limit that was never asked for: what the journal knows of the others."""
        part = self._parts.get(line)
        if part is None:
            part = self._parts[line] = _Part()
            for entry in self._journal.view.others.get(_name(line), {}).values():
                held = int(entry.partition(":")[0])
                part.others, part.theirs = part.others + held, part.theirs + held
        return part


def _name(line: BudgetLine) -> str:
    return f"{line.period}|{line.scope}"
