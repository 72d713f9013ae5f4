"""The life of one replica as a table: (state, event) -> next state and actions. Pure; knows no process, socket or clock.

    stopped ──StartReplica──> starting ──RunReady──> ready ──DrainReplica──> draining
       ^                        │  ^                   │                        │
       │                 RunFailed │               RunFailed         StopReplica, RunFailed
       │                        v  RetryDue            v                        v
       └───────RunGone─────── stopping ──RunGone──> backing_off              stopping
                                 └────RunGone──> given_up

`stopping` is every ending, asked for or not: nothing starts again before the old processes, their socket and their
memory are gone (`RunGone`). The state after that is decided when the ending begins and kept in `then`. An event of an
earlier run (`run`) is ignored; an event that cannot happen in a state raises `IllegalTransitionError`: the supervisor has
a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from runtime.contract.engine import ReplicaState

_STOPPED = ReplicaState.STOPPED
_STARTING = ReplicaState.STARTING
_READY = ReplicaState.READY
_DRAINING = ReplicaState.DRAINING
_STOPPING = ReplicaState.STOPPING
_BACKING_OFF = ReplicaState.BACKING_OFF
_GIVEN_UP = ReplicaState.GIVEN_UP


class IllegalTransitionError(Exception):
    """The supervisor sent an event that the state does not allow."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a failed replica is started again. Seconds, except `give_up_after`: failures in a row; None never gives up.

    healthy_after: after this long in `ready`, earlier failures are forgotten.
    grace: between SIGTERM and SIGKILL when a caller asked for the end.
    """

    backoff_first: float = 10.0
    backoff_most: float = 300.0
    healthy_after: float = 60.0
    give_up_after: int | None = 10
    grace: float = 10.0


# Events.


@dataclass(frozen=True, slots=True)
class StartReplica:
    """A caller asks for the replica."""


@dataclass(frozen=True, slots=True)
class DrainReplica:
    """No new requests come; open ones may finish."""


@dataclass(frozen=True, slots=True)
class StopReplica:
    """A caller asks for its end."""


@dataclass(frozen=True, slots=True)
class RunReady:
    """The engine answered a real completion."""

    run: int


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run died, hangs, or did not become ready. An exit nobody asked for is a failure, also with code 0.

    cause: for people, and what to do.
    deterministic: the same start would fail again; ignored if the replica has been ready before.
    """

    run: int
    cause: str
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class RunGone:
    """Processes, socket and GPU memory of the run are released."""

    run: int


@dataclass(frozen=True, slots=True)
class RetryDue:
    run: int


Event = StartReplica | DrainReplica | StopReplica | RunReady | RunFailed | RunGone | RetryDue


# Actions.


@dataclass(frozen=True, slots=True)
class LaunchRun:
    """Begin run number `run` and report RunReady or RunFailed."""

    run: int


@dataclass(frozen=True, slots=True)
class EndRun:
    """End the run's processes: TERM, `grace` seconds, KILL. Report RunGone."""

    run: int
    grace: float


@dataclass(frozen=True, slots=True)
class WakeRun:
    """Report RetryDue at this time."""

    run: int
    at: float


Action = LaunchRun | EndRun | WakeRun


@dataclass(frozen=True, slots=True)
class Life:
    """The state of one replica. Times in seconds on the caller's clock.

    run: number of the current or last launch, from 1.
    failures: in a row; waits: how many of them were answered with a delay.
    then: the state after `RunGone`, while stopping.
    retry_at: when the next launch is due, while stopping for it or backing off.
    proven: it has been ready before.
    restarts: launches without a caller's request.
    """

    state: ReplicaState = _STOPPED
    since: float = 0.0
    run: int = 0
    failures: int = 0
    waits: int = 0
    then: ReplicaState = _STOPPED
    retry_at: float | None = None
    cause: str | None = None
    proven: bool = False
    restarts: int = 0


Transition = tuple[Life, tuple[Action, ...]]


def step(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    """The next state and the actions. Events of an earlier run are ignored. Raises IllegalTransitionError, also for an event
    of a run that was never launched.
    """
    if isinstance(event, RunReady | RunFailed | RunGone | RetryDue) and event.run != life.run:
        if event.run > life.run:
            raise IllegalTransitionError(f"{type(event).__name__} of run {event.run}, and the last one is {life.run}")
        return life, ()
    rule = _TABLE.get((life.state, type(event)))
    if rule is None:
        raise IllegalTransitionError(f"{type(event).__name__} while {life.state}")
    return rule(life, event, now, policy)


def delay(failures: int, waits: int, was_ready: bool, policy: RestartPolicy) -> float:
    """Seconds before the next launch: none after the first crash of a replica that served, else first x 2^waits, at
    most most.
    """
    if was_ready and failures == 1:
        return 0.0
    return min(policy.backoff_first * 2.0 ** min(waits, 32), policy.backoff_most)


def _launch(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    run = life.run + 1
    return replace(life, state=_STARTING, since=now, run=run, retry_at=None), (LaunchRun(run),)


def _start(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    """A caller asks: earlier failures are forgotten."""
    return _launch(replace(life, failures=0, waits=0, cause=None), event, now, policy)


def _relaunch(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    return _launch(replace(life, restarts=life.restarts + 1), event, now, policy)


def _ready(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    return replace(life, state=_READY, since=now, proven=True), ()


def _drain(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    return replace(life, state=_DRAINING, since=now), ()


def _end(life: Life, now: float, grace: float, then: ReplicaState) -> Transition:
    return replace(life, state=_STOPPING, since=now, then=then), (EndRun(life.run, grace),)


def _stop(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    return _end(replace(life, retry_at=None), now, policy.grace, _STOPPED)


def _rest(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    """Nothing runs: stopped at once."""
    return replace(life, state=_STOPPED, since=now, retry_at=None), ()


def _stop_after_all(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    """It is ending already: only the state after that changes."""
    return replace(life, then=_STOPPED, retry_at=None), ()


def _failed(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    assert isinstance(event, RunFailed)
    was_ready = life.state is _READY
    if was_ready and now - life.since >= policy.healthy_after:
        life = replace(life, failures=0, waits=0)
    failures = life.failures + 1
    life = replace(life, failures=failures, cause=event.cause)
    if event.deterministic and not life.proven:
        return _end(life, now, 0.0, _GIVEN_UP)
    if policy.give_up_after is not None and failures >= policy.give_up_after:
        cause = f"gave up after {failures} failures in a row; the last: {event.cause}"
        return _end(replace(life, cause=cause), now, 0.0, _GIVEN_UP)
    wait = delay(failures, life.waits, was_ready, policy)
    life = replace(life, waits=life.waits + (wait > 0), retry_at=now + wait)
    return _end(life, now, 0.0, _BACKING_OFF)


def _failed_while_draining(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    """It was about to be stopped: no restart."""
    assert isinstance(event, RunFailed)
    return _end(replace(life, cause=event.cause), now, 0.0, _STOPPED)


def _gone(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    """The ending is over: rest, give up, launch at once, or wait for the rest of the back-off."""
    if life.then is not _BACKING_OFF or life.retry_at is None:
        return replace(life, state=life.then, since=now, retry_at=None), ()
    if life.retry_at <= now:
        return _relaunch(life, event, now, policy)
    return replace(life, state=_BACKING_OFF, since=now), (WakeRun(life.run, life.retry_at),)


def _nothing(life: Life, event: Event, now: float, policy: RestartPolicy) -> Transition:
    return life, ()


TransitionRule = Callable[[Life, Event, float, RestartPolicy], Transition]

_TABLE: dict[tuple[ReplicaState, type[Event]], TransitionRule] = {
    (_STOPPED, StartReplica): _start,
    (_STOPPED, StopReplica): _nothing,
    (_STOPPED, DrainReplica): _nothing,
    (_STOPPED, RetryDue): _nothing,  # was already queued when the back-off was cancelled
    (_STARTING, RunReady): _ready,
    (_STARTING, RunFailed): _failed,
    (_STARTING, StopReplica): _stop,
    (_STARTING, DrainReplica): _stop,
    (_READY, RunFailed): _failed,
    (_READY, DrainReplica): _drain,
    (_READY, StopReplica): _stop,
    (_DRAINING, RunFailed): _failed_while_draining,
    (_DRAINING, DrainReplica): _nothing,
    (_DRAINING, StopReplica): _stop,
    (_STOPPING, RunReady): _nothing,
    (_STOPPING, RunFailed): _nothing,
    (_STOPPING, StopReplica): _stop_after_all,
    (_STOPPING, DrainReplica): _stop_after_all,
    (_STOPPING, RunGone): _gone,
    (_BACKING_OFF, RetryDue): _relaunch,
    (_BACKING_OFF, StopReplica): _rest,
    (_BACKING_OFF, DrainReplica): _rest,
    (_GIVEN_UP, StartReplica): _start,
    (_GIVEN_UP, StopReplica): _rest,
    (_GIVEN_UP, DrainReplica): _nothing,
}
