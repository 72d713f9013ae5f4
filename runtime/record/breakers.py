"""Open breakers across a restart: a small file in the state folder, so that a target known to be down is not hammered anew.

Times in the file are unix seconds: a restart that takes long finds the wait over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from runtime.whole_file import replace_file


class _Kept(msgspec.Struct):
    """trips: times in a row it opened. until: when it lets a probe through, unix seconds."""

    trips: int
    until: float


_file = msgspec.json.Decoder(dict[str, _Kept])


class BreakerFile:
    """path: the file. Written only when something changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, int] = {}

    def read(self, now: float) -> dict[str, tuple[int, float]]:
        """By target, (trips, seconds left). Nothing where there is no file, or none that can be read. now: unix seconds."""
        try:
            kept = _file.decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return {name: (each.trips, each.until - now) for name, each in kept.items() if each.until > now}

    def write(self, opened: Mapping[str, tuple[int, float]], now: float) -> None:
        """Keeps what is open now. A disk that cannot be written loses the memory, not the service."""
        trips = {name: each[0] for name, each in opened.items()}
        if trips == self._last:
            return
        kept = {name: _Kept(count, now + left) for name, (count, left) in opened.items()}
        with contextlib.suppress(OSError):
            replace_file(self._path, msgspec.json.encode(kept))
            self._last = trips


class OpenTime:
    """Adds up how long breakers are open, from one look to the next. count: takes a label and seconds. now: any clock's."""

    def __init__(self, count: Callable[[str, float], None], now: float) -> None:
        self._count, self._at = count, now
        self._open: frozenset[str] = frozenset()

    def look(self, labels: Iterable[str], now: float) -> None:
        """labels: of the targets whose breaker is open now."""
        for label in self._open:
            self._count(label, now - self._at)
        self._open, self._at = frozenset(labels), now
