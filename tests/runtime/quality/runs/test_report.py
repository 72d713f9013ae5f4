"""A run's report: what is in a pass rate, and what stands beside it."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec

from runtime.cli.eval.shown import junit, markdown, passed, report_lines
from runtime.cli.paint import PLAIN
from runtime.quality.runs.report import ADVICE, compared, report
from runtime.quality.values import CaseKey, CaseResult, Cause, EvalRun, Grade, Judging, Measures, SetBrief

RUN = EvalRun("eval_1", "demand", "2026-11-28", 1, 1.0, ("x/m",), (SetBrief("s", "h", 6),))
ROWS = [
    CaseResult(CaseKey("x/m", "s", "passes"), Grade.PASS, 1.0),
    CaseResult(CaseKey("x/m", "s", "fails"), Grade.WRONG, 0.0),
    CaseResult(CaseKey("x/m", "s", "late"), Grade.NO_VERDICT, None, Cause.TIMEOUT),
    CaseResult(CaseKey("x/m", "s", "judged"), Grade.WRONG, 0.0, words="not kind", advisory=True),
    CaseResult(CaseKey("x/m", "s", "open"), Grade.PASS, 1.0, open_ended=True, versus=0.5),
    CaseResult(CaseKey("x/m", "s", "open badly"), Grade.WRONG, 0.0, open_ended=True, versus=0.0),
]


def test_open_ended_cases_and_advice_are_in_no_pass_rate() -> None:
    """They stand beside it, with the mean of the comparisons, and do not hide that too few verdicts are left."""
    found = report(RUN, ROWS, ROWS[:2], [])
    (stream,) = found.streams
    assert (stream.passed, stream.verdicts, stream.total, stream.enough) == (1, 2, 4, False)
    assert (stream.advised, stream.open_ended, stream.compared, stream.versus) == (1, 2, 2, 0.25)
    assert stream.grades == {ADVICE: 1, "pass": 1, "timeout": 1, "wrong": 1}
    assert stream.grew == [("timeout", 0, 1)]
    assert [each.cause for each in found.failing if each.case == "judged"] == [ADVICE]
    assert passed(stream) == (
        "1 of 2, 1 without a verdict, 1 by advice alone, 2 open-ended, 25% against its earlier answers"
    )
    (alone,) = report(RUN, ROWS[4:], [], []).streams
    assert (alone.total, alone.rate, alone.passed_before) == (0, None, None)
    assert passed(alone) == "2 open-ended, 25% against its earlier answers"


def test_a_judge_costs_beside_the_answers() -> None:
    """Its dollars are shown with the model's; unknown ones are not taken for nothing."""
    costs = Measures(latency_ms=10.0, cost_usd=0.002), Judging("y/judge", 2, 300, 20, 0.01)
    row = msgspec.structs.replace(ROWS[0], measures=costs[0], judging=costs[1])
    found = report(RUN, [row, ROWS[1]], [], [])
    assert (found.streams[0].usd, found.streams[0].judge_usd) == (0.002, 0.01)
    assert any(line.endswith("$0.0020, judge $0.0100") for line in report_lines(found, PLAIN))
    assert "| $0.0020, judge $0.0100 |" in markdown(found)
    free = msgspec.structs.replace(row, judging=msgspec.structs.replace(costs[1], cost_usd=None))
    assert report(RUN, [free], [], []).streams[0].judge_usd is None
    assert report(RUN, ROWS, [], []).streams[0].judge_usd == 0


def test_a_ci_server_fails_for_nothing_that_is_in_no_rate() -> None:
    """Advice and open-ended answers that fail their other checks are skipped."""
    (suite,) = ElementTree.fromstring(junit(report(RUN, ROWS, [], []), ROWS))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("6", "1", "3")
    skipped = {each.get("name"): each.find("skipped") for each in suite}
    assert {name for name, each in skipped.items() if each is not None} == {"late", "judged", "open badly"}
    assert sum(each.find("failure") is not None for each in suite) == 1


def test_two_models_are_compared_on_what_is_in_a_pass_rate() -> None:
    """Not by advice."""
    others = [CaseResult(CaseKey("y/m", *each.key[1:]), Grade.PASS, 1.0) for each in ROWS]
    assert compared([*ROWS, *others], "x/m", "y/m").cases == 2


def test_an_answer_gives_no_orders_to_a_terminal_and_breaks_no_xml() -> None:
    """Control characters are spelt for a person, and left out of JUnit; ids too may hold what no XML may."""
    case = CaseResult(
        CaseKey("x/m", "s", "a\x01\uffff"), Grade.WRONG, 0.0, words="\x1b[2J was called", answer="\x1b[2J\ud800 b"
    )
    before = msgspec.structs.replace(case, grade=Grade.PASS, score=1.0, answer="\x9b2J a\nb")
    found = report(RUN, [case], [before], [])
    text = "\n".join(report_lines(found, PLAIN))
    assert "\x1b" not in text and "\x9b" not in text
    assert "\\x9b2J a" in text and "\\x1b[2J" in text
    (suite,) = ElementTree.fromstring(junit(found, [case]))
    assert [(each.get("name"), each[0].text) for each in suite] == [("a", "[2J b")]
    assert (suite.get("errors"), suite.get("time")) == ("0", "0.000")
