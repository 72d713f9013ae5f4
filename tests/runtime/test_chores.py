"""Background tasks: restarted, named, seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from runtime.chores import Chores, ChoreView
from tests.fakes.clock import FakeClock


class Pauses:
    """A sleep that is over when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._over = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.reached.set()
        await self._over.wait()
        self._over.clear()

    async def end(self) -> None:
        """Ends the pause that is waited in."""
        await self.reached.wait()
        self.reached.clear()
        self._over.set()


def chores(fatal: Callable[[str], None] = print, sleep: Pauses | None = None) -> Chores:
    return Chores(fatal, clock=FakeClock(), sleep=sleep or Pauses())


async def test_a_failed_chore_is_started_again_after_growing_pauses() -> None:
    """Each failure in a row doubles the pause, and the status names the last one."""
    pauses, runs = Pauses(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        raise OSError("the disk is gone")

    kept = chores(sleep=pauses)
    kept.start("listen", work)
    for _ in range(3):
        await pauses.end()
    await pauses.reached.wait()
    assert runs == 4
    assert pauses.asked == [1.0, 2.0, 4.0, 8.0]
    assert kept.views() == (ChoreView("listen", "waiting", 3, "OSError: the disk is gone"),)
    await kept.stop()


async def test_a_chore_that_ends_although_it_should_not_is_started_again() -> None:
    """A loop that returns is as dead as one that raised."""
    pauses, runs = Pauses(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    kept = chores(sleep=pauses)
    kept.start("watch", work)
    await pauses.end()
    await pauses.reached.wait()
    assert runs == 2
    assert kept.views()[0].trouble == "it ended, and is meant to run as long as the process"
    await kept.stop()


async def test_one_that_may_end_is_done() -> None:
    """`once` ends without another start."""

    async def work() -> None: ...

    kept = chores()
    await kept.start("first answer", work, once=True)
    assert kept.views() == (ChoreView("first answer", "done"),)


async def test_a_vital_chore_ends_the_process_on_purpose() -> None:
    """Its failure is handed to `fatal` in words, once."""
    ends: list[str] = []

    async def work() -> None:
        raise RuntimeError("no loop")

    kept = chores(ends.append)
    await kept.start("server", work, vital=True)
    assert ends == ["server failed: RuntimeError: no loop"]
    assert kept.views()[0].state == "failed"


async def test_stopping_waits_for_every_end() -> None:
    """A chore's own clean-up has run when `stop` returns."""
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    kept = chores()
    task = kept.start("listen", work)
    await asyncio.sleep(0)
    await kept.stop("listen")
    assert cleaned
    assert task.cancelled()


async def test_a_name_stands_for_one_task() -> None:
    """A second chore of a name that runs is a mistake of the program."""

    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    kept = chores()
    task = kept.start("listen", work)
    with pytest.raises(ValueError, match="running already"):
        kept.start("listen", work)
    await kept.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    again = kept.start("listen", work)
    await kept.stop()
    assert again.done()
