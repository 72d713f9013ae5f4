"""Everyday traffic looked at once a day, from the stored decisions: a chore beside the requests, never on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from runtime.quality.kept_file import KeptFile
from runtime.quality.signals import SignalState, SignalWarning, TrafficStream, counted, observed
from runtime.record.database import Query
from runtime.record.decisions import Decision
from runtime.record.store import Store

FILE = "signals.json"
_LOOK_S = 600.0
_PAGE = 500
_MOST = 5_000  # decisions of a day that are looked at, the latest ones
_MOST_WARNINGS = 50


class _Row(msgspec.Struct):
    target: str
    task: str
    state: SignalState


class _Kept(msgspec.Struct):
    day: str = ""
    rows: list[_Row] = []
    warnings: list[SignalWarning] = []


class SignalWatch:
    """folder: of the state. wall: unix seconds. tell: takes each new warning. warnings: the latest, newest first."""

    def __init__(
        self, store: Store, folder: Path, wall: Callable[[], float], tell: Callable[[SignalWarning], None]
    ) -> None:
        self._store, self._wall, self._tell = store, wall, tell
        self._file = KeptFile(folder / FILE, _Kept, "the history of everyday traffic")
        self._kept = _Kept()

    @property
    def warnings(self) -> tuple[SignalWarning, ...]:
        return tuple(self._kept.warnings)

    async def run(self) -> None:
        """Looks at each day once it is over, until cancelled. Days on which nothing ran are left out."""
        await self.resume()
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def resume(self) -> None:
        """Takes over what an earlier process kept."""
        self._kept = await asyncio.to_thread(self._file.read)

    async def look(self) -> None:
        """Takes yesterday in, if it was not yet."""
        yesterday = datetime.fromtimestamp(self._wall(), UTC).date() - timedelta(days=1)
        if str(yesterday) == self._kept.day:
            return
        states = {TrafficStream(row.target, row.task): row.state for row in self._kept.rows}
        news: list[SignalWarning] = []
        for stream, day in counted(await self._decisions(yesterday)).items():
            states[stream], found = observed(stream, states.get(stream, SignalState()), day)
            news += found
        rows = [_Row(*stream, state) for stream, state in states.items()]
        self._kept = _Kept(str(yesterday), rows, [*news, *self._kept.warnings][:_MOST_WARNINGS])
        await asyncio.to_thread(self._file.write, self._kept)
        for each in news:
            self._tell(each)

    async def _decisions(self, day: date) -> list[Decision]:
        since = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        found: list[Decision] = []
        while len(found) < _MOST:
            before = found[-1].id if found else None
            page = await self._store.list(Query(limit=_PAGE, before=before, since=since, until=since + 86_400.0))
            found += page
            if len(page) < _PAGE:
                break
        return found
