"""The engine's requests by caller: how far each is from an equal share of them. Knows callers by their id alone."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator


class Shares:
    """Bounded by the requests in flight. Single-threaded, on the event loop."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    @contextlib.contextmanager
    def held(self, caller: str) -> Iterator[None]:
        """One request of a caller, while it lasts."""
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]

    def room(self, caller: str) -> float:
        """An equal share of all requests over the caller's own, one more of them included; 0.0 if there is no other caller.

        A caller without any has room as for all of them: it is not to be kept out by what others sent.
        """
        own, callers = self._held.get(caller, 0), len(self._held) + (caller not in self._held)
        if callers == 1:
            return 0.0
        every = self._held.total() + 1
        return every / callers / (own + 1) if own else float(every)
