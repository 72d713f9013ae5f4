"""How long a start will take, learned from earlier ones."""

from __future__ import annotations

from pathlib import Path

from local_models.replica.start_times import StartTimes, ready_at


def test_what_was_learned_survives_the_process(tmp_path: Path) -> None:
    """The next process estimates from what the last one saw."""
    file = tmp_path / "state" / "starts.json"
    times = StartTimes(file)
    for seconds in (40.0, 44.0, 300.0):
        times.learn("llama cpu 0", seconds)
    again = StartTimes(file)
    assert (again.estimate("llama cpu 0"), again.last("llama cpu 0")) == (44.0, 300.0)


def test_an_unknown_start_is_guessed(tmp_path: Path) -> None:
    """Without any experience a minute is said, and nothing about a last time."""
    times = StartTimes(tmp_path / "none.json")
    assert (times.estimate("x"), times.last("x")) == (60.0, None)


def test_a_damaged_file_is_an_empty_one(tmp_path: Path) -> None:
    """Garbage costs the estimate and nothing else."""
    file = tmp_path / "starts.json"
    for garbage in ("", "[1]", '{"a": 3}', '{"a": ["x"]}', "\x00"):
        file.write_text(garbage)
        assert StartTimes(file).last("a") is None


def test_an_overdue_start_is_due_later_still() -> None:
    """The estimate is never in the past, and grows with the time already waited."""
    assert ready_at(100.0, 40.0, 110.0) == 140.0
    assert ready_at(100.0, 40.0, 180.0) == 200.0
