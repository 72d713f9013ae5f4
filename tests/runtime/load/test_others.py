"""Other Hearths' requests on an engine that nobody owns: their sum, what the ledger makes of it, and what it does not learn."""

from __future__ import annotations

import pytest

from runtime.contract.engine import Telemetry
from runtime.load.ledger import Ledger
from runtime.load.others import EngineOthers, FlightRow, OtherFlights
from runtime.load.saturation import choose
from tests.runtime.load.test_ledger import Driven, serve


def heard(ledger: Ledger, others: OtherFlights, now: float) -> None:
    ledger.hear(others, now)


def learned(slots: int | None = None, kv_capacity: int | None = None) -> tuple[Driven, float]:
    """A ledger that has learned: 500 tokens are read in 0.1 s, a step takes 20 ms. And the time."""
    ledger = Driven(slots, kv_capacity)
    return ledger, serve(ledger, 20)


def test_rows_are_summed_and_those_of_the_gone_are_not() -> None:
    known = EngineOthers()
    known.heard("b", FlightRow(2, 300, 1, 400))
    known.heard("c", FlightRow(1, 50, 3, 900))
    assert known.flights() == OtherFlights(3, 350, 4, 1300)
    assert known.last == 3
    assert known.gone("b") and not known.gone("b")
    assert known.flights() == OtherFlights(1, 50, 3, 900) and known.last == 2


def test_the_number_of_hearths_falls_only_where_it_is_certain() -> None:
    """A store that is about to be silent takes no Hearth away: each of them still has as much in flight as this one."""
    known = EngineOthers(2)
    known.heard("b", FlightRow(1))
    known.heard("c", FlightRow(1))
    known.flights()
    known.gone("c")
    known.flights(certain=False)
    assert known.unheard() == OtherFlights(times=3)
    assert known.rows == {}


def test_counts_begin_with_the_first_row_of_a_hearth_and_never_fall() -> None:
    """A Hearth that has served for days joins, one restarts, one leaves: nobody's past is taken for requests of now."""
    known = EngineOthers()
    known.heard("b", FlightRow(begun=10_000, read=5_000_000))
    known.heard("b", FlightRow(begun=10_002, read=5_000_700))
    assert (known.flights().begun, known.flights().read) == (2, 700)
    known.heard("b", FlightRow(begun=1, read=10))
    known.gone("b")
    known.heard("b", FlightRow(begun=500, read=9_000))
    assert (known.flights().begun, known.flights().read) == (2, 700)


def test_a_prediction_counts_the_prompts_of_others() -> None:
    """Four prompts of another Hearth delay the next one as four of ours do, and no longer once they have begun."""
    own, now = learned()
    for number in range(4):
        own.admit(f"w{number}", 500, None, now)
    beside, _ = learned()
    heard(beside, OtherFlights(4, 2_000), now)
    assert beside.predicted_ttft(500, now) == pytest.approx(own.predicted_ttft(500, now), rel=0.05)
    assert beside.waiting_now(now) == 4 and beside.waiting == 0
    heard(beside, OtherFlights(0, 0, 4, 2_000, begun=4, read=2_000), now)
    assert beside.predicted_ttft(500, now) == pytest.approx(0.1, rel=0.1)


def test_slots_and_kv_of_others_are_taken() -> None:
    """With every slot taken by others one must end; so it is where the KV cache is theirs."""
    ledger, now = learned(slots=4)
    heard(ledger, OtherFlights(running=4, kv=2_000), now)
    assert ledger.backlog_s(500, now) > 0.1
    heard(ledger, OtherFlights(running=3, kv=1_500), now)
    assert ledger.backlog_s(500, now) == 0.0
    ledger, now = learned(kv_capacity=4_000)
    heard(ledger, OtherFlights(running=3, kv=3_800), now)
    assert ledger.backlog_s(500, now) > 0.05 and ledger.kv_share(now) == pytest.approx(0.95)


def test_a_request_waits_for_those_of_others_that_were_there_before_it() -> None:
    """Not for those that came later; and less and less as they are read."""
    ledger, now = learned()
    heard(ledger, OtherFlights(4, 2_000), now)
    ledger.admit("mine", 500, None, now)
    mine = ledger.open["mine"]
    assert ledger.remaining_s(mine, now) == pytest.approx(0.5, rel=0.1)
    heard(ledger, OtherFlights(9, 4_500), now)
    assert ledger.remaining_s(mine, now) == pytest.approx(0.5, rel=0.1)
    heard(ledger, OtherFlights(6, 3_000, 3, 1_500, begun=3, read=1_500), now)
    assert ledger.remaining_s(mine, now) == pytest.approx(0.2, rel=0.2)


def test_while_nothing_is_heard_each_hearth_has_as_much_as_this_one() -> None:
    ledger, now = learned()
    ledger.admit("a", 500, None, now)
    alone = ledger.predicted_ttft(500, now)
    heard(ledger, OtherFlights(times=3), now)
    assert ledger.waiting_now(now) == 3
    assert ledger.predicted_ttft(500, now) == pytest.approx(alone + 0.2, rel=0.1)


def test_the_gauges_are_not_counted_twice() -> None:
    """The engine's gauges hold everybody's requests: they are compared with the sum and never added to it."""
    ledger = Driven(kv_capacity=10_000, alone=False)
    heard(ledger, OtherFlights(2, 200, 4, 4_000), 0.0)
    for at in (1.0, 2.0, 3.0):
        ledger.observe(Telemetry(at, 2, 4, 0.4, kv_tokens=10_000))
    assert ledger.waiting_now(3.1) == 2
    assert ledger.kv_share(3.1) == pytest.approx(0.4)
    ledger.admit("a", 1_000, None, 3.1)
    ledger.first_token("a", 3.2)
    assert ledger.kv_share(3.2) == pytest.approx(0.5, rel=0.01)


def test_gauges_teach_nothing_of_the_cache_while_others_are_not_heard() -> None:
    """They hold what nobody here has sent: ours would seem to take more of the cache than it does."""
    ledger = Driven(kv_capacity=10_000, alone=False)
    ledger.admit("a", 1_000, None, 0.0)
    ledger.first_token("a", 0.1)
    heard(ledger, OtherFlights(times=3), 0.2)
    for at in (1.0, 2.0, 3.0):
        ledger.observe(Telemetry(at, 0, 9, 0.9, kv_tokens=10_000))
    heard(ledger, OtherFlights(), 3.1)
    assert ledger.kv_share(3.1) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("told", [True, False])
def test_prompts_of_others_are_not_learned_as_slowness(told: bool) -> None:
    """Three prompts of others before each of ours. Told of them, the engine is as fast as it is; untold it seems slower."""
    ledger, now = learned()
    fast = ledger.reading_s(500, now)
    for number in range(1, 40):
        ledger.admit(f"m{number}", 500, None, now)
        now += 0.4
        ledger.first_token(f"m{number}", now)
        if told:  # 50 ms late: the last of theirs was read 0.1 s before ours
            heard(ledger, OtherFlights(begun=3 * number, read=1_500 * number, ago_s=0.15), now + 0.05)
            heard(ledger, OtherFlights(begun=3 * number, read=1_500 * number, ago_s=0.3), now + 0.2)
        now += 0.3
        ledger.finish(f"m{number}", now)
    seen = ledger.reading_s(500, now)
    assert seen == pytest.approx(fast, rel=0.15) if told else seen > 2 * fast


def test_prompts_of_others_that_were_read_in_the_same_step_count() -> None:
    """One of ours and three of theirs get their first tokens together, after as long as four prompts take."""
    ledger, now = learned()
    fast = ledger.reading_s(500, now)
    heard(ledger, OtherFlights(), now)
    for number in range(1, 40):
        ledger.admit(f"m{number}", 500, None, now)
        now += 0.4
        ledger.first_token(f"m{number}", now)
        heard(ledger, OtherFlights(begun=3 * number, read=1_500 * number, ago_s=0.05), now + 0.05)
        heard(ledger, OtherFlights(begun=3 * number, read=1_500 * number, ago_s=0.2), now + 0.2)
        now += 0.3
        ledger.finish(f"m{number}", now)
    assert ledger.reading_s(500, now) == pytest.approx(fast, rel=0.15)


def test_a_hearth_that_nobody_is_beside_goes_on_learning() -> None:
    """The others were heard once, and send nothing: an engine that became slower is noticed."""
    ledger, now = learned()
    heard(ledger, OtherFlights(), now)
    for number in range(60):
        ledger.admit(f"m{number}", 500, None, now)
        ledger.first_token(f"m{number}", now + 0.3)
        ledger.cancel(f"m{number}", now + 0.4)
        now += 0.4
    assert ledger.reading_s(500, now) == pytest.approx(0.3, rel=0.3)


def test_nothing_is_learned_of_speeds_while_others_are_not_heard() -> None:
    """Reading and generating; the margin is: predictions must hold all the same."""
    ledger, now = learned()
    fast, speed = ledger.reading_s(500, now), ledger.speed
    heard(ledger, OtherFlights(times=2), now)
    for number in range(40):
        ledger.admit(f"m{number}", 500, None, now)
        ledger.first_token(f"m{number}", now + 1.0)
        for _ in range(20):
            ledger.tokens(f"m{number}", 1, now + 9.0)
        ledger.finish(f"m{number}", now + 9.0)
        now += 10.0
    after = ledger.speed
    assert speed is not None and after is not None and after.step_s(1) == pytest.approx(speed.step_s(1), rel=0.01)
    assert after.read_s == pytest.approx(fast, rel=0.01)


def test_the_step_of_a_batch_counts_the_answers_of_others_in_it() -> None:
    """Answers beside nine of another Hearth are slower, and that is no property of a batch of one."""
    told, untold = Driven(), Driven()
    for ledger in (told, untold):
        if ledger is told:
            heard(ledger, OtherFlights(running=9, kv=900), 0.0)
        serve(ledger, 20, step=0.2)
    assert told.speed is not None and untold.speed is not None
    assert told.speed.step_s(10) == pytest.approx(0.2, rel=0.2)
    assert untold.speed.step_s(1) == pytest.approx(0.2, rel=0.2)


def test_a_hearth_that_has_just_started_believes_the_speeds_of_another() -> None:
    """Until it has measured its own; and what it publishes is what it has measured."""
    teacher, now = learned()
    row = teacher.row(now)
    young = Driven()
    young.take_over(FlightRow(1, 100))
    assert step_s(young) is None
    young.take_over(row)
    assert young.reading_s(500, 0.0) == pytest.approx(teacher.reading_s(500, now), rel=0.2)
    assert step_s(young) == pytest.approx(0.02, rel=0.2)
    serve(young, 60, seconds=0.4, step=0.1)
    young.take_over(row)
    assert step_s(young) == pytest.approx(0.1, rel=0.2)


def step_s(ledger: Ledger) -> float | None:
    """Seconds of a step with one answer, as learned."""
    return ledger.speed.step_s(1) if ledger.speed is not None else None


def test_a_row_says_what_is_in_flight() -> None:
    ledger = Driven(slots=8)
    ledger.admit("a", 100, None, 0.0)
    ledger.admit("b", 200, None, 0.0)
    ledger.first_token("a", 0.1)
    ledger.tokens("a", 4, 0.2)
    row = ledger.row(0.2)
    assert row == FlightRow(1, 200, 1, 105, 1, 100, slots=8, answer=row.answer, ago_us=100_000)
    ledger.cancel("b", 0.3)
    ledger.finish("a", 0.3)
    row = ledger.row(0.3)
    assert (row.waiting, row.running, row.kv, row.begun) == (0, 0, 0, 1)


def test_the_batch_work_of_others_is_no_queue_either() -> None:
    """It is told apart in their rows, and the engine's gauge counts it too."""
    theirs = Driven(slots=8)
    for number in range(5):
        theirs.admit(f"line{number}", 100, None, 0.0, whole=True, batch=number > 0)
    known = EngineOthers()
    known.heard("b", theirs.row(0.0))
    ours = Driven(slots=8, alone=False)
    ours.hear(known.flights(), 0.0)
    assert ours.waiting_now(0.0) == 1
    ours.observe(Telemetry(0.1, 6, 0, 0.1))
    assert ours.waiting_now(0.2) == 2  # one of them is nobody's whom a Hearth sees
    ours.admit("a", 100, None, 0.2)
    ours.admit("own line", 100, None, 0.2, whole=True, batch=True)
    assert ours.waiting_now(0.3) == 2  # the gauge is older than these two, and says less than the rows


def test_the_replica_that_others_have_not_filled_is_chosen() -> None:
    """Learned or not."""
    busy, idle = Ledger(), Ledger()
    heard(busy, OtherFlights(running=5), 0.0)
    assert choose([busy, idle], 100, 0.0) == 1
    heard(busy, OtherFlights(3, 300), 0.1)
    assert choose([busy, idle], 100, 0.1) == 1


def test_batch_work_leaves_room_for_others() -> None:
    ledger, now = learned(slots=10)
    assert ledger.spare(now) == 9
    heard(ledger, OtherFlights(1, 500, 6, 3_000), now)
    assert ledger.spare(now) == 2
