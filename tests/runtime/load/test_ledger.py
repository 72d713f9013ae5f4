"""The ledger: what it counts, what it learns from a fake engine, and what it predicts."""

from __future__ import annotations

import pytest

from runtime.contract.engine import Telemetry
from runtime.contract.usage import Usage
from runtime.load.ledger import Ledger
from runtime.load.saturation import choose


def serve(
    ledger: Ledger, count: int, *, prompt: int = 500, seconds: float = 0.1, out: int = 50, step: float = 0.02
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
    ledger = Ledger()
    ledger.admit("a", 100, 50, 0.0)
    ledger.admit("b", 200, None, 0.1)
    assert (ledger.waiting, ledger.running, ledger.prefill_ahead, ledger.kv_tokens) == (2, 0, 300, 300)
    ledger.first_token("a", 0.2)
    ledger.tokens("a", 4, 0.3)
    assert (ledger.waiting, ledger.running, ledger.prefill_ahead, ledger.kv_tokens) == (1, 1, 200, 305)
    ledger.finish("a", 0.4)
    ledger.cancel("b", 0.5)
    assert (ledger.in_flight, ledger.waiting, ledger.running, ledger.kv_tokens) == (0, 0, 0, 0)


def test_unknown_and_repeated_ids_change_nothing() -> None:
    """A late chunk of a cancelled request is no fault."""
    ledger = Ledger()
    ledger.admit("a", 100, None, 0.0)
    ledger.cancel("a", 0.1)
    ledger.cancel("a", 0.1)
    ledger.first_token("a", 0.2)
    ledger.tokens("a", 1, 0.2)
    ledger.finish("a", 0.3)
    assert (ledger.in_flight, ledger.running, ledger.kv_tokens) == (0, 0, 0)


def test_nothing_is_predicted_without_evidence() -> None:
    """The first requests stay, however long their prompts."""
    ledger = Ledger()
    assert ledger.predicted_ttft(100_000, 0.0) == 0.0
    for number in range(4):
        ledger.admit(str(number), 2_000, None, 0.0)
    assert ledger.predicted_ttft(100_000, 0.0) == 0.0


def test_it_learns_how_fast_prompts_are_read() -> None:
    """From first tokens; requests ahead add up."""
    ledger = Ledger()
    now = serve(ledger, 20)
    assert ledger.predicted_ttft(500, now) == pytest.approx(0.1, rel=0.25)
    for number in range(10):
        ledger.admit(f"w{number}", 500, None, now)
    assert ledger.predicted_ttft(500, now) == pytest.approx(1.1, rel=0.25)


def test_long_prompts_are_told_from_short_ones() -> None:
    """A fixed cost and a cost per token are learned apart."""
    ledger = Ledger()
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
    ledger = Ledger()
    now = serve(ledger, 20, seconds=1.0)
    ledger.admit("head", 500, None, now)
    assert ledger.backlog_s(500, now + 0.8) < ledger.backlog_s(500, now)


def test_a_head_long_overdue_warns() -> None:
    """An engine that has been silent for ten seconds is not predicted to answer in a tenth of one."""
    ledger = Ledger()
    now = serve(ledger, 20)
    ledger.admit("head", 500, None, now)
    assert ledger.predicted_ttft(500, now + 10) > 9


def test_a_full_batch_is_waited_for() -> None:
    """With all slots taken, the next one comes when an answer ends."""
    ledger = Ledger(slots=4)
    now = serve(ledger, 20, out=100, step=0.02)
    for number in range(4):
        ledger.admit(f"r{number}", 500, None, now)
        now += 0.1
        ledger.first_token(f"r{number}", now)
    assert 0.3 < ledger.predicted_ttft(500, now) < 1.5
    ledger.cancel("r0", now)
    assert ledger.predicted_ttft(500, now) < 0.3


def test_a_full_kv_cache_is_waited_for() -> None:
    """A prompt that does not fit waits though slots are free."""
    ledger = Ledger(slots=64, kv_capacity=2_500)
    now = serve(ledger, 20, out=100)
    for number in range(4):
        ledger.admit(f"r{number}", 500, None, now)
        now += 0.1
        ledger.first_token(f"r{number}", now)
    assert ledger.backlog_s(100, now) == 0.0
    assert ledger.backlog_s(2_000, now) > 0.5


def test_an_idle_engine_is_tried_again() -> None:
    """Slow speeds are forgotten with time: a cold start must not banish every prompt for ever."""
    ledger = Ledger()
    now = serve(ledger, 5, seconds=6.0)
    assert ledger.predicted_ttft(500, now) > 3
    assert ledger.predicted_ttft(500, now + 300) < 0.1


def test_one_stall_does_not_make_an_engine_slow() -> None:
    """Far outliers count as a few times what was expected."""
    ledger = Ledger()
    now = serve(ledger, 20)
    ledger.admit("stalled", 500, None, now)
    now += 60.0
    ledger.first_token("stalled", now)
    ledger.finish("stalled", now)
    assert ledger.predicted_ttft(500, now) < 0.5


def test_whole_answers_begin_when_they_are_due() -> None:
    """An answer in one piece shows no first token, and must not count as waiting until its end."""
    ledger = Ledger(slots=2)
    now = serve(ledger, 20)
    for number in range(4):
        ledger.admit(f"w{number}", 500, None, now, whole=True)
    now += 1.0
    ledger.admit("late", 500, None, now)
    assert (ledger.running, ledger.waiting) == (2, 3)
    ledger.finish("w0", now, Usage(500, 50))
    now += 1.0
    ledger.finish("w1", now, Usage(500, 50))
    assert ledger.in_flight == 3


def test_a_burst_of_whole_answers_waits_at_first_and_then_as_long_as_it_does() -> None:
    """Before anything was learned they wait a moment; later, what whole answers took beside their tokens."""
    ledger = Ledger()
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
    ledger = Ledger()
    for number in range(6):
        ledger.admit(f"b{number}", 100, None, 0.0, whole=True)
    ledger.admit("next", 100, None, 1.0, whole=True)
    ledger.observe(word(1.0, 5, 2))
    assert ledger.waiting_now(1.5) == 5


def test_a_first_token_says_that_whole_answers_before_it_have_begun() -> None:
    """The engine reads in order."""
    ledger = Ledger()
    ledger.admit("whole", 500, None, 0.0, whole=True)
    ledger.admit("streamed", 500, None, 0.0)
    ledger.first_token("streamed", 0.2)
    assert (ledger.running, ledger.waiting) == (2, 0)


def word(at: float, waiting: int, running: int, kv: float = 0.1, capacity: int | None = None) -> Telemetry:
    return Telemetry(at, waiting, running, kv, kv_tokens=capacity)


def test_slots_are_learned_from_a_steady_queue() -> None:
    """Requests wait, KV has room, as many run as before: that many fit."""
    ledger = Ledger()
    ledger.observe(word(1.0, 3, 8))
    assert ledger.slots is None
    ledger.observe(word(1.0, 3, 8))
    assert ledger.slots is None
    ledger.observe(word(2.0, 2, 8))
    assert ledger.slots == 8


def test_learned_slots_grow_with_what_is_seen_to_run_and_not_with_what_is_supposed() -> None:
    """Only first tokens that came prove a slot."""
    ledger = Ledger()
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


def test_slots_that_were_given_are_not_learned() -> None:
    """The operator's number stands."""
    ledger = Ledger(slots=16)
    ledger.observe(word(1.0, 3, 8))
    ledger.observe(word(2.0, 3, 8))
    assert ledger.slots == 16


def test_shared_prefixes_correct_the_kv_count() -> None:
    """What the engine holds is less than what was sent to it."""
    ledger = Ledger()
    for number in range(10):
        ledger.admit(str(number), 1_000, None, 0.0)
        ledger.first_token(str(number), 0.1)
    for second in range(60):
        ledger.observe(word(float(second), 0, 10, kv=0.1, capacity=20_000))
    assert ledger.kv_share(60.0) == pytest.approx(0.1, rel=0.15)


def test_only_fresh_words_of_a_shared_engine_count() -> None:
    """Others' requests are seen there, but not late."""
    ledger = Ledger(alone=False)
    ledger.observe(word(10.0, 7, 8, kv=0.6))
    assert (ledger.waiting_now(11.0), ledger.kv_share(11.0)) == (7, 0.6)
    assert (ledger.waiting_now(13.0), ledger.kv_share(13.0)) == (0, None)
    own = Ledger()
    own.observe(word(10.0, 7, 8))
    assert own.waiting_now(11.0) == 0


def test_the_emptier_replica_is_chosen() -> None:
    """Least predicted TTFT, then fewest waiting, then fewest running."""
    busy, calm = Ledger(), Ledger()
    busy.admit("a", 10, None, 0.0)
    assert choose([busy, calm], 100, 0.0) == 1
    busy.first_token("a", 0.1)
    assert choose([busy, calm], 100, 0.1) == 1
    assert choose([Ledger(), Ledger()], 100, 0.0) == 0
    assert choose([], 100, 0.0) is None


def test_the_wait_told_to_clients_is_an_estimate() -> None:
    """At least a second, more with more before them."""
    ledger = Ledger()
    now = serve(ledger, 20, seconds=0.5)
    assert ledger.wait_estimate(now) == 1.0
    for number in range(10):
        ledger.admit(f"w{number}", 500, None, now)
    assert ledger.wait_estimate(now) == pytest.approx(5.0, rel=0.3)
