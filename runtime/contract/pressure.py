"""The engine's distance from its thresholds, as a value. It is measured in `runtime.load`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from runtime.contract.reasons import Reason


class Pressure(msgspec.Struct, frozen=True):
    """Saturation of the best replica for one request.

    over: the crossed threshold with the largest ratio, None if none is crossed.
    ratio: the largest of `ratios`; 1.0 is the threshold itself.
    words: the reason, with numbers ("8 requests wait for a first token, the threshold is 5"); "" if none is crossed.
    ratios: value / threshold of every threshold that could be judged.
    """

    over: Reason | None = None
    ratio: float = 0.0
    words: str = ""
    ratios: Mapping[Reason, float] = msgspec.field(default_factory=dict)


CALM = Pressure()
