"""An engine in memory: views of the lanes of a fake backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.contract.backend import Lane
from runtime.contract.engine import Gpu, ReplicaState, ReplicaView
from runtime.contract.targets import Capabilities
from tests.fakes.upstream import FakeBackend


class FakeEngine:
    def __init__(self, backend: FakeBackend, cause: str | None = None) -> None:
        self._backend = backend
        self.cause = cause
        self.ready_at: float | None = None
        self.down = ReplicaState.STARTING

    @property
    def model(self) -> str:
        return self._backend.target.model

    @property
    def revision(self) -> int:
        return 0

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
                cause=self.cause,
                ready_at=None if lane.ready else self.ready_at,
            )
            for lane in self._backend.lanes
        )

    def gpus(self) -> tuple[Gpu, ...]:
        return ()

    def log_tail(self, lines: int) -> tuple[str, ...]:
        return ()

    async def start(self, notice: Callable[[str], None]) -> None: ...

    async def wait_ready(self, timeout_s: float) -> bool:
        return any(lane.ready for lane in self._backend.lanes)

    async def drain(self, deadline_s: float) -> None: ...

    async def stop(self) -> None: ...
