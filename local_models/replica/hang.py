"""The verdict over a silent engine: it hangs, or it works. Pure; sends nothing, kills nothing.

Silence alone proves nothing: a whole answer sends no byte until it is done, and a long prefill starves the canary (the
scheduler gives all of a step's tokens to what already runs). A good /health proves nothing either: the front answers it
while the core is stopped, and so it does with the 503 of a full queue. Life is proved by the canary's answer,
by bytes, by counters that moved, by compilers at work (the first log probabilities compile for a minute and more on a
busy machine, in children that end). Processor time of the engine's processes counts for a while, and so do processes that
cannot be seen; a deadlock that spins computes too, hence the patience.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_COMPUTES = 0.02  # share of one core; a stopped or waiting engine core uses none


class CanaryAnswer(StrEnum):
    """The outcome of a one-token canary, best first."""

    GIVEN = "given"  # a token, or a refusal that only this server can have made
    BUSY = "busy"  # 429, 503 or 529 from the front: no evidence about the core
    BROKEN = "broken"  # 500, refused, cut
    SILENT = "silent"


class HangVerdict(StrEnum):
    ALIVE = "alive"
    WAIT = "wait"  # it computes: look again
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look at the engine.

    tokens: prompt and generated, from its counters; None if /metrics was not read.
    cpu_s: processor time of its working processes, the front excluded; None if they cannot be seen.
    compiling_s: the part of it that compilers and children that have ended used: no deadlock starts children.
    last_byte_at: time of the last bytes of any reply.
    """

    tokens: int | None = None
    cpu_s: float | None = None
    compiling_s: float | None = None
    last_byte_at: float | None = None


def judge(
    answer: CanaryAnswer, before: Evidence, after: Evidence, *, window_s: float, silent_s: float, patience_s: float
) -> HangVerdict:
    """The verdict. window_s: between the two looks. silent_s: since the last sign of life. patience_s: longest silence that
    processor time excuses.
    """
    if answer is CanaryAnswer.GIVEN or after.last_byte_at != before.last_byte_at:
        return HangVerdict.ALIVE
    if before.tokens is not None and after.tokens is not None and after.tokens != before.tokens:
        return HangVerdict.ALIVE
    compiled = (after.compiling_s or 0.0) - (before.compiling_s or 0.0)
    if compiled >= _COMPUTES * window_s > 0:
        return HangVerdict.ALIVE
    if before.cpu_s is not None and after.cpu_s is not None and after.cpu_s - before.cpu_s < _COMPUTES * window_s:
        return HangVerdict.HUNG
    return HangVerdict.WAIT if silent_s < patience_s else HangVerdict.HUNG
