"""One stored conversation, walked from its newest turn back to its first. Knows no place where turns are stored."""

from __future__ import annotations

from collections.abc import Callable

from runtime.conversations.limits import ConversationLimits
from runtime.dialects.openai_responses.conversation import StoredResponse, too_long


class Chain:
    """turns: newest first. wanted: the id of the next turn; None once the first turn is reached."""

    def __init__(self, response_id: str, limits: ConversationLimits) -> None:
        self.turns: list[StoredResponse] = []
        self.wanted: str | None = response_id
        self._name, self._limits = response_id, limits
        self._seen: set[str] = set()
        self._size = 0

    def follow(self, get: Callable[[str], StoredResponse | None]) -> list[str]:
        """Walks on as far as `get` knows the turns. Returns their ids. Raises ApiError beyond the limits.

        A circle, which only a damaged file can contain, has no first turn: the walk stops, and `wanted` stays set.
        """
        limits, found = self._limits, list[str]()
        while self.wanted is not None and self.wanted not in self._seen and (turn := get(self.wanted)) is not None:
            self._seen.add(self.wanted)
            found.append(self.wanted)
            self.turns.append(turn)
            self._size += turn.size
            self.wanted = turn.previous
            if len(self.turns) > limits.turns:
                raise too_long(self._name, f"{limits.turns} turns")
            if self._size > limits.size:
                raise too_long(self._name, f"{limits.size} bytes")
        return found

    def items(self, *, with_output: bool) -> tuple[bytes, ...]:
        """All items, oldest first. with_output: of the newest turn, too. Raises ApiError beyond the limit."""
        newest, *older = self.turns
        every = [item for turn in reversed(older) for item in (*turn.given, *turn.output)]
        every += newest.given
        if with_output:
            every += newest.output
        if len(every) > self._limits.items:
            raise too_long(self._name, f"{self._limits.items} items")
        return tuple(every)

    @property
    def requires(self) -> frozenset[str]:
        """The certificates that any of its turns demanded."""
        return frozenset[str]().union(*(turn.requires for turn in self.turns))
