"""A model of a batching engine, for simulations: continuous batching, chunked prefill, a KV cache that overflows.

Requests wait in order of arrival. A step takes a fixed time, more for each decoding sequence, and more for the prompt
tokens it reads. When the KV cache overflows, the youngest request gives its place up and is computed again later.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Request:
    """at: seconds of the simulation. done: tokens generated so far; left: prompt tokens still to be read.

    cloud: it left the box. moved: it left after it had waited for the engine. replica: the engine it went to.
    """

    id: str
    at: float
    prompt: int
    output: int
    counted: bool = True
    batch: bool = False
    done: int = 0
    left: int = 0
    first_at: float | None = None
    cloud: bool = False
    moved: bool = False
    refused: bool = False
    replica: int = 0

    @property
    def held(self) -> int:
        return self.prompt + self.done - self.left


class Witness(Protocol):
    """Sees what leaves the engine."""

    def first_token(self, id: str, now: float) -> None: ...
    def tokens(self, id: str, n: int, now: float) -> None: ...
    def finish(self, id: str, now: float) -> None: ...


class Blind:
    """Sees nothing, and looks at nothing twice."""

    def answered(self, ttft_s: float) -> None: ...

    def next_look(self) -> float:
        return math.inf

    def look(self, now: float) -> Request | None:
        return None

    def first_token(self, id: str, now: float) -> None: ...
    def tokens(self, id: str, n: int, now: float) -> None: ...
    def finish(self, id: str, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Speed:
    """slots: sequences at a time. step_s, step_per_sequence_s: of a decoding step. step_tokens: the most of one step."""

    slots: int = 24
    kv_tokens: int = 10_000
    step_s: float = 0.012
    step_per_sequence_s: float = 0.0006
    prefill_per_s: float = 5_000.0
    step_tokens: int = 2_048

    def scaled(self, size: float) -> Speed:
        """An engine of so much of the size: slots, cache and speed."""
        return Speed(
            max(1, round(self.slots * size)),
            round(self.kv_tokens * size),
            self.step_s,
            self.step_per_sequence_s / size,
            self.prefill_per_s * size,
            self.step_tokens,
        )


@dataclass(slots=True)
class Step:
    """A step under way. readers: how many tokens of which prompts it reads."""

    end: float
    decoding: list[Request]
    readers: list[tuple[Request, int]]


@dataclass(slots=True)
class Engine:
    """slower: (from when on, how many times) everything takes longer. now: the end of its latest step, or later if it idles."""

    speed: Speed = field(default_factory=Speed)
    slower: tuple[float, float] | None = None
    now: float = 0.0
    queue: deque[Request] = field(default_factory=deque)
    active: list[Request] = field(default_factory=list)
    step: Step | None = None

    @property
    def kv(self) -> int:
        return sum(request.held for request in self.active)

    @property
    def in_flight(self) -> int:
        return len(self.queue) + len(self.active)

    def send(self, request: Request) -> None:
        """Queues a request. Batch work stands behind all other, as on an engine that knows priorities."""
        request.left = request.prompt
        if request.batch or not self.queue or not self.queue[-1].batch:
            self.queue.append(request)
        else:
            self.queue.insert(sum(not other.batch for other in self.queue), request)

    def cancel(self, request: Request) -> None:
        """Takes a request out, wherever it is. The step it is in takes as long as it would."""
        if request in self.active:
            self.active.remove(request)
        else:
            self.queue.remove(request)

    def run(self, until: float, witness: Witness) -> None:
        """Everything that is to be seen until then. What a step generates is seen at its end, and not before."""
        while True:
            if self.step is None and self.in_flight and self.now < until:
                self.step = self._begun()
            if self.step is None or self.step.end > until:
                break
            self._end(self.step, witness)
        if self.step is None and until < math.inf:
            self.now = max(self.now, until)

    def drain(self, witness: Witness) -> None:
        self.run(math.inf, witness)

    def _begun(self) -> Step:
        speed = self.speed
        self._admit()
        decoding = [request for request in self.active if not request.left]
        budget, readers = speed.step_tokens - len(decoding), list[tuple[Request, int]]()
        for request in self.active:
            if request.left and budget > 0:
                part = min(request.left, budget)
                budget -= part
                readers.append((request, part))
        read = sum(part for _, part in readers)
        seconds = speed.step_s + speed.step_per_sequence_s * len(decoding) + read / speed.prefill_per_s
        slower = self.slower[1] if self.slower and self.now >= self.slower[0] else 1.0
        return Step(self.now + seconds * slower, decoding, readers)

    def _end(self, step: Step, witness: Witness) -> None:
        self.now, self.step = step.end, None
        for request, part in step.readers:
            request.left -= part
        for request in (*step.decoding, *(request for request, _ in step.readers if not request.left)):
            if request in self.active:  # it may have been cancelled
                self._emit(request, witness)
        self._preempt()

    def _admit(self) -> None:
        held = sum(request.prompt + request.done for request in self.active)
        while self.queue and len(self.active) < self.speed.slots:
            need = self.queue[0].prompt + self.queue[0].done
            if held + need > self.speed.kv_tokens and self.active:
                return
            held += need
            self.active.append(self.queue.popleft())

    def _emit(self, request: Request, witness: Witness) -> None:
        request.done += 1
        if request.first_at is None:
            request.first_at = self.now
            witness.first_token(request.id, self.now)
        else:
            witness.tokens(request.id, 1, self.now)
        if request.done >= request.output:
            self.active.remove(request)
            witness.finish(request.id, self.now)

    def _preempt(self) -> None:
        while self.kv > self.speed.kv_tokens and len(self.active) > 1:
            youngest = self.active.pop()
            youngest.left = youngest.prompt + youngest.done
            self.queue.appendleft(youngest)
