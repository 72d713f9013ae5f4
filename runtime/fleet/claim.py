"""A claim on a target: one attempt in flight, and what the target's breaker learns of its end.

A context manager, so that no way out of an attempt can forget to give the claim back.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import msgspec

from runtime.contract.failures import Failure
from runtime.fleet.breaker import Breaker


class Claim(msgspec.Struct, eq=False):
    """breaker: None for a target that has none. counts: attempts in flight, by label.

    Left without `ended`, the attempt says nothing about the target's health.
    """

    label: str
    counts: dict[str, int]
    breaker: Breaker | None
    clock: Callable[[], float]
    over: bool = False
    failure: Failure | None = None

    def __enter__(self) -> Claim:
        self.counts[self.label] = self.counts.get(self.label, 0) + 1
        return self

    def ended(self, failure: Failure | None) -> None:
        """The attempt ended by itself. failure: None if its answer was whole."""
        self.over, self.failure = True, failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self.counts[self.label] - 1
        if left:
            self.counts[self.label] = left
        else:
            del self.counts[self.label]  # a client can invent labels: none is kept for its own sake
        breaker = self.breaker
        if breaker is None:
            return
        if not self.over or (self.failure is not None and not self.failure.counts_against):
            breaker.forget()
        elif self.failure is None:
            breaker.success()
        else:
            breaker.failure(self.clock(), self.failure.message[:500])
