"""The client's parameters that a written request lost or weakened: each name once, in the order it was found."""

from __future__ import annotations


class Losses:
    """Filled while one request is written."""

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
