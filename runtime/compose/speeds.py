"""The engine's measured speeds, kept for its next start in one small file of the state folder.

Only those of the same engine settings: another model, device or argument has another speed. Losing the file costs an
adjustment and nothing else, so a bad file is an empty one.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from runtime.contract.engine import EngineSpeed
from runtime.settings import EngineSettings
from runtime.whole_file import replace_file

_KEPT = 12
_EVERY_S = 600.0


class _Kept(msgspec.Struct):
    key: str
    speeds: list[EngineSpeed]


class SpeedFile:
    """every_s: between two speeds that are kept, seconds."""

    def __init__(self, file: Path, engine: EngineSettings, *, every_s: float = _EVERY_S) -> None:
        self._file, self._every_s = file, every_s
        self._at: float | None = None  # when one was last kept, or learned at first
        key = " ".join(map(str, (engine.model, engine.device, engine.replicas, engine.max_model_len, *engine.args)))
        self._kept = _Kept(key, [])
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found = msgspec.json.decode(file.read_bytes(), type=_Kept)
            if found.key == key:
                self._kept = found

    @property
    def speeds(self) -> tuple[EngineSpeed, ...]:
        """The latest last."""
        return tuple(self._kept.speeds)

    def learn(self, speeds: list[EngineSpeed], now: float) -> None:
        """Keeps the fastest of the replicas' speeds, now and then."""
        if not speeds:
            return
        if self._at is None:
            self._at = now
        if now - self._at < self._every_s:
            return
        self._at = now
        fastest = min(speeds, key=lambda each: each.step_s(each.batch) / each.batch)
        self._kept.speeds = [*self._kept.speeds, fastest][-_KEPT:]
        with contextlib.suppress(OSError):  # a full disk must not stop anything
            replace_file(self._file, msgspec.json.encode(self._kept))
