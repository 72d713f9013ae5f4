"""The number of the engine's replicas that its load asks for, on a cluster that somebody else runs. Pure.

One more when the typical predicted time to a first token, or the time that a request has waited for its own, is over the
target for 30 s; one less when what is left would still hold 70 % of it with its share of the load, N/(N-1), for ten quiet
minutes. None is added while one is starting, because a cold start takes a minute or more. A replica that was missed soon
after it had been taken away doubles the quiet time before the next one goes, so that a constant load ends the changes.

It knows readings and the time; neither Ray nor HTTP, and not who else decides.
"""

from __future__ import annotations

from collections import deque

import msgspec

from runtime.load.strain import EngineStrain
from runtime.settings import Autoscale

OVER_S = 30.0  # over the target this long: one more
OVER_SHARE = 0.8  # of the readings of that time
LEAVING = 0.8  # of the threshold at which requests leave the engine: it never gets far above
QUIET_S = 600.0  # with room for one less this long: one less
LONGEST_QUIET_S = 8 * QUIET_S
HELD = 0.7  # of the target, and of the slots, that one less may reach
STUCK_S = 900.0  # a replica that starts longer than this is worth a word
_GAP_S = 15.0  # without a reading: what was read before is no evidence


class ReplicaCount(msgspec.Struct, frozen=True):
    """target: replicas that the cluster is to have; running: those that serve now."""

    target: int
    running: int


class ScaleVerdict(msgspec.Struct, frozen=True):
    """replicas: that the cluster should have; words: the reason."""

    replicas: int
    words: str


class Autoscaler:
    """wanted: replaced on a reload. leaves_ms: the predicted time at which requests leave for a cloud, None if none does.

    One reading a second is expected.
    """

    def __init__(self, wanted: Autoscale, leaves_ms: float | None = None) -> None:
        self.wanted, self.leaves_ms = wanted, leaves_ms
        self._over: deque[tuple[float, bool]] = deque()
        self._count = ReplicaCount(0, 0)
        self._read_at = self._starting_since = self._quiet_since = 0.0
        self._quiet_s = QUIET_S
        self._down_at: float | None = None

    @property
    def target_ms(self) -> float:
        """Of the typical predicted time to a first token."""
        return min(self.wanted.ttft_ms, LEAVING * self.leaves_ms if self.leaves_ms is not None else self.wanted.ttft_ms)

    def decide(self, strain: EngineStrain | None, count: ReplicaCount, now: float) -> ScaleVerdict:
        """The verdict on a reading; None: no replica of the engine is ready. Count it as done with `acted`."""
        wanted, target = self.wanted, count.target
        self._take_in(strain, count, now)
        # (1) Bounds.
        if target < wanted.min:
            return ScaleVerdict(wanted.min, f"{target} is below [autoscale] min = {wanted.min}")
        if target > wanted.max:
            return ScaleVerdict(wanted.max, f"{target} is above [autoscale] max = {wanted.max}")
        if strain is None:
            return ScaleVerdict(target, "no replica of the engine is ready: its load is not known")
        load = _words(strain)
        # (2) Up: never while one is starting.
        over = len([1 for _, each in self._over if each])
        if over and now - self._over[0][0] >= OVER_S and over >= OVER_SHARE * len(self._over):
            if target >= wanted.max:
                return ScaleVerdict(target, f"{load}, and [autoscale] max = {wanted.max} are there already")
            if count.running >= target:
                return ScaleVerdict(target + 1, f"{load}: over {self.target_ms:.0f} ms for {OVER_S:.0f} s")
        # (3) Down: never to none.
        if target > max(wanted.min, 1) and now - self._quiet_since >= self._quiet_s:
            return ScaleVerdict(
                target - 1,
                f"{load}: {target - 1} would hold {HELD:.0%} of {self.target_ms:.0f} ms, for {self._quiet_s:.0f} s",
            )
        if count.running < target:
            since_s = now - self._starting_since
            late = f" for {since_s / 60:.0f} min: has the cluster room for it?" if since_s >= STUCK_S else ""
            return ScaleVerdict(target, f"{target - count.running} of {target} replicas are starting{late}")
        return ScaleVerdict(target, f"{load}: nothing to change")

    def acted(self, replicas: int, now: float) -> None:
        """The cluster took a change over."""
        if replicas < self._count.target:
            self._down_at = now
        elif self._down_at is not None:
            # What was taken away is missed: the next one goes later.
            missed = now - self._down_at <= 2 * self._quiet_s
            self._quiet_s = min(2 * self._quiet_s, LONGEST_QUIET_S) if missed else QUIET_S
            self._down_at = None

    def _take_in(self, strain: EngineStrain | None, count: ReplicaCount, now: float) -> None:
        """Evidence counts for one number of replicas, without gaps, and once all of them run."""
        before, self._count = self._count, count
        starting, was_starting = count.running < count.target, before.running < before.target
        if starting and not was_starting:
            self._starting_since = now
        if strain is None or count.target != before.target or now - self._read_at > _GAP_S:
            self._over.clear()
            self._quiet_since = now
        elif was_starting and not starting:
            self._over.clear()
        self._read_at = now
        if strain is None:
            return
        target_s = self.target_ms / 1000
        self._over.append((now, max(strain.ttft_s, strain.waited_s) > target_s))
        while len(self._over) > 1 and now - self._over[1][0] >= OVER_S:
            self._over.popleft()
        if not _holds(strain, count.target, target_s):
            self._quiet_since = now


def _holds(strain: EngineStrain, replicas: int, target_s: float) -> bool:
    """True if one replica less would do. A prompt that nothing is before takes its time with any number of them."""
    if replicas < 2:
        return False
    more = replicas / (replicas - 1)
    ahead_s = max(strain.ttft_s - strain.alone_s, strain.waited_s)
    return (strain.busy or 0.0) * more <= HELD and strain.alone_s + ahead_s * more <= max(
        HELD * target_s, strain.alone_s
    )


def _words(strain: EngineStrain) -> str:
    if strain.waited_s > strain.ttft_s:
        return f"a request has waited {strain.waited_s * 1000:.0f} ms for its first token"
    return f"a first token is predicted in {strain.ttft_s * 1000:.0f} ms"
