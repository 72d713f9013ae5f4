"""The local models beside the engine's own, as the runtime sees them: the state of each, and why it is in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class ModelState(StrEnum):
    ABSENT = "absent"
    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelWish:
    """One [models.NAME] of the settings. gpus: None where any will do. share: of one GPU's memory. ttl: seconds."""

    name: str
    model: str
    gpus: tuple[int, ...] | None = None
    share: float = 0.3
    load: Literal["always", "on_demand", "manual"] = "always"
    ttl: float = 600.0


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model of the settings at one moment. Times are seconds on the monotonic clock.

    name: NAME of `local/NAME`. load: always, on_demand or manual. why: the reason of the present wait, "" where it waits for
    nothing. until: the latest end of that wait. cause: of its last failure, or why it cannot be loaded. memory: bytes it has on
    each of `gpus` (of the machine, where that is empty). waiting: requests that wait for it to be loaded.
    ready_in_s: estimate, of measured starts, of the time until it answers. successor: the model that took its place in a swap.
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
    ready_in_s: float | None = None
    successor: str = ""


class UnknownModelNameError(LookupError):
    """No [models.NAME] has this name."""


ModelVerb = Literal["load", "unload", "swap"]


@dataclass(frozen=True, slots=True)
class ModelCommand:
    """words: the course of a command. refusal: why it cannot be obeyed, "" if it can; nothing has been stopped then."""

    words: str
    refusal: str = ""


class LocalModels(Protocol):
    """The owner of every local model beside the engine's own. Raises UnknownModelNameError."""

    def command(self, verb: ModelVerb, name: str, to: str = "", *, dry: bool = False) -> ModelCommand:
        """to: the model that takes the place, of a swap. dry: nothing is done."""
        ...

    def wanted(self, name: str) -> AbstractContextManager[None]:
        """While a request waits for a model."""
        ...

    def missed(self, name: str) -> None:
        """A request that a model would have got, had it been loaded, is answered elsewhere."""
        ...

    def used(self, name: str) -> None:
        """A request begins on a model."""
        ...

    def refusal(self, name: str) -> str:
        """Why waiting for a model is useless; "" where it is ready, or will be."""
        ...

    async def changed(self) -> None:
        """Returns after the next change of any model."""
        ...

    def view(self, name: str) -> ModelView: ...

    def views(self) -> Sequence[ModelView]: ...
