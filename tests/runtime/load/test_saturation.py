"""Thresholds: crossed at their value, left below the release point, nothing flapping in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runtime.contract.reasons import Reason
from runtime.load.ledger import Ledger
from runtime.load.saturation import Pressure, ReplicaReading, Saturation, read
from runtime.settings import Escalation

CALM = ReplicaReading(waiting=0, running=1)


def saturation(**escalation: Any) -> Saturation:
    return Saturation(Escalation(**escalation))


def over(state: Saturation, reading: ReplicaReading, now: float = 0.0) -> Reason | None:
    return state.update(reading, now).over


def test_calm_is_calm() -> None:
    """No threshold crossed, no words."""
    assert saturation().update(CALM, 0.0) == Pressure(None, 0.0, "", {Reason.QUEUE_DEPTH: 0.0, Reason.TTFT: 0.0})


def test_queue_depth_is_crossed_at_its_value_and_left_below_release() -> None:
    """5 crosses, 4 stays crossed, 3 (below 3.5) returns, 4 does not cross again."""
    state = saturation()
    seen = [over(state, replace(CALM, waiting=waiting)) is not None for waiting in (4, 5, 4, 3, 4, 5)]
    assert seen == [False, True, True, False, False, True]


def test_the_words_hold_the_numbers() -> None:
    """The value and the threshold; under the threshold, the point of return."""
    state = saturation()
    assert state.update(replace(CALM, waiting=8), 0.0).words == "8 requests wait for a first token, the threshold is 5"
    assert state.update(replace(CALM, waiting=4), 0.0).words == (
        "4 requests wait for a first token; crossed at 5, it returns below 70% of that"
    )


def test_queue_depth_zero_sends_everything_away() -> None:
    """Even from an idle engine."""
    assert over(saturation(queue_depth=0), CALM) is Reason.QUEUE_DEPTH


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([Reason.QUEUE_DEPTH, Reason.KV_CACHE, Reason.TTFT]),
    st.booleans(),
    st.lists(st.floats(0.7001, 0.9999), min_size=1, max_size=30),
)
def test_nothing_flaps_inside_the_band(reason: Reason, crossed: bool, shares: list[float]) -> None:
    """Between release and threshold the state is whatever it was."""
    state = saturation(queue_depth=10_000)
    state.update(_at(reason, 2.0 if crossed else 0.0), 0.0)
    assert {reason in state.over for share in shares if state.update(_at(reason, share), 0.0)} == {crossed}


def _at(reason: Reason, share: float) -> ReplicaReading:
    """A reading with one value at a share of its threshold."""
    if reason is Reason.QUEUE_DEPTH:
        return replace(CALM, waiting=round(10_000 * share))
    if reason is Reason.KV_CACHE:
        return replace(CALM, kv_cache=0.85 * share)
    return replace(CALM, backlog_s=2.0 * share, typical_ttft_s=2.0 * share, predicted_ttft_s=2.0 * share)


def test_one_long_prompt_leaves_alone() -> None:
    """Its own slowness is not the engine's: the next short prompt stays."""
    state = saturation()
    long = replace(CALM, predicted_ttft_s=5.0, typical_ttft_s=0.1, backlog_s=0.05)
    assert over(state, long) is Reason.TTFT
    assert over(state, replace(long, predicted_ttft_s=0.1)) is None
    assert over(state, replace(long, predicted_ttft_s=1.5)) is None


def test_a_backlog_keeps_all_away_until_release() -> None:
    """Once usual prompts would be late, the engine drains to the release point first."""
    state = saturation()
    late = replace(CALM, predicted_ttft_s=2.1, typical_ttft_s=2.1, backlog_s=2.0)
    assert over(state, late) is Reason.TTFT
    assert over(state, replace(late, predicted_ttft_s=1.6, typical_ttft_s=1.6, backlog_s=1.5)) is Reason.TTFT
    assert over(state, replace(late, predicted_ttft_s=1.3, typical_ttft_s=1.3, backlog_s=1.2)) is None


def test_an_empty_slow_engine_is_not_kept_away_from() -> None:
    """A usual prompt that takes 1.8 s of 2 s on an idle engine must not hold the state for ever."""
    state = saturation()
    over(state, replace(CALM, predicted_ttft_s=2.5, typical_ttft_s=2.5, backlog_s=0.7))
    assert over(state, replace(CALM, predicted_ttft_s=1.8, typical_ttft_s=1.8, backlog_s=0.0)) is None


def test_a_busy_gpu_counts_only_when_sustained_and_ours() -> None:
    """Five seconds at the threshold, with requests running."""
    state = saturation()
    hot = replace(CALM, gpu_utilization=0.99)
    assert [over(state, hot, now) for now in (0.0, 3.0, 4.9)] == [None, None, None]
    assert over(state, hot, 5.0) is Reason.GPU
    assert over(state, replace(hot, gpu_utilization=0.8), 6.0) is Reason.GPU
    assert over(state, replace(hot, gpu_utilization=0.5), 7.0) is None
    assert over(state, replace(hot, running=0), 20.0) is None
    assert over(state, replace(hot, running=0), 30.0) is None


def test_a_dip_starts_the_five_seconds_anew() -> None:
    """Sustained means without a break."""
    state = saturation()
    hot = replace(CALM, gpu_utilization=0.99)
    over(state, hot, 0.0)
    over(state, replace(hot, gpu_utilization=0.2), 3.0)
    assert over(state, hot, 6.0) is None


def test_the_largest_ratio_is_the_reason() -> None:
    """Of several crossed thresholds the worst is the reason, and all ratios are shown."""
    pressure = saturation().update(replace(CALM, waiting=6, kv_cache=0.95), 0.0)
    assert pressure.over is Reason.QUEUE_DEPTH
    assert pressure.ratios[Reason.KV_CACHE] == pytest.approx(0.95 / 0.85)


def test_looking_changes_nothing() -> None:
    """A status page that reads a full engine neither crosses its thresholds nor starts the GPU's five seconds."""
    state = saturation()
    full = replace(CALM, waiting=8, gpu_utilization=0.99)
    assert state.look(full, 0.0).over is Reason.QUEUE_DEPTH
    assert state.over == frozenset()
    assert over(state, replace(CALM, waiting=4)) is None
    assert over(state, replace(CALM, gpu_utilization=0.99), 5.0) is None


def test_looking_releases_nothing() -> None:
    """A crossed threshold stays crossed for the next request, and looking shows what that request would meet."""
    state = saturation()
    crossed = state.update(replace(CALM, waiting=5), 0.0)
    assert state.look(replace(CALM, waiting=5), 0.0) == crossed
    assert state.look(CALM, 0.0).over is None
    assert over(state, replace(CALM, waiting=4)) is Reason.QUEUE_DEPTH


def test_what_is_no_longer_known_is_no_longer_judged() -> None:
    """Stale gauges end the state they made."""
    state = saturation()
    assert over(state, replace(CALM, kv_cache=0.95)) is Reason.KV_CACHE
    assert over(state, CALM) is None


def test_a_reading_takes_only_fresh_gauges() -> None:
    """A GPU probe older than two seconds is left out."""
    ledger = Ledger()
    assert read(ledger, 10, 10.0, gpu=(0.9, 9.0)).gpu_utilization == 0.9
    assert read(ledger, 10, 10.0, gpu=(0.9, 7.0)).gpu_utilization is None


def test_a_learned_prediction_takes_the_place_of_automatic_thresholds() -> None:
    """Queue, KV cache and GPU decide while nothing is learned; then the predicted time does, and a number is still obeyed."""
    full = replace(CALM, waiting=9, running=3, kv_cache=0.95, gpu_utilization=1.0)
    automatic = Saturation(Escalation())
    assert over(automatic, full) is Reason.QUEUE_DEPTH
    assert over(automatic, replace(full, learned=True)) is None
    assert over(saturation(queue_depth=5), replace(full, learned=True)) is Reason.QUEUE_DEPTH
    assert over(saturation(kv_cache=0.85), replace(full, learned=True)) is Reason.KV_CACHE


def test_a_learned_prediction_has_no_memory() -> None:
    """One that is late leaves, the next that is in time stays; without evidence the old state holds until released."""
    late = replace(CALM, predicted_ttft_s=2.1, typical_ttft_s=2.1, backlog_s=2.0)
    soon = replace(CALM, predicted_ttft_s=1.9, typical_ttft_s=1.9, backlog_s=1.8)
    for learned, after in ((True, None), (False, Reason.TTFT)):
        state = Saturation(Escalation(ttft_ms=2000))
        assert over(state, replace(late, learned=learned)) is Reason.TTFT
        assert over(state, replace(soon, learned=learned)) is after


def test_a_long_prompt_counts_for_those_behind_it() -> None:
    """The more, the fuller the engine is; on an idle one it counts by its own time alone, and so does a short one."""
    full = replace(CALM, predicted_ttft_s=1.8, typical_ttft_s=1.6, backlog_s=1.5, learned=True)
    judged = Saturation(Escalation(ttft_ms=2000)).update(full, 0.0)
    assert judged.over is Reason.TTFT and "behind so long a prompt" in judged.words
    for calm in (
        replace(full, typical_ttft_s=0.1, backlog_s=0.05),
        replace(full, typical_ttft_s=1.9),
        replace(full, learned=False),
    ):
        assert over(Saturation(Escalation(ttft_ms=2000)), calm) is None
