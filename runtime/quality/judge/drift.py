"""The evidence that a judge has changed: its agreement with anchors, run by run, against its own first runs. Pure.

A run is a week, or a night in which the judge decides criteria of golden cases. While the judge is suspected, its word on a
criterion is advice; once the evidence reaches its bar, the verdicts since the last good run are void, and no model is demoted
for them.
"""

from __future__ import annotations

from math import log

import msgspec
from msgspec.structs import replace

from runtime.quality.drift.bounds import wilson_upper
from runtime.quality.drift.evidence import STEPS, fallen

RUNS = 4  # of the reference
SUSPICIOUS = 5.0
_BAR = 1000.0
_TOLERANCE = 0.03


class JudgeState(msgspec.Struct, frozen=True):
    """agreed, anchors: sums over the reference, of `runs` runs. good: the week of the last run before the evidence began."""

    runs: int = 0
    agreed: int = 0
    anchors: int = 0
    m: tuple[float, ...] = (0.0,) * len(STEPS)
    good: str = ""
    drifted: bool = False

    @property
    def evidence(self) -> float:
        return sum(self.m) / len(STEPS)

    @property
    def suspected(self) -> bool:
        """True if its verdicts must move nothing until more is known."""
        return self.drifted or self.evidence >= SUSPICIOUS


def observed(state: JudgeState, week: str, agreed: int, anchors: int) -> JudgeState:
    """The state after one more run, with `agreed` of its `anchors`. week: the latest whose verdicts this run speaks for."""
    if not anchors:
        return state
    if state.runs < RUNS:
        return replace(
            state, runs=state.runs + 1, agreed=state.agreed + agreed, anchors=state.anchors + anchors, good=week
        )
    floor = 1 - (wilson_upper(state.anchors - state.agreed, state.anchors) + _TOLERANCE)
    m = fallen(state.m, {1.0: agreed, 0.0: anchors - agreed}, floor, log(_BAR))
    after = replace(state, m=m)
    return replace(
        after, drifted=state.drifted or after.evidence >= _BAR, good=week if after.evidence < 1 else state.good
    )
