"""The durations of past engine starts on this box, kept across runs, so that a wait can be estimated.

One small JSON file: {key: [seconds, …]}. Losing it costs an estimate and nothing else, so a bad file is an empty one.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from statistics import median

_KEPT = 5
_UNKNOWN_S = 60.0


class StartTimes:
    """key: what makes starts comparable (model, device, GPUs)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: dict[str, list[float]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            raw = json.loads(file.read_text())
            self._seen = {str(key): [float(s) for s in values][-_KEPT:] for key, values in raw.items()}

    def last(self, key: str) -> float | None:
        """Seconds the last start took; None before the first."""
        seen = self._seen.get(key)
        return seen[-1] if seen else None

    def estimate(self, key: str) -> float:
        """Seconds the next start will take: the median of the last few, a minute where none is known."""
        seen = self._seen.get(key)
        return median(seen) if seen else _UNKNOWN_S

    def learn(self, key: str, seconds: float) -> None:
        self._seen[key] = [*self._seen.get(key, []), round(seconds, 2)][-_KEPT:]
        with contextlib.suppress(OSError):  # a full disk must not stop a ready engine
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_name(f"{self._file.name}.new")
            fresh.write_text(json.dumps(self._seen))
            fresh.replace(self._file)


def ready_at(started_at: float, estimate_s: float, now: float) -> float:
    """When a start will be done: as estimated; once that is past, a quarter of the time spent so far from now."""
    due = started_at + estimate_s
    return due if due > now else now + max(1.0, 0.25 * (now - started_at))
