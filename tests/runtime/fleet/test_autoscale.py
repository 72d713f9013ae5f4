"""The number of replicas that the predicted time to a first token asks for, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.fleet.autoscale import LONGEST_QUIET_S, OVER_S, QUIET_S, STUCK_S, Autoscaler, ReplicaCount, ScaleVerdict
from runtime.load.strain import EngineStrain
from runtime.settings import Autoscale

EASY, SLOW = EngineStrain(0.1, 0.1, 0.0, 0.05), EngineStrain(3.0, 0.1, 0.0, 0.9)


class Watched:
    """A scaler with its clock and a cluster that does what it is told, `cold_s` later."""

    def __init__(self, replicas: int = 2, *, least: int = 1, most: int = 4, cold_s: float = 60.0) -> None:
        self.scaler = Autoscaler(Autoscale(ttft_ms=1000, min=least, max=most))
        self.now, self.cold_s = 100.0, cold_s
        self.count = ReplicaCount(replicas, replicas)
        self.ready_at = 0.0
        self.changes: list[tuple[float, int]] = []
        self.verdict = ScaleVerdict(replicas, "")

    def look(self, strain: EngineStrain | None, *, acts: bool = True, step_s: float = 1.0) -> int:
        self.now += step_s
        if self.count.running < self.count.target and self.now >= self.ready_at:
            self.count = ReplicaCount(self.count.target, self.count.target)
        self.verdict = self.scaler.decide(strain, self.count, self.now)
        to = self.verdict.replicas
        if acts and to != self.count.target:
            self.changes.append((self.now, to))
            self.count, self.ready_at = ReplicaCount(to, min(self.count.running, to)), self.now + self.cold_s
            self.scaler.acted(to, self.now)
        return to

    def after(self, seconds: float, strain: EngineStrain | None) -> int:
        """The target after so long under the same load."""
        for _ in range(int(seconds)):
            self.look(strain)
        return self.count.target


def test_one_more_after_thirty_slow_seconds() -> None:
    """Neither a spike nor a reading that is fast in between changes that."""
    watched = Watched()
    assert watched.after(OVER_S, SLOW) == 2
    assert watched.after(2, SLOW) == 3
    assert "3000 ms: over 1000 ms for 30 s" in watched.verdict.words or watched.verdict.words.startswith("1 of 3")
    spiky = Watched()
    for second in range(300):
        spiky.look(SLOW if second % 2 else EASY)
    assert spiky.count.target == 2


def test_a_request_that_waits_counts_as_the_prediction_does() -> None:
    """A burst shows in the queue before anything was learned."""
    watched = Watched()
    assert watched.after(OVER_S + 2, EngineStrain(0.0, 0.0, waited_s=1.5)) == 3


def test_none_is_added_while_one_is_starting() -> None:
    """However long that takes; then thirty seconds of its own are evidence. One that never comes is named."""
    watched = Watched(cold_s=300.0)
    watched.after(OVER_S + 2, SLOW)
    began = watched.changes[0][0]
    assert watched.after(300 + OVER_S - 2, SLOW) == 3
    assert watched.after(5, SLOW) == 4
    assert watched.changes[1][0] - began >= 300 + OVER_S
    stuck = Watched(cold_s=1e9)
    assert stuck.after(OVER_S + STUCK_S + 5, SLOW) == 3
    assert stuck.verdict.words == "1 of 3 replicas are starting for 15 min: has the cluster room for it?"


def test_one_less_after_ten_quiet_minutes() -> None:
    """Each needs its own, down to the fewest; and none is never reached."""
    watched = Watched(3)
    assert watched.after(QUIET_S, EASY) == 3
    assert watched.after(2, EASY) == 2
    assert watched.after(QUIET_S + 2, EASY) == 1
    assert watched.after(2 * QUIET_S, EASY) == 1
    none = Watched(1, least=0)
    assert none.after(2 * QUIET_S, EASY) == 1


def test_what_would_not_hold_with_one_less_stays() -> None:
    """The load counts N/(N-1): 400 ms of queue on two become 800 on one; so do the slots."""
    assert Watched(2).after(2 * QUIET_S, EngineStrain(0.4, 0.0, 0.0, 0.1)) == 2
    assert Watched(2).after(2 * QUIET_S, EngineStrain(0.3, 0.0, 0.0, 0.1)) == 1
    assert Watched(2).after(2 * QUIET_S, EngineStrain(0.1, 0.0, 0.0, 0.4)) == 2
    assert Watched(3).after(QUIET_S + 2, EngineStrain(0.1, 0.0, 0.0, 0.4)) == 2
    # Long prompts take their time with any number of replicas.
    assert Watched(2).after(QUIET_S + 2, EngineStrain(0.9, 0.9, 0.0, 0.0)) == 1


def test_bounds_hold_at_once() -> None:
    """Of settings that changed under it, and of somebody else's hand."""
    assert Watched(1, least=2).look(None) == 2
    assert Watched(6).look(EASY) == 4
    full = Watched(4)
    assert full.after(100, SLOW) == 4 and "[autoscale] max = 4" in full.verdict.words


def test_nothing_is_decided_without_a_reading() -> None:
    """An engine that is down, and a pause of the process, are no evidence."""
    watched = Watched(3)
    assert watched.after(2 * QUIET_S, None) == 3 and "not known" in watched.verdict.words
    watched.after(OVER_S - 2, SLOW)
    watched.look(SLOW, step_s=100.0)
    assert watched.after(OVER_S - 2, SLOW) == 3
    assert watched.after(5, SLOW) == 4


def test_requests_that_leave_hold_the_prediction_down() -> None:
    """Where they leave at 1 s, an engine at 900 ms is full, whatever longer time is wanted."""
    watched = Watched()
    watched.scaler.wanted = Autoscale(ttft_ms=2000, max=4)
    full = EngineStrain(0.9, 0.1)
    assert watched.after(100, full) == 2
    watched.scaler.leaves_ms = 1000
    assert watched.after(OVER_S + 2, full) == 3


@given(
    load=st.floats(0.0, 6.0),
    replicas=st.integers(1, 6),
    cold_s=st.sampled_from([0.0, 45.0, 120.0, 400.0]),
    steep=st.floats(0.05, 2.0),
    least=st.integers(1, 2),
)
@settings(max_examples=40, deadline=None)
def test_a_constant_load_ends_the_changes(load: float, replicas: int, cold_s: float, steep: float, least: int) -> None:
    """Whatever the shape of its queue: always within the bounds, none while one starts, and hours later no change an hour."""
    watched = Watched(replicas, least=least, most=5, cold_s=cold_s)
    end = watched.now + 8 * 3600
    while watched.now < end:
        share = load / max(1, watched.count.running)
        queue_s = steep * share / (1 - share) if share < 0.98 else 50.0
        starting, before = watched.count.running < watched.count.target, watched.count.target
        to = watched.look(EngineStrain(0.1 + queue_s, 0.1, 0.0, min(1.0, share)), step_s=10.0)
        assert not (starting and to > before and before >= least)
        assert least <= watched.count.target <= 5
    late = [at for at, _ in watched.changes if at > end - 4 * 3600]
    assert len(late) <= 2 * (4 * 3600 / LONGEST_QUIET_S), watched.changes
