"""The quality loop's file: each answer is kept once, and a state follows from its runs in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from runtime.quality.runs.database import PlannedCase, QualityDatabase
from runtime.quality.values import (
    CaseKey,
    CaseResult,
    EvalRun,
    Folded,
    Grade,
    PersonAct,
    QualityEvent,
    SetBrief,
    Stream,
    judged_streams,
)

TARGETS = ("local/small", "cloud/large")
KEYS = [CaseKey(target, "facts", f"case-{n}") for target in TARGETS for n in range(4)]


def run_of(id: str = "run-1", *, seed: int = 7, counts: bool = True) -> EvalRun:
    return EvalRun(id, "nightly", "2026-11-29", seed, 1000.0, TARGETS, (SetBrief("facts", "h", 4),), counts=counts)


def passed(key: CaseKey, answer: str = "yes") -> CaseResult:
    return CaseResult(key, Grade.PASS, 1.0, answer=answer)


def opened(folder: Path, run: EvalRun | None = None) -> QualityDatabase:
    database = QualityDatabase(folder)
    database.begin(run or run_of(), [PlannedCase(key, "hash") for key in KEYS])
    return database


def counted(run: EvalRun, results: Sequence[CaseResult], before: Mapping[Stream, bytes]) -> Folded:
    """A fold that counts passes by stream."""
    states = dict(before)
    for each in results:
        known = int(states.get(each.key.stream, b"0"))
        states[each.key.stream] = str(known + (each.grade is Grade.PASS)).encode()
    return Folded(states, (QualityEvent("counted", "local/small", "facts", "counted", run=run.id),))


def acted(act: PersonAct, before: Mapping[Stream, bytes]) -> Folded:
    return Folded({stream: state + b"+" for stream, state in before.items() if stream.target == act.target})


def test_targets_take_turns_in_an_order_of_the_seed(tmp_path: Path) -> None:
    """Targets alternate, each meets the cases in the same order, and another seed gives another order."""
    pending = opened(tmp_path).pending("run-1")
    assert [each.key.target for each in pending] == list(TARGETS) * 4
    orders = [[each.key.case for each in pending if each.key.target == target] for target in TARGETS]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == [f"case-{n}" for n in range(4)]
    others = set()
    for seed in range(8):
        database = opened(tmp_path, run_of(f"seed-{seed}", seed=seed))
        others.add(tuple(each.key.case for each in database.pending(f"seed-{seed}")))
    assert len(others) > 1


def test_an_answer_is_kept_once_and_survives_the_process(tmp_path: Path) -> None:
    """A second result of the same case changes nothing; what is not answered is pending after a restart."""
    database = opened(tmp_path)
    assert database.settle("run-1", passed(KEYS[0], "first"))
    assert not database.settle("run-1", passed(KEYS[0], "second"))
    assert not database.settle("run-1", passed(CaseKey("local/small", "facts", "unknown")))
    database.close()
    again = QualityDatabase(tmp_path)
    assert [each.id for each in again.unclosed()] == ["run-1"]
    assert {each.key for each in again.pending("run-1")} == set(KEYS[1:])
    assert [(each.key, each.answer) for each in again.results("run-1")] == [(KEYS[0], "first")]


def test_closing_takes_the_state_over_once(tmp_path: Path) -> None:
    """State, events and the run's end come together; a second close changes nothing."""
    database = opened(tmp_path)
    for key in KEYS:
        database.settle("run-1", passed(key))
    database.close_run("run-1", counted, 2000.0)
    assert database.close_run("run-1", counted, 3000.0) == Folded()
    assert database.states() == {Stream(target, "facts"): b"4" for target in TARGETS}
    assert [(each.kind, each.at, each.run) for each in database.events()] == [("counted", 2000.0, "run-1")]
    run = database.run("run-1")
    assert run is not None
    assert run.closed_at == 2000.0
    assert database.unclosed() == []


def test_a_fold_that_raises_leaves_the_run_open(tmp_path: Path) -> None:
    """No half of a closed run is kept."""
    database = opened(tmp_path)

    def broken(*_: object) -> Folded:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.close_run("run-1", broken, 2000.0)
    assert [each.id for each in database.unclosed()] == ["run-1"]
    assert (database.states(), database.events(), list(database.journal())) == ({}, [], [])


def test_a_run_that_does_not_count_moves_nothing(tmp_path: Path) -> None:
    """Files named at a terminal are graded and kept, and no fold sees them."""
    database = opened(tmp_path, run_of(counts=False))
    database.settle("run-1", passed(KEYS[0]))
    assert database.close_run("run-1", counted, 2000.0) == Folded()
    assert (database.states(), list(database.journal())) == ({}, [])


def test_the_journal_gives_the_states_again(tmp_path: Path) -> None:
    """Runs and acts, folded anew in the journal's order, give the states that are stored."""
    database = opened(tmp_path)
    for number in (1, 2):
        id = f"run-{number}"
        if number == 2:
            database.begin(run_of(id), [PlannedCase(key, "hash") for key in KEYS])
            database.act(PersonAct("hold", "local/small", at=1500.0), lambda act, states: Folded())
        for key in KEYS[:5]:
            database.settle(id, passed(key))
        database.close_run(id, counted, 2000.0 + number)
    database.act(PersonAct("demote", "local/small", at=3000.0), acted)
    states: dict[Stream, bytes] = {}
    kinds = []
    for entry in database.journal():
        if isinstance(entry, PersonAct):
            kinds.append(entry.kind)
            states |= (acted if entry.kind == "demote" else lambda act, states: Folded())(entry, states).states
        else:
            kinds.append(entry[0].id)
            states |= counted(*entry, states).states
    assert kinds == ["run-1", "hold", "run-2", "demote"]
    assert states == database.states()
    assert states[Stream("local/small", "facts")] == b"8+"


def test_old_answers_are_emptied_and_grades_stay(tmp_path: Path) -> None:
    """Only runs that are closed, old and no reference lose their answers."""
    database = opened(tmp_path)
    for id in ("reference", "open"):
        database.begin(run_of(id), [PlannedCase(key, "hash") for key in KEYS])
    for id in ("run-1", "reference", "open"):
        database.settle(id, passed(KEYS[0], "an answer"))
    database.close_run("run-1", counted, 2000.0)
    database.close_run("reference", counted, 2000.0)
    database.sweep(1000.0, keep={"reference"})
    assert database.results("run-1")[0].answer == "an answer"
    database.sweep(1001.0, keep={"reference"})
    assert {id: database.results(id)[0].answer for id in ("run-1", "reference", "open")} == {
        "run-1": "",
        "reference": "an answer",
        "open": "an answer",
    }
    assert database.results("run-1")[0].grade is Grade.PASS


def test_a_stream_with_too_few_verdicts_says_nothing() -> None:
    """Four of five results need a verdict, whatever it is."""

    def graded(target: str, *grades: Grade) -> list[CaseResult]:
        return [CaseResult(CaseKey(target, "facts", str(n)), grade) for n, grade in enumerate(grades)]

    enough = graded("a", *[Grade.WRONG] * 4, Grade.NO_VERDICT)
    few = graded("b", *[Grade.PASS] * 7, *[Grade.NO_VERDICT] * 2)
    assert set(judged_streams([*enough, *few])) == {Stream("a", "facts")}
