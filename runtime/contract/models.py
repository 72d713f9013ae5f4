"""The local models beside the engine's own, as the runtime sees them: the state of each, and why it is in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ModelState(StrEnum):
    ABSENT = "absent"
    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model of the settings at one moment. Times are seconds on the monotonic clock.

    name: NAME of `local/NAME`. load: always, on_demand or manual. why: the reason of the present wait, "" where it waits for
    nothing. until: the latest end of that wait. cause: of its last failure, or why it cannot be loaded. memory: bytes it has on
    each of `gpus` (of the machine, where that is empty). waiting: requests that wait for it to be loaded.
    """

    name: str
    model: str
    state: ModelState
    since: float
    load: str
    why: str = ""
    until: float | None = None
    cause: str = ""
    gpus: tuple[int, ...] = ()
    memory: int = 0
    waiting: int = 0
    loads: int = 0
