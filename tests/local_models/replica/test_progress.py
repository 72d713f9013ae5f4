"""Steps of a start, read from the log."""

from __future__ import annotations

from local_models.replica.progress import StartProgress


def test_each_step_is_reported_once() -> None:
    """Every worker logs its own line; people read the step once."""
    progress = StartProgress()
    lines = [
        "(Worker_TP0 pid=2) INFO Starting to load model m",
        "(Worker_TP1 pid=3) INFO Starting to load model m",
        "noise",
    ]
    assert [progress.step(line) for line in lines] == ["loading weights", None, None]
    assert progress.step("INFO Loading weights took 3.1 seconds") == "weights loaded"
