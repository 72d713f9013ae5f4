"""Background tasks with a name: restarted with back-off when they fail, listed in the status, ended together.

    running      it runs
    waiting      it failed and is started again after a pause
    done         it ended by itself, as one that is started with `once` may
    failed       it was vital and failed: `fatal` was called, and the process ends on purpose

A plain `create_task` loses its exception until somebody asks for it; every background task of the process is therefore
started here. The clock and the sleep come in as arguments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, get_args

import msgspec

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_HEALTHY_AFTER_S = 60.0  # a run this long forgives the failures before it
_log = logging.getLogger("hearth.chores")

ChoreState = Literal["running", "waiting", "done", "failed"]
CHORE_STATES: tuple[ChoreState, ...] = get_args(ChoreState)
Work = Callable[[], Awaitable[None]]


class ChoreView(msgspec.Struct, frozen=True):
    """One chore at one moment. restarts: since the process began. trouble: its last failure in words, None without one."""

    name: str
    state: ChoreState
    restarts: int = 0
    trouble: str | None = None


class _Chore:
    __slots__ = ("name", "restarts", "state", "task", "trouble")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: ChoreState = "running"
        self.restarts = 0
        self.trouble: str | None = None
        self.task: asyncio.Task[None] | None = None


class Chores:
    """fatal: called with a sentence when a vital chore fails; it is expected to end the process."""

    def __init__(
        self,
        fatal: Callable[[str], None],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._fatal = fatal
        self._clock = clock
        self._sleep = sleep
        self._chores: dict[str, _Chore] = {}

    def start(self, name: str, work: Work, *, once: bool = False, vital: bool = False) -> asyncio.Task[None]:
        """Runs `work` under a name until `stop`. A chore of the same name must have ended before.

        once: it may end by itself; otherwise its end is a failure too. vital: its failure is not repaired by another try,
        so that `fatal` is called instead.
        """
        known = self._chores.get(name)
        if known is not None and known.task is not None and not known.task.done():
            raise ValueError(f"the chore {name!r} is running already")
        chore = self._chores[name] = _Chore(name)
        chore.task = asyncio.create_task(self._keep(chore, work, once=once, vital=vital), name=f"hearth: {name}")
        return chore.task

    def views(self) -> tuple[ChoreView, ...]:
        """Every chore, in the order of their first start."""
        return tuple([ChoreView(each.name, each.state, each.restarts, each.trouble) for each in self._chores.values()])

    async def stop(self, *names: str) -> None:
        """Cancels the named chores, or all, and waits for their end."""
        tasks = [
            each.task for each in self._chores.values() if each.task is not None and (each.name in names or not names)
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, chore: _Chore, work: Work, *, once: bool, vital: bool) -> None:
        failures = 0
        while True:
            began = self._clock()
            chore.state = "running"
            try:
                await work()
                if once:
                    chore.state, chore.trouble = "done", None
                    return
                chore.trouble = "it ended, and is meant to run as long as the process"
            except Exception as error:  # noqa: BLE001 - whatever a chore raises, it must be seen and started again
                chore.trouble = f"{type(error).__name__}: {error}"[:500]
                _log.exception("the background task %r failed", chore.name)
            if vital:
                chore.state = "failed"
                self._fatal(f"{chore.name} failed: {chore.trouble}")
                return
            failures = 1 if self._clock() - began >= _HEALTHY_AFTER_S else failures + 1
            chore.state = "waiting"
            await self._sleep(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)))
            chore.restarts += 1
