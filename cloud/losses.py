"""What of a request could not be kept: names of the client's parameters, each once, in the order they were found."""

from __future__ import annotations


class Losses:
    """Filled while one request is encoded."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self._names.setdefault(name)

    def add_if(self, lost: bool, name: str) -> None:
        if lost:
            self.add(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)
