"""The expected cost of a run that a judge decides: within a quarter of the true one, anchors and both orders included.

The judge of these tests bills as OpenAI does in recorded traffic: a schema of 316 characters for 55 to 71 tokens.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities
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
REFERENCE = RUBRIC.replace('"Is it short?"] }}', f'"Is it short?"], reference = "{"a kind word, " * 19}" }}}}')
ANSWER = "a friendly word for every guest, and the way to the breakfast room " * 4 + "5"


class MeteredHop(AnsweringHop):
    """Bills a token for four characters of what it is asked and says, and for five of a schema. thinks: the least and the most
    tokens of what a judge thinks of a verdict.
    """

    def __init__(self, say: Said, random: Random, thinks: tuple[int, int] = (0, 0)) -> None:
        super().__init__(say)
        self.random, self.thinks = random, thinks

    async def open(self, call: Any, *, connect_s: float) -> Any:
        body = json.loads(call.body)
        text = self.say(body) or ""
        asked = sum(len(turn["content"]) // 4 + 4 for turn in body["messages"])
        asked += len(json.dumps(body.get("response_format", ""))) // 5
        thought = self.random.randint(*self.thinks) if "response_format" in body else 0
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
    """A loop whose judge costs. judges: as the page of the estimate has them. thinks: tokens that it thinks of a verdict,
    the least and the most.
    """

    def __init__(
        self, folder: Path, cases: str, seed: int = 1, thinks: tuple[int, int] | None = None, count: int = 20
    ) -> None:
        can = Capabilities(thinks_unasked=thinks is not None)
        self.lab = lab = JudgingLab(folder, cases, said, lambda body: ANSWER, count, price=PRICE, capabilities=can)
        lab.judge.lanes[0].hop = MeteredHop(said, Random(seed), thinks or (0, 0))
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
        usages = expected_usage(cases, facts, earlier, goldens)
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
async def lab_of(tmp_path: Path) -> AsyncIterator[Callable[..., PricedLab]]:
    labs: list[PricedLab] = []

    def made(*given: Any) -> PricedLab:
        labs.append(PricedLab(tmp_path, *given))
        return labs[-1]

    yield made
    for each in labs:
        each.lab.close()


async def nearly(priced: PricedLab) -> TargetEstimate | None:
    """The judge's part of an estimate that comes true within a quarter, in the whole and in that part."""
    expected, judge = await priced.expected()
    assert expected == pytest.approx(await priced.night(), rel=0.25)
    if judge is not None:
        assert judge.usd == pytest.approx(await priced.judged(), rel=0.25)
    return judge


@pytest.mark.parametrize("cases", [RUBRIC + "max_tokens = 140\n", REFERENCE])
async def test_criteria_are_in_the_estimate(lab_of: Callable[..., PricedLab], cases: str) -> None:
    """Two for each answer of the arm, none for the judge's own; before the first run by the texts, then by the last run.

    An answer has half of its limit, or is as long as the good one that the case names.
    """
    priced = lab_of(cases)
    for _ in range(2):
        judge = await nearly(priced)
        assert judge == TargetEstimate("other/other-model", 40, judge.usd if judge else None)


@pytest.mark.parametrize("thinks", [(100, 200), (400, 900)])
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_thinking_of_a_judge_is_known_by_its_last_verdicts(
    lab_of: Callable[..., PricedLab], seed: int, thinks: tuple[int, int]
) -> None:
    """Before them its length is a guess, and the estimate says so; then it is no more."""
    priced = lab_of(RUBRIC + "max_tokens = 140\n", seed, thinks)
    _, judge = await priced.expected()
    assert judge is not None and judge.assumed
    await priced.night()
    judge = await nearly(priced)
    assert judge is not None and not judge.assumed


@pytest.mark.parametrize("thinks", [None, (100, 200), (400, 900)])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_judged_week_says_how_long_verdicts_are(
    lab_of: Callable[..., PricedLab], tmp_path: Path, seed: int, thinks: tuple[int, int] | None
) -> None:
    """The anchors of its latest week come before its first criteria that count: both orders of each are in the estimate."""
    priced = lab_of(RUBRIC + "max_tokens = 140\n", seed, thinks)
    labelled(tmp_path, lines(40))
    assert (await priced.watch.look() or pytest.fail("no week")).believed
    expected, judge = await priced.expected()
    assert judge == TargetEstimate("other/other-model", 40 + 2 * 40, judge.usd if judge else None)
    assert expected == pytest.approx(await priced.night(), rel=0.25)


async def test_comparisons_are_in_it_once_there_are_answers_to_compare_with(lab_of: Callable[..., PricedLab]) -> None:
    """Five nights cost no judge; then both orders of each are paid, on the first such night by the texts."""
    priced = lab_of(OPEN + "max_tokens = 140\n")
    for night in range(7):
        judge = await nearly(priced)
        assert (judge.answers if judge else 0) == (40 if night >= 5 else 0)


async def test_a_judge_without_a_price_leaves_the_estimate_open(lab_of: Callable[..., PricedLab]) -> None:
    """It is not taken for free."""
    priced = lab_of(RUBRIC)
    priced.lab.judge.target = type(priced.lab.judge.target)("judge", "other", "other-model")
    _, judge = await priced.expected()
    assert judge is not None and judge.usd is None
