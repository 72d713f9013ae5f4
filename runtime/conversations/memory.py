"""Responses in memory, bounded in age, number and bytes, in all and for each owner. Used by the event loop alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from runtime.conversations.limits import StoreLimits
from runtime.dialects.openai_responses.conversation import StoredResponse

_OVERHEAD = 1_000  # bytes of objects beside a response's own, counted with its size
_ITEM_OVERHEAD = 250  # bytes of one entry in the table of items

Key = tuple[str, str]
"""Owner and id."""


@dataclass(slots=True)
class _Entry:
    stored: StoredResponse
    items: Mapping[str, msgspec.Raw]  # by id; views of the response's bytes
    size: int
    used: float


class Memory:
    """clock: unix seconds. Every table is an order of use: the least recently used stands first."""

    def __init__(self, clock: Callable[[], float], limits: StoreLimits) -> None:
        self._clock, self._limits = clock, limits
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._owners: dict[str, OrderedDict[str, int]] = {}  # owner -> id -> size
        self._owned: dict[str, int] = {}  # owner -> bytes
        self._items: dict[Key, str] = {}  # owner and item id -> response id
        self._size = 0

    @property
    def held(self) -> tuple[int, int]:
        """Responses, and bytes."""
        return len(self._entries), self._size

    def add(self, stored: StoredResponse, owner: str) -> None:
        """Replaces a response of the same id; drops what then exceeds the limits."""
        self.remove(stored.id, owner)
        items = stored.items
        size = stored.size + _OVERHEAD + _ITEM_OVERHEAD * len(items)
        self._entries[owner, stored.id] = _Entry(stored, items, size, self._clock())
        self._owners.setdefault(owner, OrderedDict())[stored.id] = size
        self._owned[owner] = self._owned.get(owner, 0) + size
        self._size += size
        for name in items:
            self._items[owner, name] = stored.id
        # (1) expired
        while self._entries and next(iter(self._entries.values())).used < self._clock() - self._limits.age_s:
            self._drop(next(iter(self._entries)))
        # (2) the owner's share
        responses, share = self._limits.per_owner
        while (own := self._owners.get(owner)) and (len(own) > responses or self._owned[owner] > share):
            self._drop((owner, next(iter(own))))
        # (3) everything together
        while len(self._entries) > self._limits.responses or self._size > self._limits.size:
            self._drop(next(iter(self._entries)))

    def get(self, response_id: str, owner: str) -> StoredResponse | None:
        entry = self._entries.get((owner, response_id))
        if entry is None or entry.used < self._clock() - self._limits.age_s:
            return None
        return entry.stored

    def touch(self, response_ids: Iterable[str], owner: str) -> None:
        """Marks turns of one conversation as used, newest first: its first turn is the last one to be dropped."""
        for response_id in response_ids:
            self._entries[owner, response_id].used = self._clock()
            self._entries.move_to_end((owner, response_id))
            self._owners[owner].move_to_end(response_id)

    def item(self, item_id: str, owner: str) -> tuple[bytes, frozenset[str]] | None:
        """An input or output item, and the certificates its request demanded."""
        name = self._items.get((owner, item_id))
        if name is None or self.get(name, owner) is None:
            return None
        entry = self._entries[owner, name]
        return bytes(entry.items[item_id]), entry.stored.requires

    def remove(self, response_id: str, owner: str) -> bool:
        """False if there was none."""
        if (owner, response_id) not in self._entries:
            return False
        self._drop((owner, response_id))
        return True

    def _drop(self, key: Key) -> None:
        owner, response_id = key
        entry = self._entries.pop(key)
        self._size -= entry.size
        self._owned[owner] -= entry.size
        del self._owners[owner][response_id]
        if not self._owners[owner]:
            del self._owners[owner], self._owned[owner]
        for name in entry.items:
            if self._items.get((owner, name)) == response_id:
                del self._items[owner, name]
