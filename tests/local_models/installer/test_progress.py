"""A long child is shown in few lines, and its failure in full with what to do."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from local_models.installer import progress


def run(script: str, log: Path) -> str:
    out = io.StringIO()
    progress.run("The step", [sys.executable, "-c", script], log, out)
    return out.getvalue()


def test_success_is_two_lines_where_nobody_watches(tmp_path: Path) -> None:
    """What the child says goes to the log."""
    shown = run("print('Collecting a'); print('done')", tmp_path / "new" / "log")
    assert shown.splitlines()[0] == "The step …"
    assert shown.splitlines()[1].startswith("The step: done in ")
    assert (tmp_path / "new" / "log").read_text() == "Collecting a\ndone\n"


def test_failure_carries_its_errors_and_advice(tmp_path: Path) -> None:
    """The chatter is left out, the error is not, and the whole output is named."""
    script = "print('Collecting a'); print('ERROR: [Errno 28] No space left on device'); raise SystemExit(1)"
    with pytest.raises(progress.StepFailedError) as failed:
        run(script, tmp_path / "log")
    said = str(failed.value)
    assert "ERROR: [Errno 28] No space left on device" in said
    assert "Collecting" not in said
    assert "Free some space" in said
    assert str(tmp_path / "log") in said


def test_an_unknown_failure_is_shown_without_guessing(tmp_path: Path) -> None:
    """No advice where nothing is known; standard error counts too."""
    with pytest.raises(progress.StepFailedError) as failed:
        run("raise SystemExit('strange')", tmp_path / "log")
    assert str(failed.value) == f"strange\n\nThe whole output: {tmp_path / 'log'}"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "starting"),
        ("Collecting torch==2.13 (from -r lock (line 3))\n", "Collecting torch==2.13"),
        ("  Downloading vllm-1.whl (80 MB)\nWARNING: something\n", "Downloading vllm-1.whl (80 MB)"),
        ("Downloading a\nInstalling collected packages: a, b, c\n", "unpacking"),
    ],
)
def test_the_line_says_what_is_going_on(log: str, words: str) -> None:
    """The last telling line of pip, shortened."""
    assert progress.doing(log) == words


def test_an_interrupted_step_leaves_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the child before it is passed on."""
    seen = []

    def interrupt(line: progress.StepLine, what: str) -> None:
        seen.append(what)
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.StepLine, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("import time; print('never', flush=True); time.sleep(600)", tmp_path / "log")
    assert seen == ["starting"]
