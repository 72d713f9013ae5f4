"""The life of one replica as a table: (state, event) -> what follows. Pure; knows no process, no socket, no clock.

    stopped ──Start──> starting ──Ready──> ready ──Drain──> draining
       ^                  │  ^               │                  │
       │                Failed │           Failed           Stop, Failed
       │                  v  RetryDue        v                  v
       └────Gone──── stopping ──Gone──> backing_off         stopping
                          └────Gone──> given_up

`stopping` is every ending, asked for or not: nothing starts again before the old processes, their socket and their
memory are gone (`Gone`). What follows then is decided when the ending begins and kept in `then`. An event of an earlier
run (`run`) is old news and changes nothing; an event that cannot happen in a state raises `IllegalTransitionError`: the
shell has a fault.
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
    """The shell sent an event its state does not allow."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds, but `give_up_after`: failures in a row; None never gives up.

    healthy_after: ready this long, the earlier failures are forgotten.
    grace: between TERM and KILL when the end was asked for.
    """

    backoff_first: float = 10.0
    backoff_most: float = 300.0
    healthy_after: float = 60.0
    give_up_after: int | None = 10
    grace: float = 10.0


# Events.


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody asks for the replica."""


@dataclass(frozen=True, slots=True)
class Drain:
    """No new work comes; what runs may finish."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asks for its end."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A real completion was answered."""

    run: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It died, hangs, or did not become ready. Exit code 0 is a failure too when nobody asked.

    cause: in words that say what to do.
    deterministic: the same start would fail again; believed only of a replica that has never been ready.
    """

    run: int
    cause: str
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Processes, socket and GPU memory of the run are no more."""

    run: int


@dataclass(frozen=True, slots=True)
class RetryDue:
    run: int


Event = Start | Drain | Stop | Ready | Failed | Gone | RetryDue


# Actions.


@dataclass(frozen=True, slots=True)
class Launch:
    """Begin run number `run` and report Ready or Failed."""

    run: int


@dataclass(frozen=True, slots=True)
class End:
    """End the run's processes: TERM, `grace` seconds, KILL. Report Gone."""

    run: int
    grace: float


@dataclass(frozen=True, slots=True)
class Wake:
    """Report RetryDue at this time."""

    run: int
    at: float


Action = Launch | End | Wake


@dataclass(frozen=True, slots=True)
class Life:
    """All that is remembered of one replica. Times in seconds on the caller's clock.

    run: number of the current or last launch, from 1.
    failures: in a row; waits: how many of them were answered with a delay.
    then: what follows `Gone` while stopping.
    retry_at: when the next launch is due, while stopping for it or backing off.
    proven: it has been ready before.
    restarts: launches that nobody asked for.
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


Step = tuple[Life, tuple[Action, ...]]


def step(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """What follows `event`. One of an earlier run is nobody's. Raises IllegalTransitionError, also for a run that never was."""
    if isinstance(event, Ready | Failed | Gone | RetryDue) and event.run != life.run:
        if event.run > life.run:
            raise IllegalTransitionError(f"{type(event).__name__} of run {event.run}, and the last one is {life.run}")
        return life, ()
    rule = _TABLE.get((life.state, type(event)))
    if rule is None:
        raise IllegalTransitionError(f"{type(event).__name__} while {life.state}")
    return rule(life, event, now, policy)


def delay(failures: int, waits: int, was_ready: bool, policy: Policy) -> float:
    """Seconds before the next launch: none after the first crash of a replica that served, else first x 2^waits, at
    most most.
    """
    if was_ready and failures == 1:
        return 0.0
    return min(policy.backoff_first * 2.0 ** min(waits, 32), policy.backoff_most)


def _launch(life: Life, event: Event, now: float, policy: Policy) -> Step:
    run = life.run + 1
    return replace(life, state=_STARTING, since=now, run=run, retry_at=None), (Launch(run),)


def _start(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """A person asks: what failed before is forgotten."""
    return _launch(replace(life, failures=0, waits=0, cause=None), event, now, policy)


def _relaunch(life: Life, event: Event, now: float, policy: Policy) -> Step:
    return _launch(replace(life, restarts=life.restarts + 1), event, now, policy)


def _ready(life: Life, event: Event, now: float, policy: Policy) -> Step:
    return replace(life, state=_READY, since=now, proven=True), ()


def _drain(life: Life, event: Event, now: float, policy: Policy) -> Step:
    return replace(life, state=_DRAINING, since=now), ()


def _end(life: Life, now: float, grace: float, then: ReplicaState) -> Step:
    return replace(life, state=_STOPPING, since=now, then=then), (End(life.run, grace),)


def _stop(life: Life, event: Event, now: float, policy: Policy) -> Step:
    return _end(replace(life, retry_at=None), now, policy.grace, _STOPPED)


def _rest(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """Nothing runs: stopped at once."""
    return replace(life, state=_STOPPED, since=now, retry_at=None), ()


def _stop_after_all(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """It is ending anyway: only what follows changes."""
    return replace(life, then=_STOPPED, retry_at=None), ()


def _failed(life: Life, event: Event, now: float, policy: Policy) -> Step:
    assert isinstance(event, Failed)
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


def _failed_while_draining(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """It was to end anyway: no restart."""
    assert isinstance(event, Failed)
    return _end(replace(life, cause=event.cause), now, 0.0, _STOPPED)


def _gone(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """The ending is over: rest, give up, launch at once, or wait out what is left of the back-off."""
    if life.then is not _BACKING_OFF or life.retry_at is None:
        return replace(life, state=life.then, since=now, retry_at=None), ()
    if life.retry_at <= now:
        return _relaunch(life, event, now, policy)
    return replace(life, state=_BACKING_OFF, since=now), (Wake(life.run, life.retry_at),)


def _nothing(life: Life, event: Event, now: float, policy: Policy) -> Step:
    return life, ()


Rule = Callable[[Life, Event, float, Policy], Step]

_TABLE: dict[tuple[ReplicaState, type[Event]], Rule] = {
    (_STOPPED, Start): _start,
    (_STOPPED, Stop): _nothing,
    (_STOPPED, Drain): _nothing,
    (_STOPPED, RetryDue): _nothing,  # was already on its way when the back-off was called off
    (_STARTING, Ready): _ready,
    (_STARTING, Failed): _failed,
    (_STARTING, Stop): _stop,
    (_STARTING, Drain): _stop,
    (_READY, Failed): _failed,
    (_READY, Drain): _drain,
    (_READY, Stop): _stop,
    (_DRAINING, Failed): _failed_while_draining,
    (_DRAINING, Drain): _nothing,
    (_DRAINING, Stop): _stop,
    (_STOPPING, Ready): _nothing,
    (_STOPPING, Failed): _nothing,
    (_STOPPING, Stop): _stop_after_all,
    (_STOPPING, Drain): _stop_after_all,
    (_STOPPING, Gone): _gone,
    (_BACKING_OFF, RetryDue): _relaunch,
    (_BACKING_OFF, Stop): _rest,
    (_BACKING_OFF, Drain): _rest,
    (_GIVEN_UP, Start): _start,
    (_GIVEN_UP, Stop): _rest,
    (_GIVEN_UP, Drain): _nothing,
}
