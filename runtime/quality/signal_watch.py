"""Everyday traffic looked at once a day, from the stored decisions: a chore beside the requests, never on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from runtime.quality.kept_file import KeptFile
from runtime.quality.recorded import recorded
from runtime.quality.signals import SignalState, SignalWarning, TrafficStream, counted, observed
from runtime.record.store import Store

FILE = "signals.json"
_LOOK_S = 600.0
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
        since = datetime(yesterday.year, yesterday.month, yesterday.day, tzinfo=UTC).timestamp()
        states = {TrafficStream(row.target, row.task): row.state for row in self._kept.rows}
        news: list[SignalWarning] = []
        for stream, day in counted(await recorded(self._store, since, since + 86_400.0)).items():
            states[stream], found = observed(stream, states.get(stream, SignalState()), day)
            news += found
        rows = [_Row(*stream, state) for stream, state in states.items()]
        self._kept = _Kept(str(yesterday), rows, [*news, *self._kept.warnings][:_MOST_WARNINGS])
        await asyncio.to_thread(self._file.write, self._kept)
        for each in news:
            self._tell(each)
