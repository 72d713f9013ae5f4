"""Runs, results and states for the event loop."""

from __future__ import annotations

from pathlib import Path

from runtime.conversations.threaded import ThreadedDatabase
from runtime.quality.runs.database import FILE, QualityDatabase


class QualityStore(ThreadedDatabase[QualityDatabase]):
    """folder: of the state."""

    def __init__(self, folder: Path, timeout_s: float = 30.0) -> None:
        super().__init__(folder / FILE, QualityDatabase, "evaluations", timeout_s)
