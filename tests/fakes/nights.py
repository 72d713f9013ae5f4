"""A quality loop over a box in memory, on a clock that a test sets: nights pass as fast as their answers come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtime.quality.drift.watch import DriftWatch
from runtime.quality.runs.asking import Asker
from runtime.quality.runs.loop import Pace, QualityLoop
from runtime.quality.runs.runner import Runner
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.values import QualityEvent
from runtime.settings import Quality
from tests.fakes.box import CHAT, Box, asked
from tests.fakes.grading import DirectGrader
from tests.fakes.upstream import FakeBackend

NIGHT = 1_795_919_400.0  # 2026-11-29 02:30 UTC
DAY = 86_400.0
HOURS = 3  # of a night: its run, and two further ones if they are wanted


class Nights:
    """folder: of the state, with `golden` in it. number: of the night. demoted: labels, by night."""

    def __init__(self, folder: Path, local: FakeBackend, clouds: Sequence[FakeBackend], total_s: float = 5.0) -> None:
        self.number, self.now = 0, NIGHT
        self.box = Box(local, clouds, wall=lambda: self.now, total_s=total_s)
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

    async def nights(self, last: int, first: int = 0, hours: int = HOURS) -> None:
        """Nights from `first` to before `last`, some hours of each."""
        for number in range(first, last):
            self.number = number
            for hour in range(hours):
                self.now = NIGHT + number * DAY + 60 + hour * 4000
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
