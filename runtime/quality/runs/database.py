"""The file of the quality loop: runs, their results, and the detector's states. One SQLite file of its own.

    runs      one row a run, with the sets that it asks
    goldens   those sets, each once: what is asked does not change while a run lasts, and a report shows what was asked
    rows      one row for each answer to be had, written when the run begins; with a grade once it is there
    journal   closed runs and people's acts in the order in which they took effect: the states follow from it
    states    the detector's state by stream, written in the transaction that closes the run it follows from
    events    demotions, promotions, alarms

So a killed process asks nothing twice that was answered, and no state is ever ahead of or behind the runs it follows from.
Answers are prompts of the user's own, and stand in this file alone; after some time they are emptied, the grades stay.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runtime.quality.values import (
    ActFold,
    CaseKey,
    CaseResult,
    EvalRun,
    Folded,
    GoldenSet,
    PersonAct,
    QualityEvent,
    RunFold,
    Stream,
    digest,
)
from runtime.sqlite_files import Transaction, private

FILE = "quality.sqlite3"
VERSION = 1
_LATEST = 5  # runs that an estimate is made from
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, created_at REAL NOT NULL, closed INTEGER NOT NULL DEFAULT 0,
  goldens TEXT NOT NULL, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS goldens (digest TEXT PRIMARY KEY, doc BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (run TEXT NOT NULL, place INTEGER NOT NULL, target TEXT NOT NULL, golden TEXT NOT NULL,
  case_id TEXT NOT NULL, repeat INTEGER NOT NULL, case_hash TEXT NOT NULL, doc BLOB, answer TEXT,
  PRIMARY KEY (run, target, golden, case_id, repeat)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT, act BLOB);
CREATE TABLE IF NOT EXISTS states (target TEXT NOT NULL, golden TEXT NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (target, golden)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, doc BLOB NOT NULL);
PRAGMA user_version = {VERSION};
"""
_golden = msgspec.json.Decoder(GoldenSet).decode
_run = msgspec.json.Decoder(EvalRun).decode
_result = msgspec.json.Decoder(CaseResult).decode
_act = msgspec.json.Decoder(PersonAct).decode
_event = msgspec.json.Decoder(QualityEvent).decode
_encode = msgspec.json.Encoder().encode


class PlannedCase(msgspec.Struct, frozen=True):
    """An answer to be had, with the hash of its case when the run began."""

    key: CaseKey
    case_hash: str


class QualityDatabase:
    """folder: of the state. Raises sqlite3.Error, OSError."""

    def __init__(self, folder: Path) -> None:
        self._sql = sqlite3.connect(private(folder / FILE), isolation_level=None)
        self._sql.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000;")
        found = self._sql.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise sqlite3.DatabaseError(f"{FILE} is of a newer Hearth (layout {found}, this one knows {VERSION})")
        self._sql.executescript(_SCHEMA)

    def close(self) -> None:
        self._sql.close()

    # Runs

    def begin(self, run: EvalRun, cases: Iterable[PlannedCase], goldens: Sequence[GoldenSet] = ()) -> None:
        """A new run with every answer it is to have, in an order drawn by its seed that is the same at each reading.

        Targets take turns, so that a bad minute of the network hits all of them alike.
        """
        queues: dict[str, list[PlannedCase]] = {}
        for each in cases:
            queues.setdefault(each.key.target, []).append(each)
        for queue in queues.values():
            random.Random(run.seed).shuffle(queue)
        longest = max(map(len, queues.values()), default=0)
        order = [queue[place] for place in range(longest) for queue in queues.values() if place < len(queue)]
        docs = {digest(each): _encode(each) for each in goldens}
        with Transaction(self._sql):
            self._sql.execute(
                "INSERT INTO runs (id, created_at, goldens, doc) VALUES (?, ?, ?, ?)",
                (run.id, run.created_at, " ".join(docs), _encode(run)),
            )
            self._sql.executemany("INSERT OR IGNORE INTO goldens (digest, doc) VALUES (?, ?)", docs.items())
            self._sql.executemany(
                "INSERT INTO rows (run, place, target, golden, case_id, repeat, case_hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((run.id, place, *each.key, each.case_hash) for place, each in enumerate(order)),
            )

    def run(self, id: str) -> EvalRun | None:
        row = self._sql.execute("SELECT doc FROM runs WHERE id = ?", (id,)).fetchone()
        return _run(row[0]) if row else None

    def goldens(self, run: str) -> list[GoldenSet]:
        """The sets of a run, as they were when it began."""
        row = self._sql.execute("SELECT goldens FROM runs WHERE id = ?", (run,)).fetchone()
        found = (
            self._sql.execute("SELECT doc FROM goldens WHERE digest = ?", (each,))
            for each in (row[0] if row else "").split()
        )
        return [_golden(doc) for rows in found for (doc,) in rows]

    def runs(self, most: int = 50) -> list[EvalRun]:
        """Newest first."""
        rows = self._sql.execute("SELECT doc FROM runs ORDER BY created_at DESC, id DESC LIMIT ?", (most,))
        return [_run(doc) for (doc,) in rows]

    def unclosed(self) -> list[EvalRun]:
        """Those under way, oldest first."""
        return [
            _run(doc) for (doc,) in self._sql.execute("SELECT doc FROM runs WHERE NOT closed ORDER BY created_at, id")
        ]

    def pending(self, run: str) -> list[PlannedCase]:
        """Answers still to be had, in the run's order."""
        query = (
            "SELECT target, golden, case_id, repeat, case_hash FROM rows WHERE run = ? AND doc IS NULL ORDER BY place"
        )
        return [PlannedCase(CaseKey(*row[:4]), row[4]) for row in self._sql.execute(query, (run,))]

    def settle(self, run: str, result: CaseResult) -> bool:
        """Keeps a result, the first that comes. False if there was one already, or nothing of the kind is planned."""
        done = self._sql.execute(
            "UPDATE rows SET doc = ?, answer = ? WHERE run = ? AND target = ? AND golden = ? AND case_id = ?"
            " AND repeat = ? AND doc IS NULL",
            (_encode(replace(result, answer="")), result.answer, run, *result.key),
        )
        return done.rowcount > 0

    def results(self, run: str) -> list[CaseResult]:
        """Those that are there, in the run's order."""
        query = "SELECT doc, answer FROM rows WHERE run = ? AND doc IS NOT NULL ORDER BY place"
        return [replace(_result(doc), answer=answer or "") for doc, answer in self._sql.execute(query, (run,))]

    def answer(self, run: str, key: CaseKey) -> str | None:
        """The text of one answer; None if it is not there, or was emptied."""
        query = "SELECT answer FROM rows WHERE run = ? AND target = ? AND golden = ? AND case_id = ? AND repeat = ?"
        row = self._sql.execute(query, (run, *key)).fetchone()
        return row[0] or None if row else None

    def counted(self, run: str) -> tuple[int, int]:
        """Results that are there, and all that the run is to have."""
        query = "SELECT count(doc), count(*) FROM rows WHERE run = ?"
        done, total = self._sql.execute(query, (run,)).fetchone()
        return done, total

    def latest_of(self, goldens: Collection[str]) -> list[CaseResult]:
        """Results of the latest closed runs over these sets, newest last."""
        found: list[CaseResult] = []
        for run in reversed(self.runs(_LATEST)):
            if run.closed_at is not None and any(each.name in goldens for each in run.sets):
                found += self.results(run.id)
        return found

    def known_targets(self) -> set[str]:
        """Labels of the targets that some run asked."""
        return {label for (label,) in self._sql.execute("SELECT DISTINCT target FROM rows")}

    def renamed_targets(self) -> set[str]:
        """Labels whose answers in their latest closed run name another model or fingerprint than in the one before."""
        names: dict[str, list[set[tuple[str, str]]]] = {}
        for (id,) in self._sql.execute("SELECT id FROM runs WHERE closed ORDER BY created_at DESC LIMIT 20").fetchall():
            own: dict[str, set[tuple[str, str]]] = {}
            for each in self.results(id):
                if each.served:
                    own.setdefault(each.key.target, set()).add((each.served, each.fingerprint))
            for label, served in own.items():
                names.setdefault(label, []).append(served)
        return {label for label, lately in names.items() if len(lately) > 1 and lately[0].isdisjoint(lately[1])}

    def close_run(self, id: str, fold: RunFold, now: float, *, cancelled: bool = False) -> Folded:
        """Ends a run and takes over what follows from it, in one transaction. A run that is closed stays as it is.

        The fold is asked only about a run that counts.
        """
        with Transaction(self._sql):
            run = self.run(id)
            if run is None or run.closed_at is not None:
                return Folded()
            run = replace(run, closed_at=now, cancelled=cancelled)
            self._sql.execute("UPDATE runs SET doc = ?, closed = 1 WHERE id = ?", (_encode(run), id))
            if not run.counts:
                return Folded()
            self._sql.execute("INSERT INTO journal (run) VALUES (?)", (id,))
            folded = fold(run, self.results(id), self.states())
            self._keep(folded, now)
        return folded

    # A person's acts

    def act(self, act: PersonAct, fold: ActFold) -> Folded:
        """Records an act and takes over what follows from it, in one transaction."""
        with Transaction(self._sql):
            self._sql.execute("INSERT INTO journal (act) VALUES (?)", (_encode(act),))
            folded = fold(act, self.states())
            self._keep(folded, act.at)
        return folded

    # States and events

    def states(self) -> dict[Stream, bytes]:
        return {
            Stream(target, golden): state
            for target, golden, state in self._sql.execute("SELECT target, golden, state FROM states")
        }

    def events(self, most: int = 100) -> list[QualityEvent]:
        """Newest first."""
        return [
            _event(doc) for (doc,) in self._sql.execute("SELECT doc FROM events ORDER BY number DESC LIMIT ?", (most,))
        ]

    def journal(self) -> Iterator[tuple[EvalRun, list[CaseResult]] | PersonAct]:
        """Everything that states follow from, in order: folding it again gives the same states."""
        for run, act in self._sql.execute("SELECT run, act FROM journal ORDER BY number").fetchall():
            if act is not None:
                yield _act(act)
            elif (found := self.run(run)) is not None:
                yield found, self.results(run)

    def sweep(self, before: float, keep: Collection[str] = ()) -> None:
        """Empties the answers of older runs. keep: ids of runs that keep theirs, those of a reference."""
        old = self._sql.execute("SELECT id FROM runs WHERE closed AND created_at < ?", (before,)).fetchall()
        with Transaction(self._sql):
            for (id,) in old:
                if id not in keep:
                    self._sql.execute("UPDATE rows SET answer = '' WHERE run = ? AND answer != ''", (id,))
                    self._sql.execute("UPDATE runs SET goldens = '' WHERE id = ?", (id,))
            used = {each for (names,) in self._sql.execute("SELECT goldens FROM runs") for each in names.split()}
            for (name,) in self._sql.execute("SELECT digest FROM goldens").fetchall():
                if name not in used:
                    self._sql.execute("DELETE FROM goldens WHERE digest = ?", (name,))

    def _keep(self, folded: Folded, now: float) -> None:
        self._sql.executemany(
            "INSERT OR REPLACE INTO states (target, golden, state) VALUES (?, ?, ?)",
            ((*stream, state) for stream, state in folded.states.items()),
        )
        stamped = [replace(each, at=each.at or now) for each in folded.events]
        self._sql.executemany(
            "INSERT INTO events (at, doc) VALUES (?, ?)", ((each.at, _encode(each)) for each in stamped)
        )
