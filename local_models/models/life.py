"""The life of one local model as a table: (state, event) -> next state and actions. Pure; knows no engine, memory or clock.

    absent ──LoadModel──> fetching ──StartModel──> loading ──ModelServes──> ready ──UnloadModel──> draining
      ^                      │                       │  ^                    │                        │
      │            FetchFailed, WaitOver             │  └─────ModelFell──────┤              ModelIdle, WaitOver
      │                      v             ModelFell, WaitOver           ModelFell                    │
      │                   failed                     v                       v                        v
      └────────ModelGone─────^──────────────────────────────── stopping <─────────────────────────────┘

A model has memory (`held`) from `loading` until its processes are gone, whatever happens between. Every wait has a latest
end (`until`) and a reason (`why`): the owner sends `WaitOver` then. An ending that outlives its time leaves the model
`failed` with its memory still counted, until `ModelGone` comes after all. Events of an earlier load are ignored; an event
that cannot happen in a state raises `IllegalModelEventError`: the owner has a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from runtime.contract.models import ModelState

MACHINE = -1  # in place of a GPU: the memory of a box without any
_GIB = 1 << 30
_ABSENT = ModelState.ABSENT
_FETCHING = ModelState.FETCHING
_LOADING = ModelState.LOADING
_READY = ModelState.READY
_DRAINING = ModelState.DRAINING
_STOPPING = ModelState.STOPPING
_FAILED = ModelState.FAILED


class IllegalModelEventError(Exception):
    """The owner sent an event that the state does not allow."""


@dataclass(frozen=True, slots=True)
class ModelTimes:
    """The longest each wait may take, in seconds, and the delay before a failed model is tried again.

    room: for others to make room. give_up_after: failures in a row, then only a command loads it. healthy_after: so long in
    `ready`, earlier failures are forgotten.
    """

    fetch: float = 6 * 3600.0
    room: float = 900.0
    load: float = 1860.0
    drain: float = 30.0
    stop: float = 60.0
    backoff_first: float = 10.0
    backoff_most: float = 300.0
    give_up_after: int = 10
    healthy_after: float = 60.0


@dataclass(frozen=True, slots=True)
class GpuPlace:
    """Memory for one model: so many bytes on each of these GPUs, or of the `MACHINE`, where there is none."""

    gpus: tuple[int, ...]
    each: int

    @property
    def indices(self) -> tuple[int, ...]:
        """Of its GPUs."""
        return tuple(gpu for gpu in self.gpus if gpu != MACHINE)

    @property
    def words(self) -> str:
        where = ", ".join(map(str, self.indices))
        return f"{self.each / _GIB:.1f} GiB of " + (f"GPU {where}" if where else "this machine")


# Events. load: the number of the load they belong to.


@dataclass(frozen=True, slots=True)
class LoadModel:
    """It shall be loaded: its files first."""


@dataclass(frozen=True, slots=True)
class ModelFetched:
    """Its files are here."""

    load: int


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """Its files cannot be had. final: another try would fail again."""

    load: int
    cause: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class StartModel:
    """There is room for it."""

    place: GpuPlace


@dataclass(frozen=True, slots=True)
class ModelServes:
    """Its engine is ready."""

    load: int


@dataclass(frozen=True, slots=True)
class ModelFell:
    """Its engine failed. final: it does not start again by itself."""

    load: int
    cause: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class UnloadModel:
    """It shall go. why: for people."""

    why: str


@dataclass(frozen=True, slots=True)
class ModelIdle:
    """Its last request is answered."""

    load: int


@dataclass(frozen=True, slots=True)
class ModelGone:
    """Its processes are gone, and its memory is free."""

    load: int


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The present wait has reached its latest end."""

    load: int


ModelEvent = (
    LoadModel
    | ModelFetched
    | FetchFailed
    | StartModel
    | ModelServes
    | ModelFell
    | UnloadModel
    | ModelIdle
    | ModelGone
    | WaitOver
)


# Actions.


@dataclass(frozen=True, slots=True)
class FetchWeights:
    """Report ModelFetched or FetchFailed."""

    load: int


@dataclass(frozen=True, slots=True)
class CancelFetch:
    load: int


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Report ModelServes, and each ModelFell."""

    load: int
    place: GpuPlace


@dataclass(frozen=True, slots=True)
class DrainEngine:
    """No new requests; report ModelIdle when the last open one has ended."""

    load: int


@dataclass(frozen=True, slots=True)
class StopEngine:
    """Report ModelGone."""

    load: int


ModelAction = FetchWeights | CancelFetch | StartEngine | DrainEngine | StopEngine


@dataclass(frozen=True, slots=True)
class ModelLife:
    """The state of one model. Times in seconds on the owner's clock.

    load: number of the current or last load, from 1. fetched: its files are here and it waits for room. held: its memory.
    then: the state after `ModelGone`, while stopping. cause: of the last failure. failures: in a row.
    retry_at: when a failed model may be tried again; None: by command only.
    """

    state: ModelState = _ABSENT
    since: float = 0.0
    load: int = 0
    why: str = ""
    until: float | None = None
    fetched: bool = False
    held: GpuPlace | None = None
    then: ModelState = _ABSENT
    cause: str = ""
    failures: int = 0
    final: bool = False
    retry_at: float | None = None


ModelStep = tuple[ModelLife, tuple[ModelAction, ...]]


def step(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    """The next state and the actions. Events of an earlier load are ignored. Raises IllegalModelEventError, also for an event
    of a load that never began.
    """
    if not isinstance(event, LoadModel | StartModel | UnloadModel) and event.load != life.load:
        if event.load > life.load:
            raise IllegalModelEventError(f"{type(event).__name__} of load {event.load}, and the last is {life.load}")
        return life, ()
    rule = _TABLE.get((life.state, type(event)))
    if rule is None:
        raise IllegalModelEventError(f"{type(event).__name__} while {life.state}")
    return rule(life, event, now, times)


def _resting(life: ModelLife, state: ModelState, now: float, times: ModelTimes) -> ModelLife:
    """A state that waits for nothing. After a failure: when it may be tried again."""
    life = replace(life, state=state, since=now, why="", until=None, fetched=False, retry_at=None)
    if state is not _FAILED:
        return life
    failures = life.failures + 1
    wait = min(times.backoff_first * 2.0 ** min(failures - 1, 32), times.backoff_most)
    last = life.final or failures >= times.give_up_after
    return replace(life, failures=failures, retry_at=None if last else now + wait)


def _load(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    if life.held is not None:
        raise IllegalModelEventError("LoadModel while processes of an earlier load hold memory")
    load = life.load + 1
    life = replace(life, state=_FETCHING, since=now, load=load, why="its files are fetched", until=now + times.fetch)
    return replace(life, fetched=False, final=False, cause="", retry_at=None), (FetchWeights(load),)


def _fetched(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return replace(life, fetched=True, why="it waits for room", until=now + times.room), ()


def _unfetched(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    assert isinstance(event, FetchFailed)
    return _resting(replace(life, cause=event.cause, final=event.final), _FAILED, now, times), ()


def _fetch_over(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    cause = f"{life.why}, and that took more than {now - life.since:.0f} s"
    return _resting(replace(life, cause=cause), _FAILED, now, times), (CancelFetch(life.load),)


def _unwanted(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return _resting(life, _ABSENT, now, times), (CancelFetch(life.load),)


def _start(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    assert isinstance(event, StartModel)
    if not life.fetched:
        raise IllegalModelEventError("StartModel before its files are here")
    life = replace(life, state=_LOADING, since=now, held=event.place, why="its engine starts", until=now + times.load)
    return life, (StartEngine(life.load, event.place),)


def _serves(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return replace(life, state=_READY, since=now, why="", until=None), ()


def _stop(life: ModelLife, now: float, times: ModelTimes, then: ModelState) -> ModelStep:
    why = "its processes end"
    return replace(life, state=_STOPPING, since=now, then=then, why=why, until=now + times.stop), (
        StopEngine(life.load),
    )


def _fell(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    """Its engine starts again by itself, with its memory, or is given up."""
    assert isinstance(event, ModelFell)
    if life.state is _READY and now - life.since >= times.healthy_after:
        life = replace(life, failures=0)
    life = replace(life, cause=event.cause)
    if event.final:
        return _stop(replace(life, final=True), now, times, _FAILED)
    if life.state is _LOADING:
        return life, ()
    why = f"its engine starts again: {event.cause}"
    return replace(life, state=_LOADING, since=now, why=why, until=now + times.load), ()


def _load_over(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    last = f"; its last failure: {life.cause}" if life.cause else ""
    cause = f"it was not ready within {now - life.since:.0f} s{last}"
    return _stop(replace(life, cause=cause), now, times, _FAILED)


def _abandon(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return _stop(life, now, times, _ABSENT)


def _drain(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    assert isinstance(event, UnloadModel)
    why = f"its running requests end: {event.why}"
    return replace(life, state=_DRAINING, since=now, why=why, until=now + times.drain), (DrainEngine(life.load),)


def _gone(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return _resting(replace(life, held=None), life.then, now, times), ()


def _stop_over(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    cause = f"its processes did not end within {times.stop:g} s: they may hold memory"
    return _resting(replace(life, cause=cause), _FAILED, now, times), ()


def _gone_late(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return replace(life, held=None), ()


def _forget(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return _resting(replace(life, failures=0, final=False), _ABSENT, now, times), ()


def _nothing(life: ModelLife, event: ModelEvent, now: float, times: ModelTimes) -> ModelStep:
    return life, ()


ModelRule = Callable[[ModelLife, ModelEvent, float, ModelTimes], ModelStep]

_TABLE: dict[tuple[ModelState, type[object]], ModelRule] = {
    (_ABSENT, LoadModel): _load,
    (_FETCHING, ModelFetched): _fetched,
    (_FETCHING, FetchFailed): _unfetched,
    (_FETCHING, WaitOver): _fetch_over,
    (_FETCHING, UnloadModel): _unwanted,
    (_FETCHING, StartModel): _start,
    (_LOADING, ModelServes): _serves,
    (_LOADING, ModelFell): _fell,
    (_LOADING, WaitOver): _load_over,
    (_LOADING, UnloadModel): _abandon,
    (_READY, ModelServes): _nothing,
    (_READY, ModelFell): _fell,
    (_READY, UnloadModel): _drain,
    (_DRAINING, ModelServes): _nothing,
    (_DRAINING, ModelFell): _abandon,
    (_DRAINING, ModelIdle): _abandon,
    (_DRAINING, WaitOver): _abandon,
    (_STOPPING, ModelServes): _nothing,
    (_STOPPING, ModelFell): _nothing,
    (_STOPPING, ModelIdle): _nothing,
    (_STOPPING, ModelGone): _gone,
    (_STOPPING, WaitOver): _stop_over,
    (_FAILED, LoadModel): _load,
    (_FAILED, UnloadModel): _forget,
    (_FAILED, ModelGone): _gone_late,
}
# Reports that were already queued when the load ended.
for _rest in (_ABSENT, _FAILED):
    for _late in (ModelFetched, FetchFailed, ModelServes, ModelFell, ModelIdle):
        _TABLE[_rest, _late] = _nothing
