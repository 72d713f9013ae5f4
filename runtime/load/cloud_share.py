"""The controller of `[escalation] cloud_share`: moves the complexity threshold until a wanted share of requests leaves.

After each request the shift of the threshold grows by `step` x (1 if it left, else 0, less the wanted share). Where the shift
stands in its bounds, its sum telescopes: over any N requests the share misses the wanted one by at most
(1 + 2 x step) / (step x N), whatever the scores are and in whatever order they come, as long as a threshold of 0 lets all
leave and one of 1 none. It looks at single requests and not at the window's share, which is old: so it does not swing.

Pure. Knows nothing of requests, tasks and settings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

WINDOW = 1000  # requests over which the share is shown
STEP = 0.01  # the most a threshold moves for one request
_PLACES = 4  # of the shift: a record keeps the very number that the decision was made with


class CloudShare:
    """wanted: share from 0 to 1; 0: nothing is moved. thresholds: as configured; those of 1 are off, and stay so.

    shift: to be added to each threshold.
    """

    def __init__(
        self, wanted: float, thresholds: Collection[float], *, step: float = STEP, window: int = WINDOW
    ) -> None:
        moving = [each for each in thresholds if each < 1] or [1.0]
        self.wanted = wanted
        self.thresholds = tuple(thresholds)
        self._step = step
        # A step beyond what moves anything, so that a share that can be held never meets the bounds.
        self._lowest, self._highest = -max(moving) - step, 1.0 - min(moving) + step
        self._exact = self.shift = 0.0
        self._latest: deque[bool] = deque(maxlen=window)

    @property
    def counted(self) -> int:
        """Requests in the window."""
        return len(self._latest)

    @property
    def share(self) -> float | None:
        """Of the requests in the window, those that left; None before the first."""
        return sum(self._latest) / len(self._latest) if self._latest else None

    def count(self, left: bool) -> None:
        """Takes in one request that was free to stay."""
        self._latest.append(left)
        moved = self._exact + self._step * (left - self.wanted)
        self._exact = max(self._lowest, min(moved, self._highest))
        self.shift = round(self._exact, _PLACES)
