"""An engine in memory: views of the lanes of a fake backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from runtime.contract.backend import Lane
from runtime.contract.engine import STOP_WITHIN_S, Gpu, ReplicaState, ReplicaView
from runtime.contract.targets import Capabilities
from tests.fakes.upstream import FakeBackend


class FakeEngine:
    def __init__(self, backend: FakeBackend, cause: str | None = None) -> None:
        self._backend = backend
        self.cause = cause
        self.ready_at: float | None = None
        self.down = ReplicaState.STARTING
        self.runs: dict[str, int] = {}  # by lane name; 1 where a test sets none
        self.stopped = False
        self.exchanging = ""
        self.others: dict[str, str | None] = {}
        self.lines: list[str] = []
        self._revision = 0
        self._change = asyncio.Event()

    def change(self) -> None:
        """Wakes everybody who waits for a change."""
        self._revision += 1
        self._change.set()
        self._change = asyncio.Event()

    @property
    def model(self) -> str:
        return self._backend.target.model

    @property
    def served(self) -> Mapping[str, str | None]:
        return self.others

    @property
    def revision(self) -> int:
        return self._revision

    async def changed(self, since: int) -> int:
        while self._revision == since:
            await self._change.wait()
        return self._revision

    @property
    def capabilities(self) -> Capabilities:
        return self._backend.target.capabilities

    @property
    def on_box(self) -> bool:
        return True

    @property
    def lanes(self) -> Sequence[Lane]:
        return self._backend.lanes

    def views(self) -> tuple[ReplicaView, ...]:
        return tuple(
            ReplicaView(
                lane.name,
                ReplicaState.READY if lane.ready else self.down,
                0.0,
                self.runs.get(lane.name, 1),
                cause=self.cause,
                ready_at=None if lane.ready else self.ready_at,
                last_byte_at=lane.hop.last_byte_at,
            )
            for lane in self._backend.lanes
        )

    def gpus(self) -> tuple[Gpu, ...]:
        return ()

    def log_tail(self, lines: int) -> tuple[str, ...]:
        return tuple(self.lines[-lines:])

    def log_after(self, marks: Sequence[int], most: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
        new = len(self.lines) - marks[0] if marks else 0
        return (len(self.lines),), tuple(self.lines[max(0, len(self.lines) - min(new, most)) :]) if new else ()

    async def start(self, notice: Callable[[str], None]) -> None: ...

    async def wait_ready(self, timeout_s: float) -> bool:
        return any(lane.ready for lane in self._backend.lanes)

    async def drain(self, deadline_s: float) -> None: ...

    async def stop(self, within_s: float = STOP_WITHIN_S, *, hurry: asyncio.Event | None = None) -> None:
        self.stopped = True
