"""Golden cases that need a judge, over fake targets: nights that compare with a model's own earlier answers, and criteria."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.contract.prices import Price
from runtime.quality.drift.watch import DriftWatch
from runtime.quality.golden.check_process import Grader
from runtime.quality.judge.drift import RUNS, observed
from runtime.quality.judge.golden import GoldenJudge
from runtime.quality.judge.watch import JudgeFolders, JudgeWatch
from runtime.quality.runs.asking import Asker
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.runs.earlier import earlier_answers
from runtime.quality.runs.loop import Pace, QualityLoop
from runtime.quality.runs.runner import Runner
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.values import CaseResult, Cause, EvalRun, Grade
from runtime.settings import Quality
from tests.fakes.box import CHAT, Box
from tests.fakes.upstream import Turn, engine_backend, whole
from tests.runtime.quality.judge.scripted import FENCED
from tests.runtime.quality.judge.test_weekly import Said, answering, fair, labelled, lines

NIGHT = 1_795_919_400.0  # 2026-11-29 02:30 UTC
OPEN = '[[case]]\nid = "c{n}"\nprompt = "write {n}"\nchecks = [{{ versus = true }}]\n'
RUBRIC = '[[case]]\nid = "c{n}"\nprompt = "write {n}"\nchecks = [{{ rubric = ["Is it kind?", "Is it short?"] }}]\n'
_FREE = Price(0.0, 0.0)


class JudgingLab:
    """A loop whose grader asks the target called judge, on a clock that a test sets. Its vendor is another one's."""

    def __init__(
        self, folder: Path, cases: str, say: Said, arm: Said = lambda body: "fine 5", count: int = 3, **facts: Any
    ) -> None:
        (folder / "golden").mkdir(exist_ok=True)
        head = 'name = "open"\ntargets = ["arm", "judge"]\n'
        (folder / "golden" / "open.toml").write_text(head + "".join(cases.format(n=n) for n in range(count)))
        self.now, self.trusted, self.slept = NIGHT + 60, True, list[float]()
        self.arm, self.judge = answering("arm", arm, price=_FREE), answering("judge", say, **{"price": _FREE, **facts})
        self.judge.target = dataclasses.replace(self.judge.target, provider="other", model="other-model")
        self.box = Box(engine_backend((Turn([whole("x")]),)), (self.arm, self.judge), wall=lambda: self.now)
        self.store = QualityStore(folder)
        self.wallet = Wallet(folder, lambda: [self.judge.target], lambda: self.now)
        self.wallet.limit(2.0, "UTC")
        self.golden_judge = GoldenJudge(self.box.desk, self.wallet, "judge", lambda: self.trusted, self.sleep)
        self.grader = Grader(self.golden_judge.judged)
        self.watch = DriftWatch(self.box.fleet, Quality())
        runner = Runner(self.box.desk, self.store, Asker(self.box.desk, CHAT, self.grader), self.wallet)
        pace = Pace(0.01, 600, 0, 3600, 0)
        self.loop = QualityLoop(self.box.desk, self.store, runner, Quality(), folder, self.watch, pace)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def night(self) -> list[CaseResult]:
        """The results of one night's run for the arm."""
        await self.loop.turn()
        await self.loop.settled()
        self.now += 86_400.0
        (latest, *_) = await self.store.call(lambda database: database.runs(1))
        found = await self.store.call(lambda database: database.results(latest.id))
        return [each for each in found if each.key.target == self.arm.target.label]

    @property
    def asked(self) -> int:
        """Questions that the judge was asked as a judge."""
        return sum(b"response_format" in call.body for call in self.judge.lanes[0].hop.calls)

    def close(self) -> None:
        self.store.close()
        self.wallet.close()
        self.grader.close()


@pytest.fixture
async def lab_of(tmp_path: Path) -> AsyncIterator[Callable[..., JudgingLab]]:
    labs: list[JudgingLab] = []

    def made(*given: Any, **more: Any) -> JudgingLab:
        labs.append(JudgingLab(tmp_path, *given, **more))
        return labs[-1]

    yield made
    for each in labs:
        each.close()


async def test_open_ended_answers_are_compared_with_the_models_own_first_ones(lab_of: Any) -> None:
    """Five nights collect them without a judge; then both orders are asked, and a worse answer loses."""
    answers = ["fine 5"]
    lab = lab_of(OPEN, fair, lambda body: answers[0])
    for _ in range(5):
        rows = await lab.night()
        assert not [row.words for row in rows if row.words]
        assert {(row.open_ended, row.versus, row.grade) for row in rows} == {(True, None, Grade.PASS)}
    assert lab.asked == 0
    assert [row.versus for row in await lab.night()] == [0.5] * 3
    assert lab.asked == 6
    (view,) = [each for each in lab.watch.overview()["streams"] if each.target == lab.arm.target.label]
    assert (view.state, view.cases, view.compared, view.rate, view.versus) == ("watched", 0, 3, None, 0.5)
    answers[0] = "poor 2"
    assert [row.versus for row in await lab.night()] == [0.0] * 3
    answers[0] = "better 9"
    assert [row.versus for row in await lab.night()] == [1.0] * 3
    (state,) = [each for stream, each in lab.watch.states.items() if stream.target == lab.arm.target.label]
    assert state.cases == 0 and {len(own.answers) for own in state.own.values()} == {5}


async def test_the_judge_does_not_judge_itself(lab_of: Any) -> None:
    """Its own answers have no verdict, with the reason."""
    lab = lab_of(RUBRIC, lambda body: '{"holds": true}')
    await lab.night()
    (run,) = await lab.store.call(QualityDatabase.runs)
    rows = await lab.store.call(lambda database: database.results(run.id))
    own = [row for row in rows if row.key.target == lab.judge.target.label]
    assert {(row.grade, row.cause) for row in own} == {(Grade.NO_VERDICT, Cause.JUDGE)}
    assert "is itself one of the models" in own[0].words


async def test_criteria_are_asked_one_by_one(lab_of: Any) -> None:
    """All must hold; a verdict of a judge that is not known to agree with people is advice, and no reference is made of it."""
    lab = lab_of(
        RUBRIC, lambda body: json.dumps({"holds": "short" not in body["messages"][1]["content"].split("Does this")[1]})
    )
    lab.trusted = False
    rows = await lab.night()
    assert {(row.grade, row.advisory) for row in rows} == {(Grade.WRONG, True)}
    assert "'Is it short?'" in rows[0].words
    assert lab.asked == 6
    assert all(state.references == {} for state in lab.watch.states.values())
    lab.trusted = True
    rows = await lab.night()
    assert not rows[0].advisory
    assert any(state.references for state in lab.watch.states.values())


@pytest.mark.parametrize("said", ["The first is better.", "", '{"holds": "yes"}', '{"better": "first"}', None])
async def test_nonsense_and_failure_are_no_verdict(lab_of: Any, said: str | None) -> None:
    """Asked twice; the model is not blamed, and its answer is kept."""
    lab = lab_of(RUBRIC, lambda body: said, count=1)
    (row,) = await lab.night()
    assert (row.grade, row.cause, row.answer) == (Grade.NO_VERDICT, Cause.JUDGE, "fine 5")
    assert "gave no verdict" in row.words


async def test_a_judge_that_is_not_there_is_named(lab_of: Any) -> None:
    """Unset, unknown, and not certified for the set."""
    lab = lab_of(RUBRIC, fair, count=1)
    for named, words in (("", "quality.judge is not set"), ("nobody/x", "is no configured target")):
        lab.golden_judge.named = named
        (row,) = await lab.night()
        assert row.cause is Cause.JUDGE and words in row.words
    lab.golden_judge.named = "judge"
    (golden,) = await lab.loop.read()
    with pytest.raises(Exception, match="not certified for hipaa"):
        lab.golden_judge.chosen(replace(golden, requires=frozenset({"hipaa"})), "vendor/x")


async def test_the_judge_is_paid_from_the_days_dollars(lab_of: Any) -> None:
    """Both orders are counted; with nothing left there is no verdict, and the cause is the budget."""
    lab = lab_of(RUBRIC, lambda body: '{"holds": true}', price=Price(10.0, 50.0), count=1)
    (row,) = await lab.night()
    lab.now -= 86_400.0
    assert row.grade is Grade.PASS and lab.wallet.spent_usd > 0
    lab.now += 86_400.0
    lab.wallet.limit(1e-6, "UTC")
    (row,) = await lab.night()
    assert (row.grade, row.cause) == (Grade.NO_VERDICT, Cause.BUDGET)


@pytest.mark.parametrize("taste", ["first", "longer", "noise"])
async def test_a_biased_judge_demotes_nobody_by_comparison(lab_of: Any, taste: str) -> None:
    """It prefers a place, a length, or throws coins: without a change of the model the mean is one half."""
    random = Random(taste)

    def say(body: Any) -> str:
        found = {place: text for _, place, text in FENCED.findall(body["messages"][1]["content"])}
        longer = "first" if len(found["FIRST"]) > len(found["SECOND"]) else "second"
        word = {"first": "first", "longer": longer, "noise": random.choice(["first", "second", "tie"])}[taste]
        return json.dumps({"better": word})

    lab = lab_of(OPEN, say, lambda body: "so " * random.randrange(1, 40) + "5", count=7)
    scores = [row.versus for _ in range(11) for row in await lab.night() if row.versus is not None]
    assert len(scores) == 42
    assert 0.3 < sum(scores) / 42 < 0.7
    assert not lab.watch.demoted


async def test_a_killed_night_asks_the_judge_for_what_is_missing_alone(lab_of: Any) -> None:
    """The same reference answer is drawn again, and what has a result is not judged twice."""
    lab = lab_of(OPEN, fair, count=4)
    for _ in range(5):
        await lab.night()
    await lab.loop.turn()
    (run, *_) = await lab.store.call(lambda database: database.unclosed())
    earlier = await lab.store.call(lambda database: _drawn(database, run, lab))
    await lab.loop.settled()
    assert lab.asked == 8
    rows = await lab.store.call(lambda database: database.results(run.id))
    assert {row.key for row in rows if row.key.target == lab.arm.target.label} == {
        key for key in earlier if key.target == lab.arm.target.label
    }


def _drawn(database: QualityDatabase, run: EvalRun, lab: JudgingLab) -> dict[Any, str]:
    found = earlier_answers(database, run, lab.watch.references(database.states()))
    assert found == earlier_answers(database, run, lab.watch.references(database.states()))
    return found


def biased(wrong: list[bool]) -> Said:
    """Every criterion holds; of two answers the better one wins, or while it is wrong the other."""

    def say(body: Any) -> str:
        if body["response_format"]["json_schema"]["schema"]["required"] == ["holds"]:
            return '{"holds": true}'
        fairly = fair(body)
        other = {"first": "second", "second": "first"}[json.loads(fairly)["better"]]
        return json.dumps({"better": other}) if wrong[0] else fairly

    return say


async def test_the_anchors_are_decided_before_criteria_count(lab_of: Any, tmp_path: Path) -> None:
    """Once for each run; a judge that changed is noticed in that very night, its word is advice, and its weeks are void."""
    wrong, told_of = [False], list[str]()
    lab = lab_of(RUBRIC, biased(wrong), count=2)
    labelled(tmp_path, lines(40))
    watch = JudgeWatch(
        lab.box.desk,
        lab.store,
        lambda since: (),
        Quality.model_validate({"judge": "judge"}),
        JudgeFolders(tmp_path, tmp_path),
        told_of.append,
    )
    assert not watch.trusted
    assert (await watch.look() or pytest.fail("no week")).believed
    for _ in range(RUNS):
        watch.kept.state = observed(watch.kept.state, watch.kept.weeks[0].week, 40, 40)
    checks = list[str]()

    async def before(run: EvalRun) -> None:
        await watch.check(run, lab.golden_judge.decided)
        asked = lab.asked
        await watch.check(run, lab.golden_judge.decided)
        assert lab.asked == asked
        checks.append(run.id)
        lab.trusted = watch.trusted

    lab.loop.before = before
    assert [row.advisory for row in await lab.night()] == [False, False]
    assert checks == [watch.kept.checked] and not told_of
    wrong[0] = True
    assert [(row.advisory, row.grade) for row in await lab.night()] == [(True, Grade.PASS)] * 2
    assert watch.kept.state.drifted and "has changed: it agrees with 0 of 40 anchors" in told_of[0]
    assert not watch.believed
