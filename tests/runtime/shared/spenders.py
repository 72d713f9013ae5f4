"""Hearths that spend one budget on a real store: as objects in the test, and as processes that can be killed and frozen."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from runtime.money.budget import ALL, BudgetLedger, Reservation, SpendingLimits
from runtime.money.spent_file import BudgetLine, SpentFile
from runtime.shared.budgets import BudgetLeases
from runtime.shared.journal import SharedJournal
from runtime.shared.store import SharedStore, StoreAwayError, connected

LIMIT_USD = 20.0
LONG_S = 60.0


class Spender:
    """The budget of one Hearth. url: of the store. skew: seconds by which its clock is ahead of the machine's.

    within_s: for which the store has time to answer. More than a Hearth gives it: a test has a crowded machine.
    """

    def __init__(self, folder: Path, url: str, limit_usd: float = LIMIT_USD, within_s: float = 1.0) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.skew = 0.0
        self.journal = SharedJournal(folder / "shared.json")
        self.ledger = BudgetLedger(
            SpentFile(folder / "budget.sqlite3"), {ALL: SpendingLimits(limit_usd)}, "UTC", time.time
        )
        self.store = SharedStore(
            url, self.journal.view.owner, None, self.clock, lambda url, password: connected(url, password, within_s)
        )
        self.store.examine()
        self.wake = asyncio.Event()
        self.leases = self.ledger.leases = BudgetLeases(
            self.store, self.journal, self.ledger, self.wake.set, self.clock
        )
        self.task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        return time.monotonic() + self.skew

    @property
    def line(self) -> BudgetLine:
        """Of the day's limit."""
        return self.ledger.limited()[0][0]

    @property
    def used(self) -> int:
        """Settled and reserved."""
        _, _, settled, reserved, _ = self.ledger.limited()[0]
        return settled + reserved

    async def turn(self) -> None:
        """One turn of the store's chore."""
        await self.store.beat()
        await self.leases.turn()
        self.journal.write()

    async def run(self) -> None:
        """As the chore of the store does."""
        while True:
            self.wake.clear()
            try:
                await self.turn()
            except StoreAwayError:
                self.ledger.look_again()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.wake.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A chore that ends by itself is a fault, which is raised."""
        self.task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def call(self, cost: int, estimate: int, took_s: float = 0.01, within_s: float = 5.0) -> int:
        """Micro-dollars that a call really cost; 0 where it was refused."""
        async with self.ledger.reserved(estimate, (ALL, "t"), within_s) as room:
            if not isinstance(room, Reservation):
                return 0
            await asyncio.sleep(took_s)
            room.settle(cost)
            return cost

    async def spent_to_the_end(self, cost: int) -> int:
        """Micro-dollars of calls until one is refused for the second time."""
        spent, refused = 0, 0
        while refused < 2:
            paid = await self.call(cost, cost, 0.0, 0.5)
            spent, refused = spent + paid, 0 if paid else refused + 1
        return spent

    async def until_leased(self) -> None:
        deadline = time.monotonic() + LONG_S
        while not self.leases.leased(self.line):
            assert time.monotonic() < deadline, self.store.standing().words
            assert self.task is not None and not self.task.done(), self.task
            self.ledger.usual = 10_000
            await asyncio.sleep(0.02)


PROGRAM = """
import asyncio, random, sys
from pathlib import Path
from runtime.shared.store import WITHIN_S
from tests.runtime.shared.spenders import Spender

async def main(folder, url, seed, calls, limit_usd, within_s):
    made, rng, spent = Spender(Path(folder), url, limit_usd, WITHIN_S), random.Random(seed), 0
    async with made.running():
        gate = asyncio.Semaphore(334)
        async def one():
            nonlocal spent
            cost = rng.randint(2_000, 30_000)
            async with gate:
                for _ in range(20):
                    paid = await made.call(cost, int(cost * rng.uniform(1.0, 3.3)), rng.uniform(0.05, 0.3), within_s)
                    spent += paid
                    if paid or not made.store.away:
                        break
                    await asyncio.sleep(0.2)  # on a crowded machine the store may miss its 50 ms
        await made.until_leased()
        print("up", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        tasks = [asyncio.create_task(one()) for _ in range(calls)]
        while any(not each.done() for each in tasks):
            await asyncio.sleep(0.05)
            print(spent, flush=True)
        print(spent, flush=True)
        print(made.store.calls, "calls", flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *map(float, sys.argv[5:])))
"""


class SpendingProcess:
    """A Hearth's budget as a process. spent: micro-dollars, as it last reported. Its stderr is a file beside its folder.

    One that holds a lease waits for `go`: an early one would spend the whole budget before a late one had its part.
    """

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.folder, self.process, self.spent = folder, process, 0

    @classmethod
    async def started(
        cls, folder: Path, url: str, seed: int, calls: int, limit_usd: float, within_s: float
    ) -> SpendingProcess:
        """Once it holds a lease. within_s: for which each call waits for room."""
        args = (sys.executable, "-c", PROGRAM, str(folder), url, *map(str, (seed, calls, limit_usd, within_s)))
        with folder.with_suffix(".stderr").open("wb") as words:
            made = cls(
                folder,
                await asyncio.create_subprocess_exec(
                    *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
                ),
            )
        assert made.process.stdout is not None
        first = await made.process.stdout.readline()
        assert first.strip() == b"up", f"it ended before its first line, after {first!r}: {made.words()}"
        return made

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    def words(self) -> str:
        return self.folder.with_suffix(".stderr").read_text()

    async def ended(self) -> int:
        """Micro-dollars that it spent. One that failed, other than by a signal, is an error with its words."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.strip().isdigit():
                self.spent = int(line)
        code = await self.process.wait()
        assert code <= 0, self.words()
        return self.spent
