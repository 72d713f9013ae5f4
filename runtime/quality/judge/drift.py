"""The evidence that a judge has changed: its agreement with anchors, run by run, against its own first runs. Pure.

Once it fires, the verdicts since the last good run are void, and no model is demoted for them.
"""

from __future__ import annotations

from math import log

import msgspec
from msgspec.structs import replace

from runtime.quality.drift.bounds import wilson_upper
from runtime.quality.drift.evidence import STEPS, fallen

RUNS = 4  # of the reference
_BAR = 1000.0
_TOLERANCE = 0.03


class JudgeState(msgspec.Struct, frozen=True):
    """agreed, anchors: sums over the reference, of `runs` runs. good: id of the last run before the evidence began."""

    runs: int = 0
    agreed: int = 0
    anchors: int = 0
    m: tuple[float, ...] = (0.0,) * len(STEPS)
    good: str = ""
    drifted: bool = False

    @property
    def evidence(self) -> float:
        return sum(self.m) / len(STEPS)


def observed(state: JudgeState, run: str, agreed: int, anchors: int) -> JudgeState:
    """The state after one more judged run, with `agreed` of its `anchors`."""
    if not anchors:
        return state
    if state.runs < RUNS:
        return replace(
            state, runs=state.runs + 1, agreed=state.agreed + agreed, anchors=state.anchors + anchors, good=run
        )
    floor = 1 - (wilson_upper(state.anchors - state.agreed, state.anchors) + _TOLERANCE)
    m = fallen(state.m, {1.0: agreed, 0.0: anchors - agreed}, floor, log(_BAR))
    after = replace(state, m=m)
    return replace(
        after, drifted=state.drifted or after.evidence >= _BAR, good=run if after.evidence < 1 else state.good
    )
