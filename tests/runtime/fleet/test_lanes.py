"""The load on lanes: the best one, thresholds with hysteresis, and what a restart and a reload make of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.contract.backend import Lane
from runtime.contract.engine import Gpu, ReplicaState, ReplicaView, Telemetry
from runtime.contract.reasons import Reason
from runtime.contract.usage import Usage
from runtime.fleet.lanes import Lanes
from runtime.load.others import OtherFlights
from runtime.routing.facts.facts import Facts
from runtime.settings import Escalation
from tests.fakes.upstream import FakeLane, ScriptedHop
from tests.runtime.routing.boxes import facts_of

TEN = Facts("openai_chat", "auto", 10)
QUEUE = Escalation(queue_depth=4, release=0.5)


def lanes_of(escalation: Escalation = QUEUE, now: float = 100.0, *, alone: bool = True) -> Lanes:
    return Lanes(escalation, lambda: now, alone=alone)


def lane(name: str = "replica-0", slots: int | None = None) -> FakeLane:
    return FakeLane(name, ScriptedHop(), slots=slots)


@contextlib.contextmanager
def waiting(lanes: Lanes, each: Lane, count: int, tokens: int = 10) -> Iterator[None]:
    """So many requests without a first token."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(lanes.ledger(each).claim(tokens, None, lambda: 100.0))
        yield


def view(name: str = "replica-0", run: int = 1, telemetry: Telemetry | None = None) -> ReplicaView:
    """A later run is ready since a later time than the first ledgers are made at."""
    return ReplicaView(name, ReplicaState.READY, 0.0 if run < 2 else 100.0 + run, run, telemetry=telemetry)


def over(lanes: Lanes, each: FakeLane, *, look: bool = False) -> Reason | None:
    return lanes.judged([each], TEN, 100.0, look=look).pressure.over


def test_the_lane_with_less_to_wait_for_is_the_best() -> None:
    """One alone is the best without being looked at."""
    lanes, busy, idle = lanes_of(), lane("a"), lane("b")
    with waiting(lanes, busy, 3):
        assert lanes.best([busy, idle], TEN) is idle and lanes.best([busy], TEN) is busy


def test_a_request_that_comes_as_soon_as_a_replica_is_ready_stays_in_its_ledger() -> None:
    """It was seen before its start, and is looked at again a second after it. One of an earlier run is forgotten."""
    lanes, each = lanes_of(), lane()
    lanes.listen([view(run=0)], [])
    with waiting(lanes, each, 3):
        lanes.listen([replace(view(run=1), since=99.5)], [])
        assert lanes.row("replica-0").waiting == 3
        lanes.listen([view(run=2)], [])
        assert lanes.row("replica-0").waiting == 0


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


def test_the_slots_an_engine_was_started_with_are_known_although_its_ledger_is_older() -> None:
    """Whoever looks at the speeds of an engine while it starts makes its ledger, before anybody knows its slots."""
    lanes, each = lanes_of(), lane()
    lanes.speeds([each])
    assert lanes.ledger(each).slots is None
    lanes.listen([replace(view(), slots=2)], [])
    assert lanes.ledger(each).slots == 2
    lanes.listen([view(telemetry=Telemetry(100.0, 3, 1, 0.1))], [])
    lanes.listen([view(telemetry=Telemetry(101.0, 3, 1, 0.1))], [])
    assert lanes.ledger(each).slots == 2  # gauges teach nothing better


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
            found = lanes.judged([each], TEN, clock[0]).pressure.over
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


def test_requests_with_the_same_beginning_go_to_the_same_lane() -> None:
    """Different ones are spread; a lane on which more wait, without evidence how long, is given up for the best."""
    lanes, both = lanes_of(), [lane("a"), lane("b")]
    asked = [Facts("openai_chat", "auto", 10, prefix=number) for number in range(1, 65)]
    homes = [lanes.best(both, each) for each in asked]
    assert [lanes.best(both, each) for each in asked] == homes
    assert 10 < homes.count(both[0]) < 54
    other = {"a": both[1], "b": both[0]}
    with waiting(lanes, homes[0], 1):
        assert lanes.best(both, asked[0]) is other[homes[0].name]
    assert lanes.best(both, asked[0]) is homes[0]


def test_every_process_sends_a_prefix_to_the_same_lane() -> None:
    """Several Hearths before the same engines agree without a word: no hash of one process alone decides."""
    script = "from tests.runtime.fleet.test_lanes import homes_of_prompts; print(homes_of_prompts())"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True).stdout
        assert said.decode() == f"{homes_of_prompts()}\n"
    assert set(homes_of_prompts()) == set("abc")


def homes_of_prompts() -> list[str]:
    """The lanes of twenty long prompts and twenty named sessions."""
    lanes, every = lanes_of(), [lane(name) for name in "abc"]
    bodies: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": f"{number} " * 600}]} for number in range(20)
    ]
    bodies += [
        {"messages": [{"role": "user", "content": "Hi"}], "hearth": {"session": f"s{number}"}} for number in range(20)
    ]
    return [lanes.best(every, facts_of(body)).name for body in bodies]


def test_a_lane_that_is_much_slower_is_given_up_for_the_best() -> None:
    """Within 150 ms of the best a prefix stays where it is cached."""
    now = [100.0]
    lanes, both = Lanes(Escalation(), lambda: now[0]), [lane("a"), lane("b")]
    for each in both:
        for _ in range(5):
            with lanes.ledger(each).claim(1_000, None, lambda: now[0]) as flight:
                now[0] += 0.1
                flight.first_token(now[0])
                now[0] += 0.5
                flight.tokens(20, now[0])
                flight.done()
    asked = Facts("openai_chat", "auto", 100, prefix=7)
    home = lanes.best(both, asked)
    with waiting_now(lanes, home, 1_000, now):
        assert lanes.best(both, asked) is home
    with waiting_now(lanes, home, 5_000, now):
        assert lanes.best(both, asked) is not home


@contextlib.contextmanager
def waiting_now(lanes: Lanes, each: Lane, tokens: int, now: list[float]) -> Iterator[None]:
    """One request without a first token, sent now."""
    with lanes.ledger(each).claim(tokens, None, lambda: now[0]):
        yield


def test_cached_prefixes_shorten_what_is_left_to_read() -> None:
    """By the share that the engine counted last; of another prefix nothing is known."""
    now = [0.0]
    lanes, each = Lanes(Escalation(), lambda: now[0]), lane()
    for _ in range(4):
        with lanes.ledger(each).claim(1_000, None, lambda: now[0], prefix=7) as flight:
            now[0] += 1.0
            flight.first_token(now[0])
            flight.done(Usage(1_000, 1, cached=900))
    warm, cold = (Facts("openai_chat", "auto", 1_000, prefix=prefix) for prefix in (7, 8))
    seen = [lanes.judged([each], facts, now[0]).reading.predicted_ttft_s for facts in (warm, cold)]
    assert seen[0] < 0.5 * seen[1]
    with lanes.ledger(each).claim(100, None, lambda: now[0], prefix=7) as flight:
        flight.first_token(now[0] + 0.1)
        flight.done(Usage(1_000, 1, cached=0))
    assert lanes.ledger(each).cached[7] == 0.0


def test_the_table_of_prefixes_is_bounded() -> None:
    """The ones seen longest ago are forgotten."""
    ledger = lanes_of().ledger(lane())
    for number in range(1, 5_000):
        with ledger.claim(10, None, lambda: 0.0, prefix=number) as flight:
            flight.first_token(0.0)
            flight.done(Usage(10, 1, cached=5))
    assert len(ledger.cached) == 4096 and 1 not in ledger.cached and 4_999 in ledger.cached


@pytest.mark.parametrize(("hearths", "taken"), [(5, {"e"}), (6, {"e", "other"})])
def test_of_six_hearths_each_looks_at_three_replicas_by_chance(hearths: int, taken: set[str]) -> None:
    """The best of three, drawn anew for each request; fewer Hearths all look at all. A decision looks at the same three."""
    lanes, every = lanes_of(), [lane(name) for name in "abcdef"]
    for number, each in enumerate(every):
        lanes.hear(each.name, OtherFlights(waiting=abs(number - 4)))
    lanes.hearths = hearths
    found = set()
    for _ in range(50):
        best = lanes.best(every, TEN)
        assert lanes.taken(every, TEN) is best
        assert best.name not in ("a",), "the worst of all is never the best of three"
        found.add(best.name)
    assert {"e" if name == "e" else "other" for name in found} == taken


def test_a_prefix_keeps_its_replica_among_those_looked_at() -> None:
    """Whichever three are drawn, its own is looked at too."""
    lanes, every = lanes_of(), [lane(name) for name in "abcdef"]
    lanes.hearths = 6
    same = Facts("openai_chat", "auto", 10, prefix=77)
    assert len({lanes.taken(every, same).name for _ in range(50)}) == 1


def test_a_ledger_made_later_hears_of_the_others_too() -> None:
    """As after a restart of the replica."""
    lanes, each = lanes_of(), lane()
    lanes.hear(each.name, OtherFlights(waiting=7))
    assert lanes.ledger(each).waiting_now(100.0) == 7
    lanes.listen([view(run=1)], [])
    lanes.listen([view(run=2)], [])
    assert lanes.ledger(each).waiting_now(100.0) == 7


def test_batch_work_waits_while_others_wait_for_the_engine() -> None:
    """Requests of another Hearth are somebody else's, as a client's of this one are."""
    lanes, each = lanes_of(), lane(slots=10)
    assert lanes.spare([each], 0) > 0
    lanes.hear(each.name, OtherFlights(waiting=1))
    assert lanes.spare([each], 0) == 0
