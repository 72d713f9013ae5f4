"""`/hearth/cost` and `/hearth/summary`: money and reliability from the hourly sums."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec

from runtime.record.cost_report import GROUPINGS, CostReport, cost_report, days_of
from runtime.record.store import Store
from runtime.record.summary import summary
from runtime.server.asgi import ClientRequest, Page, Pairs
from runtime.trust.key_store import KeyStore
from runtime.wire.api_error import ApiError

COST, SUMMARY = "/hearth/cost", "/hearth/summary"
_T = TypeVar("_T")
_WINDOW = re.compile(r"(\d{1,5})([hd])")
_HOURS = {"h": 1, "d": 24}
_MOST_HOURS = 400 * 24
_FLUSH_S = 1.0


class CostPages:
    """The sums are read in a thread, once what was settled up to now is written. keys: whose names rows by key have.

    beside: sentences on what other Hearths have spent of the same budget.
    """

    def __init__(
        self,
        store: Store,
        keys: KeyStore,
        clock: Callable[[], float],
        beside: Callable[[], tuple[str, ...]] = lambda: (),
    ) -> None:
        self._store, self._keys, self._clock, self._beside = store, keys, clock, beside

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", COST): self.cost, ("GET", SUMMARY): self.summary}

    async def cost(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 400 for a parameter that is unknown or out of bounds."""
        asked = _asked(request, {"by", "from", "to", "days"})
        by = asked.get("by", "target")
        if by not in GROUPINGS:
            raise ApiError(400, f"by must be one of {', '.join(GROUPINGS)}", "invalid_parameter", "by")
        days = asked.get("days")
        if days is not None and not (days.isascii() and days.isdigit() and len(days) < 6):
            raise ApiError(400, "days must be a number from 1 to 10000", "invalid_parameter", "days")
        tally = self._store.tally
        today = datetime.fromtimestamp(self._clock(), tally.zone).date()
        try:
            window = days_of(asked.get("from"), asked.get("to"), int(days) if days else None, today)
        except ValueError as wrong:
            raise ApiError(400, str(wrong), "invalid_parameter", "days" if days else "from") from wrong

        def report() -> CostReport:
            names = {key.id: key.terms.name for key in self._keys.list()} if by == "key" else {}
            return cost_report(self._store.path, by, window, tally, names)

        made = await self._read(report)
        await request.answer_json(200, msgspec.structs.replace(made, notes=(*made.notes, *self._beside())), extra)

    async def summary(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError 400 for a parameter that is unknown or out of bounds."""
        text = _asked(request, {"window"}).get("window", "24h")
        found = _WINDOW.fullmatch(text)
        hours = int(found[1]) * _HOURS[found[2]] if found else 0
        if not 1 <= hours <= _MOST_HOURS:
            raise ApiError(400, "window must be hours or days, from 1h to 400d", "invalid_parameter", "window")
        tally, now = self._store.tally, self._clock()
        reading = partial(summary, self._store.path, hours * 3600, now, tally)
        await request.answer_json(200, await self._read(reading), extra)

    async def _read(self, work: Callable[[], _T]) -> _T:
        """Raises ApiError 503 where the file cannot be read."""

        def after_the_writer() -> _T:
            self._store.flush(_FLUSH_S)
            return work()

        try:
            return await asyncio.to_thread(after_the_writer)
        except (sqlite3.Error, OSError) as fault:
            raise ApiError(
                503, f"the sums of the decisions cannot be read: {fault}", "unavailable", None, 5.0
            ) from fault


def _asked(request: ClientRequest, known: set[str]) -> Mapping[str, str]:
    """The query's parameters. Raises ApiError 400 for one that is not known."""
    asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
    if unknown := set(asked) - known:
        raise ApiError(400, f"unknown parameter {min(unknown)!r}", "invalid_parameter", min(unknown))
    return asked
