"""The store of a fleet as others see it: whether it answers, and a fault of its set-up. `runtime.shared` speaks to it."""

from __future__ import annotations

import msgspec


class StoreStanding(msgspec.Struct, frozen=True):
    """url: without a password. away_s: seconds since it went away, None while it answers; trouble: why.

    hearths: how many are alive, this one included, as they were last heard. calls: that this one sent so far.
    """

    url: str
    away_s: float | None
    trouble: str
    hearths: int
    calls: int

    @property
    def words(self) -> str:
        """Its state, for people."""
        if self.away_s is None:
            return f"the store {self.url} answers; {self.hearths} Hearths are alive"
        return f"the store {self.url} has been away for {self.away_s:.0f} s: {self.trouble}"


class StoreRefusedError(Exception):
    """A fault of the store's set-up that makes it useless for a fleet. words: the fault; todo: the remedy."""

    def __init__(self, words: str, todo: str) -> None:
        super().__init__(f"{words}: {todo}")
        self.words, self.todo = words, todo
