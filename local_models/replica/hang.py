"""Whether a silent engine hangs or works: the verdict over evidence. Pure; asks nobody, kills nothing.

Silence alone proves nothing: a whole answer sends no byte until it is done, and a long prefill starves the canary (the
scheduler gives all of a step's tokens to what already runs). A good /health proves nothing either: the front answers it
while the core is stopped, and so it does with the 503 of a full queue. What proves life: the canary's answer, bytes,
counters that moved. What speaks for it for a while: the engine's own processes compute, or are not ours to see. A
deadlock that spins computes too, hence the patience.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_COMPUTES = 0.02  # share of one core; a stopped or waiting engine core uses none


class CanaryAnswer(StrEnum):
    """What became of a one-token canary."""

    GIVEN = "given"  # a token, or a refusal that only this server can have made
    BUSY = "busy"  # 503 or 429 from the front: says nothing of the core
    BROKEN = "broken"  # 500, refused, cut
    SILENT = "silent"


class HangVerdict(StrEnum):
    ALIVE = "alive"
    WAIT = "wait"  # it computes: look again
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look at the engine.

    tokens: prompt and generated, from its counters; None where it did not tell.
    cpu_s: processor time its working processes have used, the front excluded; None where they are not ours to see.
    last_byte_at: when any answer's bytes last came.
    """

    tokens: int | None = None
    cpu_s: float | None = None
    last_byte_at: float | None = None


def judge(
    answer: CanaryAnswer, before: Evidence, after: Evidence, *, window_s: float, silent_s: float, patience_s: float
) -> HangVerdict:
    """window_s: between the two looks; silent_s: since it last gave any sign; patience_s: how long computing is
    believed.
    """
    if answer is CanaryAnswer.GIVEN or after.last_byte_at != before.last_byte_at:
        return HangVerdict.ALIVE
    if before.tokens is not None and after.tokens is not None and after.tokens != before.tokens:
        return HangVerdict.ALIVE
    if before.cpu_s is not None and after.cpu_s is not None and after.cpu_s - before.cpu_s < _COMPUTES * window_s:
        return HangVerdict.HUNG
    return HangVerdict.WAIT if silent_s < patience_s else HangVerdict.HUNG
