"""`hearth calibrate --quality`: judged weeks and golden answers in, a threshold out, and into the settings file."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from runtime.cli.exits import Exit
from runtime.quality.judge.trust import biases
from runtime.quality.judge.watch import FILE, JudgedWeeks
from runtime.quality.judge.weekly import LocalLabel, WeekReport
from runtime.quality.kept_quality import FoundWinners
from runtime.quality.runs.database import PlannedCase, QualityDatabase
from runtime.quality.values import CaseKey, CaseResult, EvalRun, Folded, GoldenCase, GoldenSet, Grade, SetBrief
from tests.runtime.cli.test_group import said
from tests.runtime.cli.test_threshold import CONFIG, config, recorded

__all__ = ["config"]
LOCAL = "local/smollm2-135m"


def judged(config: Path, labels: int, *, believed: bool = True, task: str = "chat") -> None:
    """Weeks of a hundred labels each; from a score of 0.6 on the local answer is worse."""
    weeks = []
    for week in range(-(-labels // 100)):
        own = [
            LocalLabel(f"dec_{n}", LOCAL, task, n / labels, n / labels >= 0.6)
            for n in range(labels)
            if n % -(-labels // 100) == week
        ]
        bias, winners = biases([]), FoundWinners(59, 60)
        weeks.append(
            WeekReport(
                f"2026-W{week + 1:02d}", "openai/j", 100, (), (), tuple(own), bias, None, winners, {}, 0.1, "", believed
            )
        )
    folder = config.parent / "state"
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.encode(JudgedWeeks(weeks=weeks)))


def golden(config: Path, cases: int) -> None:
    """One closed run in which the local model passes; another target does not count."""
    folder = config.parent / "state"
    folder.mkdir(exist_ok=True)
    made = [
        GoldenCase(f"c{n}", {"messages": [{"role": "user", "content": f"hello {n}"}]}, (), f"h{n}")
        for n in range(cases)
    ]
    one = GoldenSet("facts", tuple(made), "x")
    database = QualityDatabase(folder)
    brief = SetBrief("facts", "x", cases)
    run = EvalRun("eval_1", "nightly", "2026-11-28", 1, 1.0, (LOCAL, "anthropic/claude-sonnet-5-5"), (brief,))
    keys = [CaseKey(target, "facts", case.id) for target in run.targets for case in made]
    database.begin(run, [PlannedCase(key, "h") for key in keys], [one])
    for key in keys:
        database.settle(run.id, CaseResult(key, Grade.PASS if key.target == LOCAL else Grade.WRONG, 1.0))
    database.close_run(run.id, lambda run, results, states: Folded(), 2.0)
    database.close()


def test_judged_weeks_give_a_threshold(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its certainty, what it would do to the recorded traffic, and every threshold that was tried."""
    recorded(config, 200)
    judged(config, 600)
    assert said("calibrate", "--quality", "0.9", "--json")[0] == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert 0.5 < found["complexity"] < 0.66
    assert found["found"]["chosen_on"]["low"] >= 0.9
    assert (found["found"]["judged"], found["found"]["judge"]) == (600, {"found": 59, "anchors": 60})
    assert found["traffic"]["requests"] == found["now"]["requests"] == 180
    assert found["usd"][0] == pytest.approx(0.5 * found["now"]["left"])
    assert found["written"] is None and config.read_text() == CONFIG
    assert said("calibrate", "--quality", "0.9", "--write")[0] == Exit.OK
    shown = capsys.readouterr().out
    assert "600 requests have a label: 600 judged, 0 golden cases" in shown
    assert "the judge names the winner of 59 of 60 anchors" in shown and "thresholds tried" in shown
    assert config.read_text() == CONFIG.replace("0.5 ", f"{found['complexity']} ")


def test_golden_answers_are_labels_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the local model alone; a case whose place no score decides is counted apart."""
    golden(config, 150)
    assert said("calibrate", "--quality", "0.9", "--json")[0] == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["found"]["requests"], found["found"]["judged"], found["complexity"]) == (150, 0, 1.0)
    assert (found["traffic"], found["usd"]) == (None, [None, None])


def test_what_cannot_be_proposed_is_said(config: Path) -> None:
    """Too few labels with how to get more, weeks that are not believed, a quality that is not reached, wrong options."""
    code, _, err = said("calibrate", "--quality", "0.9")
    assert code == Exit.FAILED and "0 requests have a label; 91 are needed for 0.9" in err
    assert "quality.sample.keep = true" in err and "hearth eval run --target local" in err and "about 1 week)" in err
    judged(config, 600, believed=False)
    code, _, err = said("calibrate", "--quality", "0.9")
    assert code == Exit.FAILED and "not counted, 600: its judge does not agree with the anchors" in err
    judged(config, 600)
    code, _, err = said("calibrate", "--quality", "0.995")
    assert code == Exit.FAILED and "are needed for 0.995" in err
    for wrong in (("--quality", "1"), ("--quality", "0.9", "--by-task"), ("--quality", "0.9", "--cloud-share", "0.2")):
        assert said("calibrate", *wrong)[0] == Exit.USAGE
