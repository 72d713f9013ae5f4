"""A quality loop over a box in memory, on a clock that a test sets: nights pass as fast as their answers come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from runtime.quality.drift.watch import DriftWatch
from runtime.quality.runs.asking import Asker
from runtime.quality.runs.loop import Pace, QualityLoop
from runtime.quality.runs.runner import AT_A_TIME, Runner
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.values import QualityEvent
from runtime.settings import Quality
from tests.fakes.box import CHAT, Box, asked
from tests.fakes.grading import DirectGrader
from tests.fakes.upstream import FakeBackend

NIGHT = 1_795_919_400.0  # 2026-11-29 02:30 UTC
DAY = 86_400.0
_TOTAL_S = 900.0  # of a request: no wait of another one may end it
HOURS = 3  # of a night: its run, and two further ones if they are wanted


class Nights:
    """folder: of the state, with `golden` in it. number: of the night. demoted: labels, by night.

    ahead: seconds by which breakers and deadlines are ahead of the machine's clock: for them too a night is a day, and a wait
    as long as it says. timed: answers take real time, and the machine's clock alone counts: a wait beside them
    would make the engine seem slow.
    """

    def __init__(self, folder: Path, local: FakeBackend, clouds: Sequence[FakeBackend], *, timed: bool = False) -> None:
        self.number, self.now, self.ahead, self._timed = 0, NIGHT, 0.0, timed
        clock = time.monotonic if timed else lambda: time.monotonic() + self.ahead
        self.box = Box(local, clouds, wall=lambda: self.now, clock=clock, total_s=_TOTAL_S)
        self.store = QualityStore(folder)
        self.wallet = Wallet(folder, lambda: [each.target for each in clouds], lambda: self.now)
        self.wallet.limit(1000.0, "UTC")
        self.events: list[QualityEvent] = []
        self.watch = DriftWatch(self.box.fleet, Quality(), self.seen)
        asker = Asker(self.box.desk, CHAT, DirectGrader())
        runner = Runner(self.box.desk, self.store, asker, self.wallet, sleep=self.slept)
        self.loop = QualityLoop(
            self.box.desk, self.store, runner, Quality(), folder, self.watch, Pace(0.01, 1e9, 0, 3600, 0)
        )
        self.demoted: dict[int, set[str]] = {}

    async def seen(self, event: QualityEvent) -> None:
        self.events.append(event)

    async def slept(self, seconds: float) -> None:
        self.now += seconds / 1000
        self.ahead += seconds / AT_A_TIME  # they wait side by side
        await asyncio.sleep(0.05 if self._timed else 0)

    async def nights(self, last: int, first: int = 0, hours: int = HOURS) -> None:
        """Nights from `first` to before `last`, some hours of each."""
        for number in range(first, last):
            self.number = number
            for hour in range(hours):
                self.ahead = number * DAY + hour * 4000
                self.now = NIGHT + self.ahead + 60
                await self.loop.turn()
                await self.loop.settled()
            self.demoted[number] = {gone.target for gone in self.watch.demoted}

    async def traffic(self, text: str) -> tuple[str, str, str]:
        """Target, reason and degraded of a client's request."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
        answer = await asked(self.box.app(), "/v1/chat/completions", body)
        assert answer.status == 200, answer.body
        return tuple(answer.headers.get(f"x-hearth-{name}", "") for name in ("target", "reason", "degraded"))  # type: ignore[return-value]

    def close(self) -> None:
        self.store.close()
        self.wallet.close()
