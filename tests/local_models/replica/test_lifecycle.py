"""The life of a replica, replayed as histories of events on a fake clock."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local_models.replica.lifecycle import (
    Action,
    Drain,
    End,
    Event,
    Failed,
    Gone,
    IllegalTransitionError,
    Launch,
    Life,
    Policy,
    Ready,
    RetryDue,
    Start,
    Stop,
    Wake,
    delay,
    step,
)
from runtime.contract.engine import ReplicaState

POLICY = Policy(backoff_first=10, backoff_most=300, healthy_after=60, give_up_after=4, grace=5)
DOWN = "it died"
BAD_FLAG = "vLLM does not know --frobnicate"

# name -> [(seconds, event, state after it, actions)]
HISTORIES: dict[str, list[tuple[float, Event, str, tuple[Action, ...]]]] = {
    "a start, work, and an end in order": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (90, Drain(), "draining", ()),
        (95, Stop(), "stopping", (End(1, 5),)),
        (97, Gone(1), "stopped", ()),
    ],
    "the first crash of a serving replica is answered at once": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (51, Gone(1), "starting", (Launch(2),)),
        (91, Ready(2), "ready", ()),
    ],
    "a second crash soon after waits, a third waits twice as long": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (51, Gone(1), "starting", (Launch(2),)),
        (91, Ready(2), "ready", ()),
        (100, Failed(2, DOWN), "stopping", (End(2, 0.0),)),
        (101, Gone(2), "backing_off", (Wake(2, 110),)),
        (110, RetryDue(2), "starting", (Launch(3),)),
        (150, Failed(3, DOWN), "stopping", (End(3, 0.0),)),
        (151, Gone(3), "backing_off", (Wake(3, 170),)),
    ],
    "a healthy minute makes the next crash a first one again": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (51, Gone(1), "starting", (Launch(2),)),
        (91, Ready(2), "ready", ()),
        (151, Failed(2, DOWN), "stopping", (End(2, 0.0),)),
        (152, Gone(2), "starting", (Launch(3),)),
    ],
    "an ending that takes longer than the back-off is followed at once": [
        (0, Start(), "starting", (Launch(1),)),
        (1, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (31, Gone(1), "starting", (Launch(2),)),
    ],
    "a start that can never work is not tried again": [
        (0, Start(), "starting", (Launch(1),)),
        (8, Failed(1, BAD_FLAG, deterministic=True), "stopping", (End(1, 0.0),)),
        (9, Gone(1), "given_up", ()),
    ],
    "what looks deterministic in a replica that has served before is tried again": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, "the GPU ran out of memory", deterministic=True), "stopping", (End(1, 0.0),)),
        (51, Gone(1), "starting", (Launch(2),)),
        (60, Failed(2, "the GPU ran out of memory", deterministic=True), "stopping", (End(2, 0.0),)),
        (61, Gone(2), "backing_off", (Wake(2, 70),)),
    ],
    "it gives up after so many failures in a row, and starts afresh when asked": [
        (0, Start(), "starting", (Launch(1),)),
        (1, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (2, Gone(1), "backing_off", (Wake(1, 11),)),
        (11, RetryDue(1), "starting", (Launch(2),)),
        (12, Failed(2, DOWN), "stopping", (End(2, 0.0),)),
        (13, Gone(2), "backing_off", (Wake(2, 32),)),
        (32, RetryDue(2), "starting", (Launch(3),)),
        (33, Failed(3, DOWN), "stopping", (End(3, 0.0),)),
        (34, Gone(3), "backing_off", (Wake(3, 73),)),
        (73, RetryDue(3), "starting", (Launch(4),)),
        (74, Failed(4, DOWN), "stopping", (End(4, 0.0),)),
        (75, Gone(4), "given_up", ()),
        (900, Start(), "starting", (Launch(5),)),
        (901, Failed(5, DOWN), "stopping", (End(5, 0.0),)),
        (902, Gone(5), "backing_off", (Wake(5, 911),)),
    ],
    "a stop during a start ends it": [
        (0, Start(), "starting", (Launch(1),)),
        (5, Stop(), "stopping", (End(1, 5),)),
        (6, Ready(1), "stopping", ()),
        (7, Gone(1), "stopped", ()),
    ],
    "a stop during an ending calls the restart off": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (50, Stop(), "stopping", ()),
        (51, Gone(1), "stopped", ()),
    ],
    "a stop during the back-off calls it off, and a late alarm wakes nobody": [
        (0, Start(), "starting", (Launch(1),)),
        (1, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (2, Gone(1), "backing_off", (Wake(1, 11),)),
        (3, Stop(), "stopped", ()),
        (11, RetryDue(1), "stopped", ()),
        (20, Start(), "starting", (Launch(2),)),
    ],
    "a death while draining is not answered by a restart": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Drain(), "draining", ()),
        (51, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (52, Gone(1), "stopped", ()),
    ],
    "news of an earlier run changes nothing": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (51, Gone(1), "starting", (Launch(2),)),
        (52, Failed(1, "hung"), "starting", ()),
        (53, Ready(1), "starting", ()),
        (54, RetryDue(1), "starting", ()),
    ],
    "dying and hanging at once is one failure": [
        (0, Start(), "starting", (Launch(1),)),
        (40, Ready(1), "ready", ()),
        (50, Failed(1, DOWN), "stopping", (End(1, 0.0),)),
        (50, Failed(1, "hung"), "stopping", ()),
        (51, Gone(1), "starting", (Launch(2),)),
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
    (ReplicaState.STOPPED, Ready(1)),
    (ReplicaState.STOPPED, Gone(1)),
    (ReplicaState.STARTING, Start()),
    (ReplicaState.STARTING, Gone(1)),
    (ReplicaState.STARTING, RetryDue(1)),
    (ReplicaState.READY, Start()),
    (ReplicaState.READY, Ready(1)),
    (ReplicaState.READY, RetryDue(1)),
    (ReplicaState.STOPPING, Start()),
    (ReplicaState.BACKING_OFF, Ready(1)),
    (ReplicaState.BACKING_OFF, Gone(1)),
    (ReplicaState.GIVEN_UP, Ready(1)),
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
    life, _ = step(life, Failed(4, DOWN), 0, POLICY)
    assert life.cause == "gave up after 4 failures in a row; the last: it died"


def test_an_attached_server_is_never_given_up() -> None:
    """Without a limit the back-off goes on at its longest."""
    policy = Policy(backoff_first=1, backoff_most=30, give_up_after=None)
    life = Life(state=ReplicaState.STARTING, run=1, failures=500, waits=500)
    life, _ = step(life, Failed(1, DOWN), 100.0, policy)
    assert (life.then, life.retry_at) == (ReplicaState.BACKING_OFF, 130.0)


def test_the_back_off_doubles_from_ten_seconds_to_three_hundred() -> None:
    """10, 20, 40, … and never more than 300."""
    waits = [delay(n + 1, n, False, POLICY) for n in range(8)]
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


EVENTS = st.sampled_from([Start(), Drain(), Stop()]) | st.builds(
    lambda kind, run: kind(run) if kind is not Failed else Failed(run, DOWN),
    st.sampled_from([Ready, Failed, Gone, RetryDue]),
    st.integers(1, 4),
)


@given(st.lists(EVENTS, max_size=40))
@example([Start(), Ready(1), Failed(1, DOWN), Gone(2)])
def test_whatever_comes_there_is_never_more_than_one_engine(events: list[Event]) -> None:
    """A launch never follows a launch without the end of the first between them, whatever is sent."""
    life, running = Life(), False
    for now, event in enumerate(events):
        try:
            life, actions = step(life, event, float(now), POLICY)
        except IllegalTransitionError:
            continue
        if isinstance(event, Gone) and event.run == life.run - 1:
            running = False
        for action in actions:
            if isinstance(action, Launch):
                assert not running
                running = True
        if life.state in (ReplicaState.STOPPED, ReplicaState.BACKING_OFF, ReplicaState.GIVEN_UP):
            running = False
