"""Which model made which output item, for as long as it is remembered.

A model's reasoning means something to itself alone: others refuse its sealed form, or look for an item they never stored.
Holds ids and names of models, no content.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

_MOST = 100_000
_OURS = "_hearth"
OURS_IN_JSON = _OURS.encode()


def minted(prefix: str, token: str) -> str:
    """The id of an item that was translated: no server of this wire stored it, and it says so."""
    return f"{prefix}{_OURS}{token}"


def is_minted(item_id: str) -> bool:
    return _OURS in item_id


class Makers:
    """Bounded: the item not asked for the longest goes first."""

    __slots__ = ("_made", "_most")

    def __init__(self, most: int = _MOST) -> None:
        self._made: OrderedDict[str, str] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._made)

    def note(self, items: Iterable[str], model: str) -> None:
        for item in items:
            self._made[item] = model
            self._made.move_to_end(item)
        while len(self._made) > self._most:
            self._made.popitem(last=False)

    def of(self, item: str) -> str | None:
        model = self._made.get(item)
        if model is not None:
            self._made.move_to_end(item)
        return model
