"""The life of a replica, replayed as histories of events on a fake clock."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local_models.replica.lifecycle import (
    Action,
    DrainReplica,
    EndRun,
    Event,
    IllegalTransitionError,
    LaunchRun,
    Life,
    RestartPolicy,
    RetryDue,
    RunFailed,
    RunGone,
    RunReady,
    StartReplica,
    StopReplica,
    WakeRun,
    delay,
    step,
)
from runtime.contract.engine import ReplicaState

POLICY = RestartPolicy(backoff_first=10, backoff_most=300, healthy_after=60, give_up_after=4, grace=5)
DOWN = "it died"
BAD_FLAG = "vLLM does not know --frobnicate"

# name -> [(seconds, event, state after it, actions)]
HISTORIES: dict[str, list[tuple[float, Event, str, tuple[Action, ...]]]] = {
    "a start, work, and an end in order": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (90, DrainReplica(), "draining", ()),
        (95, StopReplica(), "stopping", (EndRun(1, 5),)),
        (97, RunGone(1), "stopped", ()),
    ],
    "the first crash of a serving replica is answered at once": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (51, RunGone(1), "starting", (LaunchRun(2),)),
        (91, RunReady(2), "ready", ()),
    ],
    "a second crash soon after waits, a third waits twice as long": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (51, RunGone(1), "starting", (LaunchRun(2),)),
        (91, RunReady(2), "ready", ()),
        (100, RunFailed(2, DOWN), "stopping", (EndRun(2, 0.0),)),
        (101, RunGone(2), "backing_off", (WakeRun(2, 110),)),
        (110, RetryDue(2), "starting", (LaunchRun(3),)),
        (150, RunFailed(3, DOWN), "stopping", (EndRun(3, 0.0),)),
        (151, RunGone(3), "backing_off", (WakeRun(3, 170),)),
    ],
    "a healthy minute makes the next crash a first one again": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (51, RunGone(1), "starting", (LaunchRun(2),)),
        (91, RunReady(2), "ready", ()),
        (151, RunFailed(2, DOWN), "stopping", (EndRun(2, 0.0),)),
        (152, RunGone(2), "starting", (LaunchRun(3),)),
    ],
    "an ending that takes longer than the back-off is followed at once": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (1, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (31, RunGone(1), "starting", (LaunchRun(2),)),
    ],
    "a start that can never work is not tried again": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (8, RunFailed(1, BAD_FLAG, deterministic=True), "stopping", (EndRun(1, 0.0),)),
        (9, RunGone(1), "given_up", ()),
    ],
    "what looks deterministic in a replica that has served before is tried again": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, "the GPU ran out of memory", deterministic=True), "stopping", (EndRun(1, 0.0),)),
        (51, RunGone(1), "starting", (LaunchRun(2),)),
        (60, RunFailed(2, "the GPU ran out of memory", deterministic=True), "stopping", (EndRun(2, 0.0),)),
        (61, RunGone(2), "backing_off", (WakeRun(2, 70),)),
    ],
    "it gives up after so many failures in a row, and starts afresh when asked": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (1, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (2, RunGone(1), "backing_off", (WakeRun(1, 11),)),
        (11, RetryDue(1), "starting", (LaunchRun(2),)),
        (12, RunFailed(2, DOWN), "stopping", (EndRun(2, 0.0),)),
        (13, RunGone(2), "backing_off", (WakeRun(2, 32),)),
        (32, RetryDue(2), "starting", (LaunchRun(3),)),
        (33, RunFailed(3, DOWN), "stopping", (EndRun(3, 0.0),)),
        (34, RunGone(3), "backing_off", (WakeRun(3, 73),)),
        (73, RetryDue(3), "starting", (LaunchRun(4),)),
        (74, RunFailed(4, DOWN), "stopping", (EndRun(4, 0.0),)),
        (75, RunGone(4), "given_up", ()),
        (900, StartReplica(), "starting", (LaunchRun(5),)),
        (901, RunFailed(5, DOWN), "stopping", (EndRun(5, 0.0),)),
        (902, RunGone(5), "backing_off", (WakeRun(5, 911),)),
    ],
    "a stop during a start ends it": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (5, StopReplica(), "stopping", (EndRun(1, 5),)),
        (6, RunReady(1), "stopping", ()),
        (7, RunGone(1), "stopped", ()),
    ],
    "a stop during an ending calls the restart off": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (50, StopReplica(), "stopping", ()),
        (51, RunGone(1), "stopped", ()),
    ],
    "a stop during the back-off calls it off, and a late alarm wakes nobody": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (1, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (2, RunGone(1), "backing_off", (WakeRun(1, 11),)),
        (3, StopReplica(), "stopped", ()),
        (11, RetryDue(1), "stopped", ()),
        (20, StartReplica(), "starting", (LaunchRun(2),)),
    ],
    "a death while draining is not answered by a restart": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, DrainReplica(), "draining", ()),
        (51, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (52, RunGone(1), "stopped", ()),
    ],
    "news of an earlier run changes nothing": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (51, RunGone(1), "starting", (LaunchRun(2),)),
        (52, RunFailed(1, "hung"), "starting", ()),
        (53, RunReady(1), "starting", ()),
        (54, RetryDue(1), "starting", ()),
    ],
    "dying and hanging at once is one failure": [
        (0, StartReplica(), "starting", (LaunchRun(1),)),
        (40, RunReady(1), "ready", ()),
        (50, RunFailed(1, DOWN), "stopping", (EndRun(1, 0.0),)),
        (50, RunFailed(1, "hung"), "stopping", ()),
        (51, RunGone(1), "starting", (LaunchRun(2),)),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_goes_as_written(name: str) -> None:
    """Every event of the history leads to the state and the actions beside it."""
    life = Life()
    for at, event, state, actions in HISTORIES[name]:
        life, done = step(life, event, at, POLICY)
        assert (at, life.state.value, done) == (at, state, actions)


ILLEGAL: list[tuple[ReplicaState, Event]] = [
    (ReplicaState.STOPPED, RunReady(1)),
    (ReplicaState.STOPPED, RunGone(1)),
    (ReplicaState.STARTING, StartReplica()),
    (ReplicaState.STARTING, RunGone(1)),
    (ReplicaState.STARTING, RetryDue(1)),
    (ReplicaState.READY, StartReplica()),
    (ReplicaState.READY, RunReady(1)),
    (ReplicaState.READY, RetryDue(1)),
    (ReplicaState.STOPPING, StartReplica()),
    (ReplicaState.BACKING_OFF, RunReady(1)),
    (ReplicaState.BACKING_OFF, RunGone(1)),
    (ReplicaState.GIVEN_UP, RunReady(1)),
    (ReplicaState.GIVEN_UP, RetryDue(1)),
]


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_what_cannot_happen_raises(state: ReplicaState, event: Event) -> None:
    """A shell that sends an impossible event is told so and not obeyed."""
    with pytest.raises(IllegalTransitionError):
        step(Life(state=state, run=1), event, 0, POLICY)


def test_the_cause_says_why_it_was_given_up() -> None:
    """The last of too many failures names their number and the last cause."""
    life = Life(state=ReplicaState.STARTING, run=4, failures=3, waits=3)
    life, _ = step(life, RunFailed(4, DOWN), 0, POLICY)
    assert life.cause == "gave up after 4 failures in a row; the last: it died"


def test_an_attached_server_is_never_given_up() -> None:
    """Without a limit the back-off goes on at its longest."""
    policy = RestartPolicy(backoff_first=1, backoff_most=30, give_up_after=None)
    life = Life(state=ReplicaState.STARTING, run=1, failures=500, waits=500)
    life, _ = step(life, RunFailed(1, DOWN), 100.0, policy)
    assert (life.then, life.retry_at) == (ReplicaState.BACKING_OFF, 130.0)


def test_the_back_off_doubles_from_ten_seconds_to_three_hundred() -> None:
    """10, 20, 40, … and never more than 300."""
    waits = [delay(n + 1, n, False, POLICY) for n in range(8)]
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


EVENTS = st.sampled_from([StartReplica(), DrainReplica(), StopReplica()]) | st.builds(
    lambda kind, run: kind(run) if kind is not RunFailed else RunFailed(run, DOWN),
    st.sampled_from([RunReady, RunFailed, RunGone, RetryDue]),
    st.integers(1, 4),
)


@given(st.lists(EVENTS, max_size=40))
@example([StartReplica(), RunReady(1), RunFailed(1, DOWN), RunGone(2)])
def test_whatever_comes_there_is_never_more_than_one_engine(events: list[Event]) -> None:
    """A launch never follows a launch without the end of the first between them, whatever is sent."""
    life, running = Life(), False
    for now, event in enumerate(events):
        try:
            life, actions = step(life, event, float(now), POLICY)
        except IllegalTransitionError:
            continue
        if isinstance(event, RunGone) and event.run == life.run - 1:
            running = False
        for action in actions:
            if isinstance(action, LaunchRun):
                assert not running
                running = True
        if life.state in (ReplicaState.STOPPED, ReplicaState.BACKING_OFF, ReplicaState.GIVEN_UP):
            running = False
