"""The verdict over a silent engine."""

from __future__ import annotations

import pytest

from local_models.replica.hang import CanaryAnswer, Evidence, HangVerdict, judge

STILL = Evidence(tokens=100, cpu_s=50.0, compiling_s=5.0, last_byte_at=7.0)

CASES: list[tuple[str, CanaryAnswer, Evidence, float, HangVerdict]] = [
    ("the canary answers", CanaryAnswer.GIVEN, STILL, 20, HangVerdict.ALIVE),
    ("a stopped core: nothing moves, nothing computes", CanaryAnswer.SILENT, STILL, 20, HangVerdict.HUNG),
    ("a stopped core behind a full queue answers busy at once", CanaryAnswer.BUSY, STILL, 20, HangVerdict.HUNG),
    ("a dead core answers 500", CanaryAnswer.BROKEN, STILL, 20, HangVerdict.HUNG),
    (
        "whole answers fill every slot: tokens move",
        CanaryAnswer.SILENT,
        Evidence(130, 59.0, 5.0, 7.0),
        20,
        HangVerdict.ALIVE,
    ),
    ("a stream moved meanwhile", CanaryAnswer.SILENT, Evidence(100, 50.0, 5.0, 9.0), 20, HangVerdict.ALIVE),
    (
        "a long prefill starves the canary: it computes",
        CanaryAnswer.SILENT,
        Evidence(100, 59.5, 5.0, 7.0),
        20,
        HangVerdict.WAIT,
    ),
    (
        "a deadlock that spins is found in the end",
        CanaryAnswer.SILENT,
        Evidence(100, 60.0, 5.0, 7.0),
        130,
        HangVerdict.HUNG,
    ),
    ("/metrics is too slow: it computes", CanaryAnswer.SILENT, Evidence(None, 59.0, 5.0, 7.0), 20, HangVerdict.WAIT),
    (
        "/metrics is silent too, and nothing computes",
        CanaryAnswer.SILENT,
        Evidence(None, 50.0, 5.0, 7.0),
        20,
        HangVerdict.HUNG,
    ),
    (
        "somebody else's server without metrics gets time",
        CanaryAnswer.SILENT,
        Evidence(None, None, None, 7.0),
        20,
        HangVerdict.WAIT,
    ),
    (
        "a compiler at work is no deadlock, however long it takes",
        CanaryAnswer.SILENT,
        Evidence(100, 60.0, 15.0, 7.0),
        400,
        HangVerdict.ALIVE,
    ),
    (
        "compilers that have ended long ago prove nothing",
        CanaryAnswer.SILENT,
        Evidence(100, 60.0, 5.1, 7.0),
        400,
        HangVerdict.HUNG,
    ),
    ("but not for ever", CanaryAnswer.SILENT, Evidence(None, None, None, 7.0), 130, HangVerdict.HUNG),
]


@pytest.mark.parametrize(("why", "answer", "after", "silent_s", "verdict"), CASES, ids=[case[0] for case in CASES])
def test_the_verdict(why: str, answer: CanaryAnswer, after: Evidence, silent_s: float, verdict: HangVerdict) -> None:
    """Life is proved by answers, bytes and counters, and believed for a while of what computes."""
    assert judge(answer, STILL, after, window_s=10, silent_s=silent_s, patience_s=120) is verdict
