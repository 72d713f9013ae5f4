"""The batch lane in the simulation: lines without end beside the trace, let in by the runtime's own admission.

Nothing of the batch leaves the box, and it has no deadline: what counts is what it costs the others and how much it gets done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from runtime.contract.usage import Usage
from runtime.load.ledger import InFlight
from runtime.routing.facts.facts import Facts
from runtime.settings import Escalation
from scripts.bench.spill_box import Hearth
from scripts.bench.spill_engine import Engine, Request

_ROOM_S = 0.05  # between two looks for room


class WithLane(Hearth):
    """The runtime as it ships, with a batch lane that has work until a time. sizes: prompt and answer of a line, tokens."""

    def __init__(
        self,
        escalation: Escalation,
        engines: Sequence[Engine],
        price: tuple[float, float],
        sizes: Iterator[tuple[int, int]],
        until: float,
    ) -> None:
        super().__init__(escalation, engines, price)
        self.ended: list[tuple[float, Request]] = []
        self._sizes, self._until = sizes, until
        self._room_at, self._started = 0.0, 0
        self._lines: dict[str, tuple[InFlight, Request]] = {}

    def first_token(self, id: str, now: float) -> None:
        if id not in self._lines:  # a line is answered in one piece
            super().first_token(id, now)

    def tokens(self, id: str, n: int, now: float) -> None:
        if id not in self._lines:
            super().tokens(id, n, now)

    def finish(self, id: str, now: float) -> None:
        if id in self._lines:
            self.now = now
            flight, line = self._lines.pop(id)
            flight.done(Usage(line.prompt, line.output))
            self.ended.append((now, line))
        else:
            super().finish(id, now)

    def next_look(self) -> float:
        return min(super().next_look(), self._room_at)

    def look(self, now: float) -> Request | None:
        if now < self._room_at:
            return super().look(now)
        self.now, self._room_at = now, now + _ROOM_S if now + _ROOM_S < self._until else math.inf
        self._listen(now)
        while self.fleet.spare(len(self._lines)) > 0:
            prompt, output = next(self._sizes)
            line = Request(f"line-{self._started}", now, prompt, output, counted=False, batch=True)
            self._started += 1
            lane = self.fleet.lane(self.fleet.local, Facts("openai_chat", "local", prompt))
            assert lane is not None
            flight = self.fleet.ledger(lane).claim(prompt, None, lambda: self.now, whole=True)
            self._lines[line.id] = (flight.__enter__(), line)  # its end is an event of the simulation
            self._views.engines[self._place(lane.name)].send(line)
        return None

    def tokens_per_s(self, begin: float, end: float) -> float:
        """Tokens read and generated of the lines that ended between two times."""
        done = [line.prompt + line.output for at, line in self.ended if begin <= at < end]
        return sum(done) / (end - begin)
