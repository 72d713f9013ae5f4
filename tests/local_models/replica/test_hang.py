"""The verdict over a silent engine."""

from __future__ import annotations

import pytest

from local_models.replica.hang import Answer, Evidence, Verdict, judge

STILL = Evidence(tokens=100, cpu_s=50.0, last_byte_at=7.0)

CASES: list[tuple[str, Answer, Evidence, float, Verdict]] = [
    ("the canary answers", Answer.GIVEN, STILL, 20, Verdict.ALIVE),
    ("a stopped core: nothing moves, nothing computes", Answer.SILENT, STILL, 20, Verdict.HUNG),
    ("a stopped core behind a full queue answers busy at once", Answer.BUSY, STILL, 20, Verdict.HUNG),
    ("a dead core answers 500", Answer.BROKEN, STILL, 20, Verdict.HUNG),
    ("whole answers fill every slot: tokens move", Answer.SILENT, Evidence(130, 59.0, 7.0), 20, Verdict.ALIVE),
    ("a stream moved meanwhile", Answer.SILENT, Evidence(100, 50.0, 9.0), 20, Verdict.ALIVE),
    ("a long prefill starves the canary: it computes", Answer.SILENT, Evidence(100, 59.5, 7.0), 20, Verdict.WAIT),
    ("a deadlock that spins is found in the end", Answer.SILENT, Evidence(100, 60.0, 7.0), 130, Verdict.HUNG),
    ("/metrics is too slow: it computes", Answer.SILENT, Evidence(None, 59.0, 7.0), 20, Verdict.WAIT),
    ("/metrics is silent too, and nothing computes", Answer.SILENT, Evidence(None, 50.0, 7.0), 20, Verdict.HUNG),
    ("somebody else's server without metrics gets time", Answer.SILENT, Evidence(None, None, 7.0), 20, Verdict.WAIT),
    ("but not for ever", Answer.SILENT, Evidence(None, None, 7.0), 130, Verdict.HUNG),
]


@pytest.mark.parametrize(("why", "answer", "after", "silent_s", "verdict"), CASES, ids=[case[0] for case in CASES])
def test_the_verdict(why: str, answer: Answer, after: Evidence, silent_s: float, verdict: Verdict) -> None:
    """Life is proved by answers, bytes and counters, and believed for a while of what computes."""
    assert judge(answer, STILL, after, window_s=10, silent_s=silent_s, patience_s=120) is verdict
