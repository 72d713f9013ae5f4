"""Batches and files for the event loop."""

from __future__ import annotations

from pathlib import Path

from runtime.batch.database import FILE, BatchDatabase
from runtime.conversations.threaded import ThreadedDatabase


class BatchStore(ThreadedDatabase[BatchDatabase]):
    """folder: of the state. timeout_s: longest wait for one call, the reading of a whole input file included."""

    def __init__(self, folder: Path, timeout_s: float = 120.0) -> None:
        super().__init__(folder / FILE, BatchDatabase, "batches", timeout_s)
