"""The ledger: what it counts, what it learns from a fake engine, and what it predicts."""

from __future__ import annotations

import random

import pytest

from runtime.contract.engine import Telemetry
from runtime.contract.usage import Usage
from runtime.load.ledger import InFlight, Ledger
from runtime.load.rates import Margin, Quantile
from runtime.load.saturation import choose


class Driven(Ledger):
    """A ledger whose requests are driven by name and time, as a script of events."""

    def __init__(self, slots: int | None = None, kv_capacity: int | None = None, *, alone: bool = True) -> None:
        super().__init__(slots, kv_capacity, alone=alone)
        self.now = 0.0
        self.open: dict[str, InFlight] = {}

    def admit(
        self, id: str, prompt: int, limit: int | None, now: float, *, whole: bool = False, batch: bool = False
    ) -> None:
        self.now = now
        self.open[id] = self.claim(prompt, limit, lambda: self.now, whole=whole, batch=batch).__enter__()

    def first_token(self, id: str, now: float) -> None:
        self.open[id].first_token(now)

    def tokens(self, id: str, n: int, now: float) -> None:
        self.open[id].tokens(n, now)

    def finish(self, id: str, now: float, usage: Usage | None = None) -> None:
        self.now = now
        self.open[id].done(usage)
        self.cancel(id, now)

    def cancel(self, id: str, now: float) -> None:
        self.now = now
        self.open[id].__exit__(None, None, None)


def serve(
    ledger: Driven, count: int, *, prompt: int = 500, seconds: float = 0.1, out: int = 50, step: float = 0.02
) -> float:
    """Requests one after another on an engine that reads `prompt` tokens in `seconds`. When it ends."""
    now = 0.0
    for number in range(count):
        ledger.admit(f"s{number}", prompt, None, now)
        now += seconds
        ledger.first_token(f"s{number}", now)
        for _ in range(out - 1):
            now += step
            ledger.tokens(f"s{number}", 1, now)
        ledger.finish(f"s{number}", now, Usage(prompt, out))
    return now


def test_it_counts_what_is_in_flight() -> None:
    """Waiting until the first token, running until the end, tokens all along."""
    ledger = Driven(kv_capacity=1_000)
    ledger.admit("a", 100, 50, 0.0)
    ledger.admit("b", 200, None, 0.1)
    assert (ledger.waiting, ledger.running, ledger.kv_share(0.1)) == (2, 0, 0.0)
    ledger.first_token("a", 0.2)
    ledger.tokens("a", 4, 0.3)
    assert (ledger.waiting, ledger.running, ledger.kv_share(0.3)) == (1, 1, 0.105)
    ledger.finish("a", 0.4)
    ledger.cancel("b", 0.5)
    assert (ledger.waiting, ledger.running, ledger.kv_share(0.5)) == (0, 0, 0.0)


def test_a_request_that_has_ended_changes_nothing() -> None:
    """A late chunk of a cancelled request is no fault."""
    ledger = Driven(kv_capacity=1_000)
    ledger.admit("a", 100, None, 0.0)
    ledger.cancel("a", 0.1)
    ledger.cancel("a", 0.1)
    ledger.first_token("a", 0.2)
    ledger.tokens("a", 1, 0.2)
    ledger.finish("a", 0.3)
    assert (ledger.waiting, ledger.running, ledger.kv_share(0.3)) == (0, 0, 0.0)


def test_requests_that_fail_teach_nothing_about_answers() -> None:
    """Twenty that were cancelled after 30 s leave the learned length and step of an answer as they were."""
    ledger = Driven(slots=1)
    now = serve(ledger, 5, out=100, step=0.02)
    ledger.admit("running", 500, None, now)
    ledger.first_token("running", now + 0.1)
    before = ledger.backlog_s(500, now + 0.1)
    ledger.cancel("running", now + 0.1)
    for number in range(20):
        ledger.admit(f"c{number}", 500, None, now)
        ledger.first_token(f"c{number}", now + 0.1)
        ledger.tokens(f"c{number}", 15, now + 30)
        now += 30.0
        ledger.cancel(f"c{number}", now)
    ledger.admit("running", 500, None, now)
    ledger.first_token("running", now + 0.1)
    assert before == pytest.approx(2.0, rel=0.2)
    assert ledger.backlog_s(500, now + 0.1) == pytest.approx(before, rel=0.1)


def test_whole_answers_that_fail_teach_nothing() -> None:
    """A failed whole answer says neither how long one takes nor how long it is."""
    ledger = Driven()
    for number in range(10):
        ledger.admit(f"f{number}", 100, None, 60.0 * number, whole=True)
        ledger.cancel(f"f{number}", 60.0 * number + 59)
    ledger.admit("a", 100, None, 1_000.0, whole=True)
    ledger.admit("b", 100, None, 1_001.0, whole=True)
    assert (ledger.running, ledger.waiting) == (1, 1)


def test_a_request_leaves_the_ledger_whatever_ends_it() -> None:
    """An exception inside its `with` frees its place, as an answer does."""
    ledger, clock = Ledger(), [0.0]
    with pytest.raises(RuntimeError), ledger.claim(10, None, lambda: clock[0]) as work:
        work.first_token(0.1)
        raise RuntimeError("cut")
    with ledger.claim(10, None, lambda: clock[0]) as work:
        work.first_token(0.1)
        work.tokens(9, 0.2)
        work.done(Usage(10, 10))
        assert ledger.running == 0
    assert (ledger.waiting, ledger.running) == (0, 0)


def test_many_requests_leave_no_trace() -> None:
    """The tables hold what is in flight and nothing else; numbers stay finite."""
    ledger = Ledger(kv_capacity=1_000_000)
    now = 0.0
    for number in range(20_000):
        now += 0.01
        with ledger.claim(100 + number % 7, 50 if number % 3 else None, lambda: now, whole=number % 2 == 0) as work:  # noqa: B023
            work.first_token(now)
            if number % 5:
                work.done()
    assert (ledger.waiting, ledger.running, ledger.kv_share(now)) == (0, 0, 0.0)
    assert ledger.backlog_s(100, now) == 0.0


def test_nothing_is_predicted_without_evidence() -> None:
    """The first requests stay, however long their prompts."""
    ledger = Driven()
    assert ledger.predicted_ttft(100_000, 0.0) == 0.0
    for number in range(4):
        ledger.admit(str(number), 2_000, None, 0.0)
    assert ledger.predicted_ttft(100_000, 0.0) == 0.0


def test_it_learns_how_fast_prompts_are_read() -> None:
    """From first tokens; requests ahead add up."""
    ledger = Driven()
    now = serve(ledger, 20)
    assert ledger.predicted_ttft(500, now) == pytest.approx(0.1, rel=0.25)
    for number in range(10):
        ledger.admit(f"w{number}", 500, None, now)
    assert ledger.predicted_ttft(500, now) == pytest.approx(1.1, rel=0.25)


def test_long_prompts_are_told_from_short_ones() -> None:
    """A fixed cost and a cost per token are learned apart."""
    ledger = Driven()
    now = 0.0
    for number in range(40):
        prompt = 100 if number % 2 else 2_000
        ledger.admit(str(number), prompt, None, now)
        now += 0.03 + prompt / 5_000
        ledger.first_token(str(number), now)
        ledger.finish(str(number), now)
    assert ledger.predicted_ttft(100, now) == pytest.approx(0.05, rel=0.3)
    assert ledger.predicted_ttft(4_000, now) == pytest.approx(0.83, rel=0.2)


def test_what_is_already_read_is_not_waited_for_again() -> None:
    """The head's own time passes."""
    ledger = Driven()
    now = serve(ledger, 20, seconds=1.0)
    ledger.admit("head", 500, None, now)
    assert ledger.backlog_s(500, now + 0.8) < ledger.backlog_s(500, now)


def test_a_head_long_overdue_warns() -> None:
    """An engine that has been silent for ten seconds is not predicted to answer in a tenth of one."""
    ledger = Driven()
    now = serve(ledger, 20)
    ledger.admit("head", 500, None, now)
    assert ledger.predicted_ttft(500, now + 10) > 9


def test_a_full_batch_is_waited_for() -> None:
    """With all slots taken, the next one comes when an answer ends."""
    ledger = Driven(slots=4)
    now = serve(ledger, 20, out=100, step=0.02)
    for number in range(4):
        ledger.admit(f"r{number}", 500, None, now)
        now += 0.1
        ledger.first_token(f"r{number}", now)
    assert 0.3 < ledger.predicted_ttft(500, now) < 1.5
    ledger.cancel("r0", now)
    assert ledger.predicted_ttft(500, now) < 0.3


def test_of_a_burst_on_an_idle_engine_the_last_wait_for_the_first() -> None:
    """Although no answer has begun: two will run, and the next ones wait for their ends."""
    ledger = Driven(slots=2)
    now = serve(ledger, 20, out=100, step=0.02)  # an answer takes two seconds
    waits = []
    for number in range(6):
        waits.append(ledger.predicted_ttft(500, now))
        ledger.admit(f"r{number}", 500, None, now)
    assert waits[1] < 0.5
    assert waits[2] == pytest.approx(1, rel=0.3) and waits[5] == pytest.approx(4, rel=0.3)


def test_answers_longer_than_thought_delay_hardly_anybody_once_they_have_ended() -> None:
    """How long others waited for them says nothing of a prompt that waits for another prompt alone."""
    ledger = Driven(slots=2)
    now = serve(ledger, 20)
    for number in range(4):
        ledger.admit(f"r{number}", 500, None, now)
    for number in (0, 1):
        now += 0.1
        ledger.first_token(f"r{number}", now)
    now += 60.0
    for number in (0, 1):
        ledger.finish(f"r{number}", now)
    for number in (2, 3):
        now += 0.1
        ledger.first_token(f"r{number}", now)
    assert ledger.predicted_ttft(500, now) > 20  # both slots are taken, as they were
    for number in (2, 3):
        ledger.finish(f"r{number}", now)
    ledger.admit("next", 500, None, now)
    assert 0.1 < ledger.predicted_ttft(500, now) < 3


def test_a_full_kv_cache_is_waited_for() -> None:
    """A prompt that does not fit waits though slots are free."""
    ledger = Driven(slots=64, kv_capacity=2_500)
    now = serve(ledger, 20, out=100)
    for number in range(4):
        ledger.admit(f"r{number}", 500, None, now)
        now += 0.1
        ledger.first_token(f"r{number}", now)
    assert ledger.backlog_s(100, now) == 0.0
    assert ledger.backlog_s(2_000, now) > 0.5


def test_an_idle_engine_is_tried_again() -> None:
    """Slow speeds are forgotten with time: a cold start must not banish every prompt for ever."""
    ledger = Driven()
    now = serve(ledger, 5, seconds=6.0)
    assert ledger.predicted_ttft(500, now) > 3
    assert ledger.predicted_ttft(500, now + 300) < 0.1


def test_one_stall_does_not_make_an_engine_slow() -> None:
    """Far outliers count as a few times what was expected."""
    ledger = Driven()
    now = serve(ledger, 20)
    ledger.admit("stalled", 500, None, now)
    now += 60.0
    ledger.first_token("stalled", now)
    ledger.finish("stalled", now)
    assert ledger.predicted_ttft(500, now) < 0.5


def test_whole_answers_begin_when_they_are_due() -> None:
    """An answer in one piece shows no first token, and must not count as waiting until its end."""
    ledger = Driven(slots=2)
    now = serve(ledger, 20)
    for number in range(4):
        ledger.admit(f"w{number}", 500, None, now, whole=True)
    now += 1.0
    ledger.admit("late", 500, None, now)
    assert (ledger.running, ledger.waiting) == (2, 3)
    ledger.finish("w0", now, Usage(500, 50))
    now += 1.0
    ledger.finish("w1", now, Usage(500, 50))
    assert ledger.running + ledger.waiting == 3


def test_a_burst_of_whole_answers_waits_at_first_and_then_as_long_as_it_does() -> None:
    """Before anything was learned they wait a moment; later, what whole answers took beside their tokens."""
    ledger = Driven()
    for number in range(6):
        ledger.admit(f"b{number}", 100, None, 0.0, whole=True)
    assert ledger.waiting == 6
    ledger.admit("next", 100, None, 1.0, whole=True)
    assert (ledger.running, ledger.waiting) == (6, 1)
    now = 1.0
    for number in range(30):
        out = 10 if number % 2 else 60
        ledger.admit(f"w{number}", 100, None, now, whole=True)
        now += 0.8 + out * 0.02
        ledger.finish(f"w{number}", now, Usage(100, out))
    ledger.admit("a", 100, None, now, whole=True)
    ledger.admit("b", 100, None, now + 0.5, whole=True)
    assert ledger.waiting == 2
    ledger.admit("c", 100, None, now + 1.0, whole=True)
    assert ledger.waiting == 2


def test_the_engines_word_counts_where_first_tokens_are_not_seen() -> None:
    """Whole answers thought to run may still be in its queue."""
    ledger = Driven()
    for number in range(6):
        ledger.admit(f"b{number}", 100, None, 0.0, whole=True)
    ledger.admit("next", 100, None, 1.0, whole=True)
    ledger.observe(word(1.0, 5, 2))
    assert ledger.waiting_now(1.5) == 5


def test_a_first_token_says_that_whole_answers_before_it_have_begun() -> None:
    """The engine reads in order."""
    ledger = Driven()
    ledger.admit("whole", 500, None, 0.0, whole=True)
    ledger.admit("streamed", 500, None, 0.0)
    ledger.first_token("streamed", 0.2)
    assert (ledger.running, ledger.waiting) == (2, 0)


def word(at: float, waiting: int, running: int, kv: float = 0.1, capacity: int | None = None) -> Telemetry:
    return Telemetry(at, waiting, running, kv, kv_tokens=capacity)


def test_slots_are_learned_from_a_steady_queue() -> None:
    """Requests wait, KV has room, as many run as before: that many fit."""
    ledger = Driven()
    ledger.observe(word(1.0, 3, 8))
    assert ledger.slots is None
    ledger.observe(word(1.0, 3, 8))
    assert ledger.slots is None
    ledger.observe(word(2.0, 2, 8))
    assert ledger.slots == 8


def test_learned_slots_grow_with_what_is_seen_to_run_and_not_with_what_is_supposed() -> None:
    """Only first tokens that came prove a slot."""
    ledger = Driven()
    for second in (1.0, 2.0):
        ledger.observe(word(second, 3, 2))
    for number in range(2):
        ledger.admit(f"s{number}", 10, None, 2.0)
        ledger.first_token(f"s{number}", 2.1)
    ledger.admit("whole", 10, None, 3.0, whole=True)
    assert (ledger.slots, ledger.waiting_now(9.0)) == (2, 1)
    ledger.admit("seen", 10, None, 3.0)
    ledger.first_token("seen", 3.1)
    assert ledger.slots == 3


def burst(ledger: Driven, count: int, slots: int) -> None:
    """Requests sent at once to an engine of so many slots: one begins for each that ends."""
    for number in range(count):
        ledger.admit(str(number), 10, None, 0.0)
    for number in range(count):
        now = 0.1 * (1 + number)
        if number >= slots:
            ledger.finish(str(number - slots), now - 0.05, Usage(10, 1))
        ledger.first_token(str(number), now)


def test_slots_are_learned_from_a_queue_without_any_gauge() -> None:
    """As many as ran at most run again and again, and others wait."""
    ledger = Driven()
    burst(ledger, 12, 6)
    assert ledger.slots == 6
    full, gauge_knows = Driven(), Driven(slots=9)
    burst(full, 12, 12)
    burst(gauge_knows, 12, 6)
    assert (full.slots, gauge_knows.slots) == (None, 9)


def test_requests_that_come_one_by_one_say_nothing_about_slots() -> None:
    """As many run as clients ask at a time; nobody waits behind them."""
    ledger = Driven()
    for number in range(40):
        if number >= 4:
            ledger.finish(str(number - 4), number - 0.5, Usage(10, 1))
        ledger.admit(str(number), 10, None, float(number))
        ledger.first_token(str(number), number + 0.1)
    assert (ledger.running, ledger.slots) == (4, None)


def test_streams_one_by_one_beside_whole_answers_say_nothing_about_slots() -> None:
    """Of a whole answer nobody knows whether it runs or waits."""
    ledger = Driven()
    for number in range(20):
        ledger.admit(f"w{number}", 10, None, float(number), whole=True)
        ledger.admit(str(number), 10, None, number + 0.01)
        ledger.admit(f"behind{number}", 10, None, number + 0.02, whole=True)
        ledger.first_token(str(number), number + 0.1)
        for name in (str(number), f"w{number}", f"behind{number}"):
            ledger.finish(name, number + 0.5, Usage(10, 5))
    assert ledger.slots is None


def test_batch_work_counts_as_no_request_that_waits() -> None:
    """It is sent where a slot is free. Nor is it thought to wait for one after an answer that took long for few tokens."""
    ledger = Driven()
    now = 0.0
    for number, out in enumerate((4, 40, 40, 40, 40)):
        ledger.admit(f"slow{number}", 10, None, now, whole=True)
        ledger.admit(f"after{number}", 10, None, now + 9.0, whole=True)  # the first has begun by now
        ledger.cancel(f"after{number}", now + 9.0)
        now += 10.0 if out == 4 else 4.0
        ledger.finish(f"slow{number}", now, Usage(10, out))
    ledger.admit("whole", 10, None, now, whole=True)
    ledger.admit("other", 10, None, now + 2.0, whole=True)
    assert ledger.waiting_now(now + 2.0) == 2  # so is an answer in one piece of somebody else
    for name in ("whole", "other"):
        ledger.cancel(name, now + 2.0)
    now += 10.0
    for number in range(7):
        ledger.admit(f"line{number}", 10, None, now, whole=True, batch=True)
    assert (ledger.waiting_now(now + 0.1), ledger.waiting) == (0, 7)
    assert ledger.backlog_s(10, now + 2.0) == 0 and (ledger.waiting, ledger.running) == (0, 7)
    ledger.admit("other", 10, None, now + 2.0)
    assert ledger.waiting_now(now + 2.0) == 1


def test_slots_that_were_given_are_not_learned() -> None:
    """The operator's number stands."""
    ledger = Driven(slots=16)
    ledger.observe(word(1.0, 3, 8))
    ledger.observe(word(2.0, 3, 8))
    assert ledger.slots == 16


def test_shared_prefixes_correct_the_kv_count() -> None:
    """The engine holds less than was sent to it."""
    ledger = Driven()
    for number in range(10):
        ledger.admit(str(number), 1_000, None, 0.0)
        ledger.first_token(str(number), 0.1)
    for second in range(60):
        ledger.observe(word(float(second), 0, 10, kv=0.1, capacity=20_000))
    assert ledger.kv_share(60.0) == pytest.approx(0.1, rel=0.15)


def test_requests_that_wait_hold_no_kv_yet() -> None:
    """The engine's gauge is compared with what it has read: a queue is no shared prefix."""
    ledger = Driven()
    for number in range(10):
        ledger.admit(str(number), 1_000, None, 0.0)
    for number in range(5):
        ledger.first_token(str(number), 0.1)
    for second in range(60):
        ledger.observe(word(float(second), 5, 5, kv=0.25, capacity=20_000))
    assert ledger.kv_share(60.0) == pytest.approx(0.25, rel=0.05)


def test_only_fresh_words_of_a_shared_engine_count() -> None:
    """Others' requests are seen there, but not late."""
    ledger = Driven(alone=False)
    ledger.observe(word(10.0, 7, 8, kv=0.6))
    assert (ledger.waiting_now(11.0), ledger.kv_share(11.0)) == (7, 0.6)
    assert (ledger.waiting_now(13.0), ledger.kv_share(13.0)) == (0, None)
    own = Driven()
    own.observe(word(10.0, 7, 8))
    assert own.waiting_now(11.0) == 0


def test_the_emptier_replica_is_chosen() -> None:
    """Least predicted TTFT, then fewest waiting, then fewest running."""
    busy, calm = Driven(), Driven()
    busy.admit("a", 10, None, 0.0)
    assert choose([busy, calm], 100, 0.0) == 1
    busy.first_token("a", 0.1)
    assert choose([busy, calm], 100, 0.1) == 1
    assert choose([Ledger(), Ledger()], 100, 0.0) == 0
    assert choose([], 100, 0.0) is None


def test_the_wait_for_room_grows_with_those_before_and_with_time() -> None:
    """None on an idle engine; the oldest of those that wait for a first token has waited longest."""
    ledger = Driven()
    now = serve(ledger, 20, seconds=0.5)
    assert (ledger.backlog_s(500, now), ledger.waited_s(now)) == (0.0, 0.0)
    for number in range(10):
        ledger.admit(f"w{number}", 500, None, now)
    assert ledger.backlog_s(500, now) == pytest.approx(5.0, rel=0.3)
    assert ledger.waited_s(now + 2) == 2.0


def test_tokens_take_the_seconds_they_were_seen_to_take() -> None:
    """Reading, and generating in the usual batch; nothing before both are known."""
    ledger, now = Ledger(slots=4), [0.0]
    assert (ledger.learned, ledger.speed) == (False, None)
    for _ in range(5):
        with ledger.claim(1_000, None, lambda: now[0]) as flight:
            now[0] += 0.5
            flight.first_token(now[0])
            for _ in range(20):
                now[0] += 0.02
                flight.tokens(1, now[0])
            flight.done()
        now[0] += 1.0
    assert ledger.speed is not None
    read, generated = ledger.speed.token_s
    assert read == pytest.approx(0.0005, rel=0.1) and generated == pytest.approx(0.02, rel=0.1)


def test_a_quantile_follows_the_latest_answers() -> None:
    """Nine in ten of them began within it, and it comes down when they begin sooner."""
    seen, quantile = random.Random(1), Quantile()
    assert quantile.value is None
    for _ in range(2_000):
        quantile.learn(seen.uniform(0.5, 1.5))
    assert quantile.value == pytest.approx(1.4, abs=0.1)
    for _ in range(2_000):
        quantile.learn(seen.uniform(0.1, 0.3))
    assert quantile.value == pytest.approx(0.28, abs=0.05)


def test_a_margin_that_nothing_teaches_is_forgotten() -> None:
    """One too large would keep away the requests that could correct it."""
    margin = Margin()
    for _ in range(200):
        margin.learn(2.0, 10.0)
    assert margin.at(10.5) > 1.5
    assert margin.at(60.0) < 0.1


def test_an_error_above_the_margin_raises_it_at_once() -> None:
    """An engine that became slower is noticed with the first request, and by the oldest one before its first token."""
    margin = Margin()
    for _ in range(50):
        margin.learn(0.1, 1.0)
    margin.learn(3.0, 1.0)
    assert margin.at(1.0) > 1.0


def test_what_is_left_of_a_wait() -> None:
    """Nothing without evidence and after the first token; else the reading before it, and the delay of the oldest."""
    ledger, now = Ledger(), [0.0]

    def clock() -> float:
        return now[0]

    with ledger.claim(1_000, None, clock) as early:
        assert ledger.remaining_s(early, 5.0) == 0.0
    for _ in range(5):
        with ledger.claim(1_000, None, clock) as flight:
            now[0] += 0.5
            flight.first_token(now[0])
            flight.done()
    with ledger.claim(1_000, None, clock) as first, ledger.claim(1_000, None, clock) as second:
        assert ledger.remaining_s(first, now[0]) == pytest.approx(0.5, rel=0.1)
        assert ledger.remaining_s(second, now[0]) == pytest.approx(1.0, rel=0.1)
        assert ledger.remaining_s(second, now[0] + 10.0) > 5.0
        now[0] += 10.0
        first.first_token(now[0])
        assert ledger.remaining_s(first, now[0]) == 0.0


def test_a_head_long_overdue_reads_nothing_of_those_behind_it() -> None:
    """What is left for the second grows while the first is stuck; it does not shrink to nothing."""
    ledger = Driven()
    now = serve(ledger, 5, prompt=1_000, seconds=0.5)
    for id in ("first", "second"):
        ledger.admit(id, 1_000, None, now)
    lefts = [ledger.remaining_s(ledger.open["second"], now + waited) for waited in (0.0, 0.5, 0.8, 3.0)]
    assert lefts[0] == pytest.approx(1.0, rel=0.1)
    assert lefts[1] < lefts[2] < lefts[3]


def test_a_request_that_waits_for_kv_room_has_as_long_left_as_was_predicted() -> None:
    """Both count the answers that must end first."""
    ledger = Driven(kv_capacity=5_000)
    now = serve(ledger, 5, prompt=1_000, seconds=0.1)
    for number in range(4):
        ledger.admit(str(number), 1_000, None, now)
        ledger.first_token(str(number), now + 0.01)
    predicted = ledger.predicted_ttft(3_000, now + 0.02)
    ledger.admit("long", 3_000, None, now + 0.02)
    left = ledger.remaining_s(ledger.open["long"], now + 0.02)
    assert left > 0.5 and left == pytest.approx(predicted, rel=0.5)


def test_room_for_batch_work() -> None:
    """One slot stays free where they are known. Where they are not, each request that begins at once makes room for more."""
    known, unknown = Driven(slots=16), Driven()
    assert (known.spare(0.0), unknown.spare(0.0)) == (15, 7)
    for number in range(40):
        assert unknown.spare(0.0) > 0, number
        unknown.admit(f"r{number}", 10, None, 0.0)
        unknown.first_token(f"r{number}", 0.1)
    for number in range(40, 60):
        if unknown.spare(0.0) > 0:
            unknown.admit(f"r{number}", 10, None, 0.0)
    assert unknown.waiting <= 6, "those that wait would stand in the way of others"


def test_no_more_batch_work_is_sent_at_once_than_there_is_kv_room_for() -> None:
    """Prompts hold none before they are read, so that those just sent are counted with it."""
    ledger = Driven(slots=128, kv_capacity=20_000)
    now = serve(ledger, 20, prompt=900, out=100)
    assert ledger.spare(now) == 18  # of 1,000 tokens each; a tenth of the room stays free
    for number in range(10):
        ledger.admit(f"r{number}", 900, None, now, whole=True, batch=True)
    assert ledger.spare(now) == 9
    huge = Driven(slots=128, kv_capacity=500)
    serve(huge, 20, prompt=900, out=100)
    assert huge.spare(now) == 1  # alone it is tried, or nobody would ever learn


def test_batch_work_beside_others_is_begun_in_small_pieces() -> None:
    """Nine prompts of 0.1 s would hold the next request up for most of a second; alone they may start together."""
    ledger = Driven(slots=10)
    now = serve(ledger, 40)
    assert (ledger.spare(now), ledger.spare(now, beside=True)) == (9, 1)
    ledger.admit("first", 500, None, now)
    assert (ledger.spare(now), ledger.spare(now, beside=True)) == (8, 0)
    ledger.first_token("first", now + 0.1)
    assert ledger.spare(now + 0.1, beside=True) == 1


def test_short_prompts_are_begun_together_beside_others() -> None:
    """As many as are read within one step."""
    ledger = Driven(slots=10)
    now = serve(ledger, 40, prompt=50, seconds=0.005, step=0.02)
    assert 2 <= ledger.spare(now, beside=True) <= 4


def test_a_queue_is_told_from_silence() -> None:
    """What was sent before and generates is a queue, up to its last sign: a piece, or the engine's own count of tokens."""
    ledger = Driven()
    ledger.admit("before", 100, None, 0.0)
    ledger.admit("own", 100, None, 1.0)
    own = ledger.open["own"]
    assert ledger.queued_until(own, 0.5, 2.0) == 0.0  # nothing generates
    ledger.first_token("before", 3.0)
    ledger.admit("after", 100, None, 4.0)
    assert ledger.queued_until(own, 9.0, 10.0) == 9.0
    ledger.observe(Telemetry(11.0, 0, 1, 0.1, generation_tokens=5))
    ledger.observe(Telemetry(12.0, 0, 1, 0.1, generation_tokens=9))
    ledger.observe(Telemetry(13.0, 0, 1, 0.1, generation_tokens=9))
    assert ledger.queued_until(own, 9.0, 14.0) == 12.0
    ledger.first_token("after", 15.0)
    ledger.finish("before", 20.0)
    assert ledger.queued_until(own, 30.0, 30.0) == 20.0  # what is sent later is no queue
    assert ledger.queued_until(own, 19.0, 30.0) == 19.0


def test_an_answer_that_waited_and_ended_unbegun_is_no_sign_of_life() -> None:
    """Those that a silent engine lets wait are given up one after another, none later for the one before it."""
    ledger = Driven()
    ledger.admit("before", 100, None, 0.0)
    ledger.admit("own", 100, None, 1.0)
    ledger.cancel("before", 15.0)
    assert ledger.queued_until(ledger.open["own"], None, 16.0) == 0.0
