"""Nights in which a judge decides, simulated: a judge that changes accuses no model, and a model that changes not the judge.

A tenth of the seeds runs with the fast tests; all of them with the slow ones.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import pytest

from runtime.quality.drift import stream as drift
from runtime.quality.drift.stream import DriftRule, Night, StreamState
from runtime.quality.judge.drift import RUNS, JudgeState, observed
from runtime.quality.judge.question import Better, score
from runtime.quality.values import CaseKey, CaseResult, Grade, Stream
from tests.runtime.quality.drift.nights import Life

HEALTHY, DRIFTED = 0.92, 0.65  # agreement
ANCHORS, CASES, CHANGE, NIGHTS = 40, 80, 10, 30
STREAM = Stream("vendor/m", "open")
SEEDS = [10, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]


class Told(NamedTuple):
    """found: nights until the judge was found to have changed, None if it never was. demoted: nights until the model was."""

    found: int | None
    demoted: int | None


def judged_nights(seed: int, agreement: float, rate: float, nights: int = NIGHTS) -> Told:
    """From the tenth night on the judge agrees with people so often, and the model is that good.

    Each night the anchors are decided first; while the judge is suspected, its word on criteria is advice.
    """
    random, life, state = Random(seed), Life(), JudgeState()
    found = demoted = None

    def agreed(share: float) -> int:
        return sum(random.random() < share for _ in range(ANCHORS))

    for week in range(RUNS):
        state = observed(state, f"week {week}", agreed(HEALTHY), ANCHORS)
    for night in range(nights):
        right, good = (HEALTHY, HEALTHY) if night < CHANGE else (agreement, rate)
        state = observed(state, f"night {night}", agreed(right), ANCHORS)
        found = night - CHANGE + 1 if state.drifted and found is None else found
        rows = []
        for case in range(CASES):
            holds = (random.random() < good) is (random.random() < right)
            grade = Grade.PASS if holds else Grade.WRONG
            rows.append(
                CaseResult(CaseKey(*STREAM, f"c{case}"), grade, float(holds), case_hash="h", advisory=state.suspected)
            )
        events = [each.kind for each in life.night(night, rows).events]
        demoted = night - CHANGE + 1 if "demoted" in events and demoted is None else demoted
    return Told(found, demoted)


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_judge_that_changes_is_found_and_no_model_is_demoted_for_it(seeds: int) -> None:
    """Agreement falls from 92 to 65 %: found within five judged runs, in 95 of 100 seeds."""
    every = [judged_nights(seed, DRIFTED, HEALTHY) for seed in range(seeds)]
    assert sum(each.found is not None and 1 <= each.found <= 5 for each in every) >= 0.95 * seeds
    assert sum(each.demoted is None for each in every) >= 0.95 * seeds


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_model_that_gets_worse_is_demoted_and_the_judge_not_accused(seeds: int) -> None:
    """92 to 75 % under a steady judge, in 95 of 100 seeds."""
    every = [judged_nights(seed, HEALTHY, 0.75) for seed in range(seeds)]
    assert sum(each.demoted is not None and each.demoted >= 1 for each in every) >= 0.95 * seeds
    assert sum(each.found is None for each in every) >= 0.95 * seeds


@pytest.mark.parametrize("seeds", SEEDS)
def test_nothing_happens_where_nothing_changes(seeds: int) -> None:
    """Neither is accused."""
    every = [judged_nights(1000 + seed, HEALTHY, HEALTHY) for seed in range(seeds)]
    assert sum(each == Told(None, None) for each in every) >= 0.97 * seeds


class DriftingJudge:
    """It weighs three features of an answer, and the weights wander; its liking for the first slot comes and goes too."""

    def __init__(self, random: Random, wanders: float) -> None:
        self._random, self.weights, self._first, self._wanders = random, [1.0, 0.0, 0.0], 0.0, wanders

    def drift(self, night: int) -> None:
        self.weights = [weight + self._random.gauss(0, self._wanders) for weight in self.weights]
        self._first = 0.4 if night // 60 % 2 else 0.0

    def compared(self, one: list[float], other: list[float]) -> float:
        forward, backward = self._word(one, other), self._word(other, one)
        found = score(forward, backward)
        assert found is not None
        return found

    def _word(self, first: list[float], second: list[float]) -> Better:
        if self._random.random() < self._first:
            return "first"
        ahead = sum(weight * (a - b) for weight, a, b in zip(self.weights, first, second, strict=True))
        ahead += self._random.gauss(0, 0.3)
        return "first" if ahead > 0.3 else "second" if ahead < -0.3 else "tie"


def open_ended(seed: int, nights: int, *, wanders: float = 0.0, worse: float = 0.0) -> int | None:
    """Nights from a change on until a demotion, of 80 open-ended cases compared with their own first five answers."""
    random = Random(seed)
    judge, state, rule = DriftingJudge(random, wanders), StreamState(), DriftRule(bar=10_000.0)

    def answer(night: int) -> list[float]:
        return [random.gauss(-worse if night >= CHANGE else 0.0, 1) for _ in range(3)]

    references = [[answer(-1) for _ in range(5)] for _ in range(CASES)]
    for night in range(nights):
        judge.drift(night)
        scores = [judge.compared(answer(night), random.choice(own)) for own in references]
        state = drift.observed(state, Night(f"night {night}", night * 86_400.0, (), scores), rule)
        if drift.due(state, rule) and drift.low(state):
            return night - CHANGE + 1
    return None


@pytest.mark.parametrize("years", [1, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_open_ended_case_demotes_while_the_judge_drifts(years: int) -> None:
    """No demotion in 100 model-years: answers of one model are alike to whatever judge."""
    assert [open_ended(seed, 365, wanders=0.1) for seed in range(years)] == [None] * years


@pytest.mark.parametrize("seeds", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_model_whose_open_answers_get_worse_is_demoted(seeds: int) -> None:
    """Under a judge that stays as it is."""
    found = [open_ended(seed, NIGHTS, worse=1.0) for seed in range(seeds)]
    assert sum(each is not None and 1 <= each <= 7 for each in found) >= 0.95 * seeds
