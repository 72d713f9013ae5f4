"""Runs over golden sets made up for tests: passes and failures by stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from runtime.quality.drift.fold import Tolerated, fold_run
from runtime.quality.values import CaseKey, CaseResult, Cause, EvalRun, Folded, Grade, SetBrief, Stream

BEGIN = date(2026, 11, 1)
DAY = 86_400.0
TOLERATED = Tolerated()


def run_of(night: int, streams: Iterable[Stream], number: int = 0, floor: float | None = None) -> EvalRun:
    """A run of the night so many days after the first of November."""
    streams = list(streams)
    at = night * DAY + number * 3600
    sets = [SetBrief(name, "", 80, "extraction", floor) for name in dict.fromkeys(each.set for each in streams)]
    return EvalRun(
        id=f"run-{night}-{number}",
        kind="nightly",
        night=str(BEGIN + timedelta(days=night)),
        seed=1,
        created_at=at,
        targets=tuple(dict.fromkeys(each.target for each in streams)),
        sets=tuple(sets),
        closed_at=at + 600,
    )


def results(
    stream: Stream,
    fails: int,
    cases: int = 80,
    *,
    grade: Grade = Grade.WRONG,
    silent: int = 0,
    hashes: Mapping[int, str] | None = None,
    served: str = "",
) -> list[CaseResult]:
    """The first cases fail, the last have no verdict."""
    rows = []
    for number in range(cases):
        found = grade if number < fails else Grade.NO_VERDICT if number >= cases - silent else Grade.PASS
        rows.append(
            CaseResult(
                CaseKey(*stream, f"case-{number}"),
                found,
                None if found is Grade.NO_VERDICT else float(found is Grade.PASS),
                Cause.TIMEOUT if found is Grade.NO_VERDICT else None,
                case_hash=(hashes or {}).get(number, "a"),
                served=served,
            )
        )
    return rows


class Life:
    """States of streams through nights."""

    def __init__(self, tolerated: Tolerated = TOLERATED) -> None:
        self.tolerated = tolerated
        self.states: dict[Stream, bytes] = {}
        self.journal: list[tuple[EvalRun, Sequence[CaseResult]]] = []
        self.events: list[str] = []
        self.words: list[str] = []

    def night(self, night: int, rows: Sequence[CaseResult], number: int = 0, floor: float | None = None) -> Folded:
        run = run_of(night, [row.key.stream for row in rows], number, floor)
        folded = fold_run(run, rows, self.states, self.tolerated)
        self.journal.append((run, rows))
        self.states.update(folded.states)
        self.events += [each.kind for each in folded.events]
        self.words += [each.words for each in folded.events]
        return folded
