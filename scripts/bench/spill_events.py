"""The in-flight events of a simulated fleet: what each Hearth publishes of the engines that all of them have.

The rows, their sum and their use are the runtime's own. A change is published at the next tick of the Hearth's batch and heard
a little later; while the store is away nothing is heard.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence

from runtime.load.others import EngineOthers
from scripts.bench.spill_box import Hearth, lane_of

BATCH_S = 0.05
LATE_S = 0.005  # from the tick until it is heard
GONE_S = 3.0  # after which what was heard is no longer believed


class Published:
    """away: from when until when the store is; hearths: as many as are alive."""

    def __init__(self, members: Sequence[Hearth], engines: int, seed: int, away: tuple[float, float]) -> None:
        self._members, self._away = members, away
        chance = random.Random(seed)
        self._phases = [chance.random() * BATCH_S for _ in members]
        self._known = [[EngineOthers(len(members)) for _ in range(engines)] for _ in members]
        self._due: list[list[tuple[float, int]]] = [[] for _ in range(engines)]
        self._pending: set[tuple[int, int]] = set()
        for due in self._due:
            for at in (away[0] + GONE_S, away[1]):
                if at < math.inf:
                    heapq.heappush(due, (at, -1))

    def changed(self, who: int, place: int, now: float) -> None:
        """One Hearth's requests on an engine have changed."""
        if (who, place) not in self._pending:
            self._pending.add((who, place))
            tick = math.ceil((now - self._phases[who]) / BATCH_S) * BATCH_S + self._phases[who]
            heapq.heappush(self._due[place], (max(now, tick) + LATE_S, who))

    def hear(self, place: int, now: float) -> None:
        """Delivers what is due of one engine."""
        due = self._due[place]
        while due and due[0][0] <= now:
            at, who = heapq.heappop(due)
            if who < 0:
                self._turn(place, at)
                continue
            self._pending.discard((who, place))
            if not self._away[0] <= at < self._away[1]:
                self._tell(who, place, at)

    def _tell(self, who: int, place: int, at: float) -> None:
        row = self._members[who].fleet.flights(lane_of(place))
        for other, member in enumerate(self._members):
            if other != who:
                known = self._known[other][place]
                known.heard(str(who), row)
                member.now = at
                member.fleet.hear(lane_of(place), known.flights(), len(self._members), row)

    def _turn(self, place: int, at: float) -> None:
        """Nothing was heard for too long; or the store is back, and everybody tells everything."""
        for who, member in enumerate(self._members):
            if at >= self._away[1]:
                self._tell(who, place, at)
            else:
                member.now = at
                member.fleet.hear(lane_of(place), self._known[who][place].unheard(), len(self._members))
