"""A claim on a target: one attempt in flight, and what the target's breaker learns of its end.

A context manager, so that no way out of an attempt can forget to give the claim back.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from runtime.contract.failures import Failure
from runtime.fleet.breaker import Breaker


class Claim:
    """breaker: None for a target that has none. Left without `ended`, the attempt says nothing about the target's health."""

    __slots__ = ("_breaker", "_clock", "_counts", "_ended", "_failure", "_label")

    def __init__(self, label: str, counts: dict[str, int], breaker: Breaker | None, clock: Callable[[], float]) -> None:
        self._label = label
        self._counts = counts
        self._breaker = breaker
        self._clock = clock
        self._ended = False
        self._failure: Failure | None = None

    def __enter__(self) -> Claim:
        self._counts[self._label] = self._counts.get(self._label, 0) + 1
        return self

    def ended(self, failure: Failure | None) -> None:
        """The attempt ended by itself. failure: None if its answer was whole."""
        self._ended, self._failure = True, failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self._counts[self._label] - 1
        if left:
            self._counts[self._label] = left
        else:
            del self._counts[self._label]  # a client can invent labels: none is kept for its own sake
        breaker = self._breaker
        if breaker is None:
            return
        if not self._ended or (self._failure is not None and not self._failure.counts_against):
            breaker.forget()
        elif self._failure is None:
            breaker.success()
        else:
            breaker.failure(self._clock())
