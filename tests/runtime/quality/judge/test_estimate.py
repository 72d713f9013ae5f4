"""The expected cost of a run that a judge decides: within a quarter of the true one, anchors and both orders included."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runtime.contract.prices import Price
from runtime.quality.judge.estimate import Judges, WantedJudging
from runtime.quality.judge.watch import JudgeFolders, JudgeWatch
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.estimate import TargetEstimate, estimated, expected_usage
from runtime.quality.runs.runner import planned
from runtime.settings import Quality
from tests.fakes.upstream import DONE, Turn, chunk
from tests.runtime.quality.judge.test_golden import OPEN, RUBRIC, JudgingLab
from tests.runtime.quality.judge.test_weekly import AnsweringHop, Said, fair, labelled, lines

PRICE = Price(3.0, 15.0)
ANSWER = "a friendly word for every guest, and the way to the breakfast room " * 4 + "5"


class MeteredHop(AnsweringHop):
    """Bills a token for four characters of what it is asked and says; a judge thinks of each verdict for about 150 tokens."""

    def __init__(self, say: Said, random: Random) -> None:
        super().__init__(say)
        self.random = random

    async def open(self, call: Any, *, connect_s: float) -> Any:
        body = json.loads(call.body)
        text = self.say(body) or ""
        asked = sum(len(turn["content"]) for turn in body["messages"]) // 4
        thought = self.random.randint(100, 200) if "response_format" in body else 0
        usage = {"prompt_tokens": asked, "completion_tokens": len(text) // 4 + thought}
        self.turns = [Turn([chunk(text), chunk(finish="stop"), b"data: " + billed(usage) + b"\n\n", DONE])]
        return await super(AnsweringHop, self).open(call, connect_s=connect_s)


def said(body: Any) -> str:
    """Every criterion holds, of two answers the better one wins, and asked for itself it answers as the arm does."""
    if "response_format" not in body:
        return ANSWER
    wanted = body["response_format"]["json_schema"]["schema"]["required"]
    return '{"holds": true}' if wanted == ["holds"] else fair(body)


def billed(usage: dict[str, int]) -> bytes:
    return json.dumps({"choices": [], "usage": usage}).encode()


class PricedLab:
    """A loop whose judge costs. judges: as the page of the estimate has them."""

    def __init__(self, folder: Path, cases: str, count: int = 20) -> None:
        self.lab = lab = JudgingLab(folder, cases, said, lambda body: ANSWER, count, price=PRICE)
        lab.judge.lanes[0].hop = MeteredHop(said, Random(1))
        lab.arm.lanes[0].hop = MeteredHop(lambda body: ANSWER, Random(2))
        wanted, folders = Quality.model_validate({"judge": "judge"}), JudgeFolders(folder, folder)
        self.watch = JudgeWatch(lab.box.desk, lab.store, lambda since: (), wanted, folders, list[str]().append)
        self.judges = Judges(lab.box.desk, self.watch, lab.golden_judge)
        lab.loop.before = lambda run: self.watch.check(run, lab.golden_judge.decided)
        lab.wallet.limit(100.0, "UTC")

    async def expected(self) -> tuple[float, TargetEstimate | None]:
        """Dollars of all answers and questions of a night, and the judge's part."""
        loop, store = self.lab.loop, self.lab.store
        goldens, targets = await loop.read(), loop.targets()
        cases = planned(goldens, targets, 1)
        facts = {(golden.name, case.id): loop.facts(case) for golden in goldens for case in golden.cases}
        earlier = await store.call(lambda database: database.latest_of({"open"})) if store.begun else []
        references = loop.watch.references(await store.call(QualityDatabase.states)) if store.begun else {}
        usages = expected_usage(cases, facts, earlier)
        judge = await self.judges.estimated(WantedJudging(goldens, cases, usages, references, earlier, counts=True))
        rows = estimated(cases, usages, {each.label: each.target for each in targets}, self.lab.now)
        return sum(each.usd or 0.0 for each in (*rows, *([judge] if judge else ()))), judge

    async def night(self) -> float:
        """The dollars of one night's run."""
        await self.lab.loop.turn()
        await self.lab.loop.settled()
        spent = self.lab.wallet.spent_usd
        self.lab.now += 86_400.0
        return spent

    async def judged(self) -> float:
        """The judge's dollars in the results of the latest run, all of them its own."""
        (latest, *_) = await self.lab.store.call(lambda database: database.runs(1))
        rows = await self.lab.store.call(lambda database: database.results(latest.id))
        judgings = [each.judging for each in rows if each.judging.questions]
        assert {(each.questions, each.judge) for each in judgings} == {(2, "other/other-model")}
        return sum(each.cost_usd or 0.0 for each in judgings)


@pytest.fixture
async def lab_of(tmp_path: Path) -> AsyncIterator[Callable[[str], PricedLab]]:
    labs: list[PricedLab] = []

    def made(cases: str) -> PricedLab:
        labs.append(PricedLab(tmp_path, cases))
        return labs[-1]

    yield made
    for each in labs:
        each.lab.close()


async def test_criteria_are_in_the_estimate(lab_of: Callable[[str], PricedLab]) -> None:
    """Two for each answer of the arm, none for the judge's own; before the first run by the texts, then by the last run."""
    priced = lab_of(RUBRIC + "max_tokens = 140\n")
    for within in (0.5, 0.25):
        expected, judge = await priced.expected()
        assert judge is not None and (judge.target, judge.answers) == ("other/other-model", 40)
        assert expected == pytest.approx(await priced.night(), rel=within)
        assert judge.usd == pytest.approx(await priced.judged(), rel=within)


async def test_the_anchors_of_a_believed_judge_are_in_it(lab_of: Callable[[str], PricedLab], tmp_path: Path) -> None:
    """Both orders of each, beside the criteria."""
    priced = lab_of(RUBRIC)
    labelled(tmp_path, lines(40))
    await priced.night()
    assert (await priced.watch.look() or pytest.fail("no week")).believed
    expected, judge = await priced.expected()
    assert judge is not None and judge.answers == 40 + 2 * 40
    assert expected == pytest.approx(await priced.night(), rel=0.25)


async def test_comparisons_are_in_it_once_there_are_answers_to_compare_with(lab_of: Callable[[str], PricedLab]) -> None:
    """Five nights cost no judge; then both orders of each are paid, on the first such night by the texts."""
    priced = lab_of(OPEN)
    for _ in range(5):
        expected, judge = await priced.expected()
        assert judge is None
        await priced.night()
    for within in (0.5, 0.25):
        expected, judge = await priced.expected()
        assert judge is not None and judge.answers == 40
        assert expected == pytest.approx(await priced.night(), rel=within)
        assert judge.usd == pytest.approx(await priced.judged(), rel=within)


async def test_a_judge_without_a_price_leaves_the_estimate_open(lab_of: Callable[[str], PricedLab]) -> None:
    """It is not taken for free."""
    priced = lab_of(RUBRIC)
    priced.lab.judge.target = type(priced.lab.judge.target)("judge", "other", "other-model")
    _, judge = await priced.expected()
    assert judge is not None and judge.usd is None
