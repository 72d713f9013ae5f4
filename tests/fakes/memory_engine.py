"""An engine of one model in memory that is launched and brought to rest as a `LocalEngine` is. It says its own name twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from runtime.contract.engine import ReplicaState, ReplicaView
from tests.fakes.engine import FakeEngine
from tests.fakes.upstream import QUICK, FakeLane, ScriptedHop, ScriptedReply, Turn, engine_backend, told

_LOAD_TURNS = 20  # of the event loop


class MemoryEngine(FakeEngine):
    """starts: how often it was launched. fails: the cause why it does not start, "" while it does."""

    start_s = 1.0

    def __init__(self, name: str) -> None:
        made = engine_backend((), timeouts=QUICK)
        self.lane = FakeLane(f"models.{name}", ScriptedHop(Turn(told(name * 2))), f"id-of-{name}", ready=False)
        made.lanes = [self.lane]
        made.target = replace(made.target, model=name)
        super().__init__(made)
        self.begun, self.starts, self.fails = False, 0, ""
        self.down = ReplicaState.STOPPED
        self._launch: asyncio.Task[None] | None = None

    def begin(self, notice: Callable[[str], None]) -> None:
        self.begun = True

    async def fetch(self, notice: Callable[[str], None]) -> None:
        await asyncio.sleep(0)

    def launch(self, gpus: tuple[int, ...] = ()) -> None:
        assert self._launch is None, "a second launch"
        self.starts += 1
        self.down, self.cause = ReplicaState.STARTING, None
        self._launch = asyncio.create_task(self._come(), name=f"{self.lane.name} launch")

    async def _come(self) -> None:
        for _ in range(_LOAD_TURNS):
            await asyncio.sleep(0)
        self.lane.ready, self.cause = not self.fails, self.fails or None
        self.down = ReplicaState.GIVEN_UP if self.fails else self.down
        self.change()

    async def drain(self, deadline_s: float) -> None:
        self.lane.ready = False
        while any(not reply.closed for reply in self._replies):
            await asyncio.sleep(0)

    async def rest(self) -> None:
        if self._launch is not None:
            self._launch.cancel()
        self._launch, self.lane.ready, self.down = None, False, ReplicaState.STOPPED
        self.change()

    @property
    def _replies(self) -> list[ScriptedReply]:
        return self.lane.hop.replies

    def views(self) -> tuple[ReplicaView, ...]:
        (view,) = super().views()
        return (replace(view, run=self.starts, in_flight=sum(not reply.closed for reply in self._replies)),)
