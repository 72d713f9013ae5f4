"""`hearth eval report judge`: the judge's weeks for a person, in Markdown and as JSON, and its exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import msgspec
import pytest

from runtime.cli.eval.judge import judge_lines, judge_markdown
from runtime.cli.paint import PLAIN
from runtime.contract.prices import Price
from runtime.quality.judge.shown import JudgeView, outcome, week_view
from runtime.quality.judge.trust import Estimate, JudgedPair, agreement, biases, with_anchors
from runtime.quality.judge.watch import FILE, JudgedWeeks
from runtime.quality.judge.weekly import WeekReport, WinRate
from runtime.quality.kept_quality import FoundWinners
from runtime.settings import Quality
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole
from tests.runtime.cli.eval.test_eval import hearth

WORDS = ("first", "second"), ("second", "first"), ("tie", "tie"), ("first", "first"), (None, "first")


def week(share: float) -> WeekReport:
    """A biased judge that agrees with this share of forty anchors."""
    pairs = [JudgedPair(str(n), "local/m", "x/far", *WORDS[n % 5]) for n in range(100)]
    right = round(40 * share)
    agreed = agreement([("a", "a"), ("b", "b")] * (right // 2) + [("a", "b")] * (40 - right), Random(1))
    bias = with_anchors(biases(pairs), Estimate(0.2, 0.1, 0.3, 20), [(1.0, 1.0)] * 20)
    rate = WinRate("local/m", "x/far", "", Estimate(0.5, 0.4, 0.6, 80), Estimate(0.52, 0.4, 0.64, 80), "people")
    return WeekReport(
        "2026-W47", "other/judge", 60, tuple(pairs), (rate,), (), bias, agreed, FoundWinners(40, 40),
        {"it does not fit the judge": 3}, 0.4, "", True,
    )  # fmt: skip


def test_a_pair_has_one_outcome() -> None:
    """A failure is no tie, no win and no loss."""
    made = [outcome(JudgedPair("1", "a", "b", *each)) for each in WORDS]
    assert made == ["a", "b", "tie", "flipped", "no_verdict"]
    assert week_view(week(1.0)).outcomes == dict.fromkeys(made, 20)


def test_the_report_for_people() -> None:
    """Everything that is known of the judge, with intervals; what is certain is marked."""
    view = JudgeView(
        judge="other/judge", trusted=True, trouble=None, drifted=False, evidence=0.0, weeks=[week_view(week(0.95))] * 2
    )
    text = "\n".join(judge_lines(view, PLAIN))
    for part in (
        "other/judge agrees with its anchors",
        "100, of 60 sampled answers: 20 won, 20 lost, 20 alike, 20 flipped with the order, 20 without a verdict",
        "95% of 40 anchors",
        "alpha 0.90",
        "100% of the flips",
        "scores 20% (10 to 30) more (biased)",
        "100% (83 to 100) the same when asked again",
        "3: it does not fit the judge",
        "local/m    x/far    all   50% (40 to 60) of 80  52% (40 to 64) by people",
        "2026-W47  100 pairs  95% agreement  $0.40",
    ):
        assert part in text, part
    shown = "\n".join(judge_markdown(view))
    assert "| flip rate | 25% |" in shown and "| local/m | x/far | all | 50% (40 to 60) of 80 |" in shown
    changed = msgspec.structs.replace(view, trusted=False, drifted=True, weeks=())
    assert "has changed: its verdicts are void" in "\n".join(judge_lines(changed, PLAIN))


async def test_the_report_is_read_from_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 below the wanted agreement."""
    monkeypatch.setenv("HEARTH_API_KEY", "admin")
    (tmp_path / FILE).write_bytes(msgspec.json.encode(JudgedWeeks("other/judge", weeks=[week(0.7)])))
    setup = Setup(engine_backend((Turn([whole("fine")]),)), [], admins=("admin",), quality=Quality())
    async with opened(setup, tmp_path) as door:
        assert (await hearth("report", "judge", "--fail-under", "0.7", door=door)).code == 0
        low = await hearth("report", "judge", "--fail-under", "0.8", "--json", door=door)
    assert low.code == 1 and "agreement with the anchors: it is 70.0%, and 0.8 is wanted" in low.err
    assert json.loads(low.out)["weeks"][0]["outcomes"]["flipped"] == 20


async def test_the_judge_is_in_the_cost_that_is_shown_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two criteria for each answer; nothing begins until somebody agrees to the dollars of both."""
    (tmp_path / "golden").mkdir()
    case = 'prompt = "Greet the guest."\nmax_tokens = 50\nchecks = [{ rubric = ["Is it kind?", "Is it short?"] }]\n'
    (tmp_path / "golden" / "open.toml").write_text(
        'targets = ["local"]\n' + "".join(f'[[case]]\nid = "c{n}"\n{case}' for n in range(3))
    )
    monkeypatch.setenv("HEARTH_API_KEY", "admin")
    judge = cloud("judge", Turn(told("x")), price=Price(3.0, 15.0))
    setup = Setup(engine_backend((Turn([whole("fine")]),)), [judge], admins=("admin",), quality=Quality(judge="judge"))
    async with opened(setup, tmp_path) as door:
        refused = await hearth("run", door=door)
    assert refused.code == 2
    assert "local/small: 3 answers, free" in refused.err
    cost = re.search(r"vendor/judge-model as the judge: 6 questions, about \$([\d.]+)", refused.err)
    assert cost is not None and 0.003 < float(cost[1]) < 0.004  # 6 × (180 × $3 + 5 × $15) per million
    assert f"together about ${cost[1]}" in refused.err
