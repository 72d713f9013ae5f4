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
            alive = "1 Hearth is" if self.hearths == 1 else f"{self.hearths} Hearths are"
            return f"the store {self.url} answers; {alive} alive"
        return f"the store {self.url} has been away for {self.away_s:.0f} s: {self.trouble}"


class AttachedStanding(msgspec.Struct, frozen=True):
    """An attached engine, and what other Hearths have in flight there.

    hearths: that send to it, this one included, as they were last heard. names: of the others that are heard. waiting, running:
    their requests; prompt_tokens: of those that wait; kv_tokens: that those running hold. age_s: since the one heard longest
    ago was, None if none is. assumed: nothing is heard, and each of them is taken to have as much as this one.
    """

    replica: str
    address: str
    hearths: int
    names: tuple[str, ...] = ()
    waiting: int = 0
    prompt_tokens: int = 0
    running: int = 0
    kv_tokens: int = 0
    age_s: float | None = None
    assumed: bool = False

    @property
    def words(self) -> str:
        """For people."""
        if self.assumed:
            return f"nothing is heard: each of {self.hearths} Hearths is taken to have as much there as this one"
        if self.age_s is None:
            return "no other Hearth sends to it"
        busy = f"{self.running} running and {self.waiting} waiting of {', '.join(filter(None, self.names)) or 'others'}"
        return f"{busy}, heard {self.age_s:.1f} s ago"


class StoreRefusedError(Exception):
    """A fault of the store's set-up that makes it useless for a fleet. words: the fault; todo: the remedy."""

    def __init__(self, words: str, todo: str) -> None:
        super().__init__(f"{words}: {todo}")
        self.words, self.todo = words, todo
