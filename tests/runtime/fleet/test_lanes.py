"""The load on lanes: the best one, thresholds with hysteresis, and what a restart and a reload make of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from runtime.contract.engine import Gpu, ReplicaState, ReplicaView, Telemetry
from runtime.contract.reasons import Reason
from runtime.fleet.lanes import Lanes
from runtime.settings import Escalation
from tests.fakes.upstream import FakeLane, ScriptedHop

QUEUE = Escalation(queue_depth=4, release=0.5)


def lanes_of(escalation: Escalation = QUEUE, now: float = 100.0, *, alone: bool = True) -> Lanes:
    return Lanes(escalation, lambda: now, alone=alone)


def lane(name: str = "replica-0", slots: int | None = None) -> FakeLane:
    return FakeLane(name, ScriptedHop(), slots=slots)


@contextlib.contextmanager
def waiting(lanes: Lanes, each: FakeLane, count: int, tokens: int = 10) -> Iterator[None]:
    """So many requests without a first token."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(lanes.ledger(each).claim(tokens, None, lambda: 100.0))
        yield


def view(name: str = "replica-0", run: int = 1, telemetry: Telemetry | None = None) -> ReplicaView:
    return ReplicaView(name, ReplicaState.READY, 0.0, run, telemetry=telemetry)


def over(lanes: Lanes, each: FakeLane, *, look: bool = False) -> Reason | None:
    return lanes.judged([each], 10, 100.0, look=look).pressure.over


def test_the_lane_with_less_to_wait_for_is_the_best() -> None:
    """One alone is the best without being looked at."""
    lanes, busy, idle = lanes_of(), lane("a"), lane("b")
    with waiting(lanes, busy, 3):
        assert lanes.best([busy, idle], 10) is idle and lanes.best([busy], 10) is busy


def test_a_threshold_stays_crossed_until_it_is_released() -> None:
    """Crossed at four, still crossed at three, released below half."""
    lanes, each = lanes_of(), lane()
    with waiting(lanes, each, 1):
        with waiting(lanes, each, 2):
            with waiting(lanes, each, 1):
                assert over(lanes, each) is Reason.QUEUE_DEPTH
            assert over(lanes, each) is Reason.QUEUE_DEPTH
        assert over(lanes, each) is None
        with waiting(lanes, each, 2):
            assert over(lanes, each) is None


def test_looking_moves_no_threshold() -> None:
    """A status page at the worst moment leaves the next request where it was, and the other way round."""
    lanes, each = lanes_of(), lane()
    with waiting(lanes, each, 3):
        with waiting(lanes, each, 1):
            assert over(lanes, each, look=True) is Reason.QUEUE_DEPTH
            assert lanes.seen([each]).pressure.over is Reason.QUEUE_DEPTH
        assert over(lanes, each) is None
        with waiting(lanes, each, 1):
            over(lanes, each)
    assert over(lanes, each, look=True) is None and lanes.seen([each]).pressure.over is None
    with waiting(lanes, each, 3):
        assert over(lanes, each) is Reason.QUEUE_DEPTH, "looking at the idle engine has released nothing"


def test_a_restarted_replica_begins_anew() -> None:
    """Another run of the same name has another ledger; the first view of a replica forgets nothing."""
    lanes, each = lanes_of(), lane()
    ledger = lanes.ledger(each)
    lanes.listen([view(run=1)], [])
    assert lanes.ledger(each) is ledger
    lanes.listen([view(run=2)], [])
    assert lanes.ledger(each) is not ledger
    again = lanes.ledger(each)
    lanes.listen([view(run=2)], [])
    assert lanes.ledger(each) is again


def test_a_restart_releases_its_thresholds() -> None:
    """What was crossed belonged to the run that died."""
    lanes, each = lanes_of(), lane()
    lanes.listen([view(run=1)], [])
    with waiting(lanes, each, 4):
        assert over(lanes, each) is Reason.QUEUE_DEPTH
    lanes.listen([view(run=2)], [])
    with waiting(lanes, each, 3):
        assert over(lanes, each) is None


def test_requests_of_a_dead_run_leave_the_new_one_alone() -> None:
    """They end on the old ledger, and the new one never counts below nothing."""
    lanes, each = lanes_of(), lane()
    lanes.listen([view(run=1)], [])
    with waiting(lanes, each, 2):
        lanes.listen([view(run=2)], [])
        assert lanes.ledger(each).waiting == 0
    assert lanes.ledger(each).waiting == 0


def test_telemetry_reaches_only_lanes_that_are_known() -> None:
    """A view of a lane that nobody asked creates nothing; a known one's gauge counts while fresh."""
    lanes, each = lanes_of(alone=False), lane()
    telemetry = Telemetry(at=100.0, running=1, waiting=6, kv_cache=0.1)
    lanes.listen([view("replica-9", telemetry=telemetry)], [])
    assert over(lanes, each) is None
    lanes.listen([view(telemetry=telemetry)], [])
    assert over(lanes, each) is Reason.QUEUE_DEPTH


def test_the_busiest_gpu_counts_after_five_seconds_of_it() -> None:
    """Idle requests do not: it must be busy while answers run."""
    clock = [100.0]
    lanes, each = Lanes(Escalation(gpu_utilization=0.9, queue_depth=99), lambda: clock[0]), lane()
    with lanes.ledger(each).claim(10, None, lambda: clock[0]) as flight:
        flight.first_token(clock[0])
        for _ in range(8):
            lanes.listen([], [Gpu(0, "gpu", 0, 1, 0.2, clock[0]), Gpu(1, "gpu", 0, 1, 0.99, clock[0])])
            found = lanes.judged([each], 10, clock[0]).pressure.over
            clock[0] += 1.0
    assert found is Reason.GPU


def test_other_settings_are_judged_by_at_once_and_keep_what_was_learned() -> None:
    """The ledger is the same object; the threshold is the new one."""
    lanes, each = lanes_of(), lane()
    ledger = lanes.ledger(each)
    with waiting(lanes, each, 2):
        assert over(lanes, each) is None
        lanes.reload(Escalation(queue_depth=1))
        assert over(lanes, each) is Reason.QUEUE_DEPTH and lanes.ledger(each) is ledger


def test_room_is_estimated_from_the_lane_that_has_it_first() -> None:
    """At least a second; None with no lane ready."""
    lanes, each = lanes_of(), lane()
    assert lanes.room_in([]) is None
    assert lanes.room_in([each]) == pytest.approx(1.0)


def test_lanes_that_nobody_can_ask_any_more_are_dropped() -> None:
    """A lent model that gave way takes its ledger with it; unknown ones are no fault."""
    lanes, each = lanes_of(), lane()
    ledger = lanes.ledger(each)
    lanes.forget([each, lane("never-seen")])
    assert lanes.ledger(each) is not ledger
