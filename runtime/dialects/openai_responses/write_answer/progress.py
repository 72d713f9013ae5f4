"""How far a stream has got: what an error needs to be told of it, whoever wrote it."""

from __future__ import annotations

from typing import Any


class Progress:
    """response: as it was told to the client, None before. sequence: of the last event; -1 before the first."""

    __slots__ = ("response", "sequence")

    def __init__(self) -> None:
        self.response: dict[str, Any] | None = None
        self.sequence = -1

    def next(self) -> int:
        self.sequence += 1
        return self.sequence
