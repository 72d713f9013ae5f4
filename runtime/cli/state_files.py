"""The files of the state folder, as `hearth doctor` sees and mends them: what each loses if it is moved aside.

Nothing is deleted. A damaged file is kept under another name, and the runtime begins a new one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.cli.checks import FAIL, OK, WARN, CheckRow
from runtime.settings.environment import CREATED_KEYS as KEYS
from runtime.sqlite_files import set_aside
from runtime.trust.audit.verify import verify
from runtime.trust.caller import Scope
from runtime.trust.key_store import KeyStore, KeyTerms

DATABASES: Mapping[str, str] = {
    "budget.sqlite3": "what was spent in this day and month counts from zero",
    KEYS: "every created key is lost and has to be made again; the door stays closed to requests without a key",
    "batches.sqlite3": "uploaded files and batches with their answers are no longer found",
    "responses.sqlite3": "stored responses are no longer found",
    "decisions.sqlite3": "the history of decisions begins anew",
    "quality-spent.sqlite3": "what evaluation has spent today counts from zero",
    "quality.sqlite3": "the runs over golden sets begin anew",
    "sample.sqlite3": "the sample of answers begins anew",
}
_REPAIR = "stop the runtime, put a backup in its place, or: hearth doctor --repair, which moves it aside:"


def state_rows(folder: Path) -> Iterator[CheckRow]:
    """One row for each file that is damaged or cannot be read, one if there is none. Changes nothing."""
    found = False
    for name, loss in DATABASES.items():
        fault = fault_of(folder / name)
        if fault is not None:
            found = True
            yield CheckRow(name, FAIL, f"{folder / name}: {fault}", f"{_REPAIR} {loss}")
    try:
        verdict = verify(folder / "audit") if (folder / "audit").is_dir() else None
    except OSError as error:
        found = True
        yield CheckRow("audit log", FAIL, f"{folder / 'audit'} cannot be read: {error.strerror}", "change its owner")
        verdict = None
    if verdict is not None and not verdict.intact:
        found = True
        words = f"record {verdict.first_bad} is the first that is not as it was written"
        yield CheckRow(
            "audit log", WARN, words, "hearth audit verify names what happened; the log itself goes on behind it"
        )
    if not found:
        yield CheckRow("state files", OK, "each of them can be read")


def repaired(folder: Path) -> Iterator[str]:
    """Moves every damaged database aside, one sentence for each. For a folder that no runtime uses. Raises OSError."""
    for name, loss in DATABASES.items():
        if fault_of(folder / name) is None:
            continue
        place = set_aside(folder / name)
        if name == KEYS:
            # A box that once had keys must not open its door because their file is gone.
            kept = KeyStore(folder, time.time)
            kept.create(KeyTerms(name="lost keys", scopes=(Scope.GENERATE,)))
            kept.revoke("lost keys")
        yield f"{name} was damaged and is kept as {place.name}: {loss}"


def fault_of(path: Path) -> str | None:
    """Why a database cannot be used; None if it can, or is not there."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)) as file:
            answer = file.execute("PRAGMA quick_check(1)").fetchone()[0]
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return None if answer == "ok" else str(answer)
