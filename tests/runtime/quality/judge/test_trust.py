"""What is said of a judge with planted faults, and of one without."""

from __future__ import annotations

from random import Random

import pytest

from runtime.quality.judge.drift import JudgeState, observed
from runtime.quality.judge.trust import (
    agreement,
    alpha,
    biases,
    corrected,
    kappa,
    logistic,
    mean,
    own_family,
)
from tests.runtime.quality.judge.scripted import ScriptedJudge


@pytest.mark.parametrize("planted", [0.0, 0.2, 0.35])
def test_the_interval_covers_the_planted_share_of_the_first_slot(planted: float) -> None:
    """In 90 of 100 seeds and more."""
    covered = 0
    for seed in range(100):
        random = Random(seed)
        judge = ScriptedJudge(random, first=planted)
        found = biases([judge.pair(n, random.random() < 0.5) for n in range(100)]).first_slot
        assert found is not None
        covered += found.low <= planted <= found.high
    assert covered >= 90


def test_a_judge_that_takes_the_first_slot_is_flagged_and_a_fair_one_is_not() -> None:
    """At 35 % with 100 pairs in 95 of 100 seeds; an unbiased one in at most three."""
    flagged = {}
    for planted in (0.35, 0.0):
        flagged[planted] = 0
        for seed in range(100):
            random = Random(1000 + seed)
            judge = ScriptedJudge(random, first=planted)
            report = biases([judge.pair(n, random.random() < 0.5) for n in range(100)])
            flagged[planted] += "first_slot" in report.flagged or "second_slot" in report.flagged
    assert flagged[0.35] >= 95
    assert flagged[0.0] <= 3


def test_failures_are_no_ties_wins_or_losses() -> None:
    """They are counted, and the rest of the report does not change."""
    random = Random(7)
    judge = ScriptedJudge(random, failing=0.2)
    pairs = [judge.pair(n, True) for n in range(400)]
    report = biases(pairs)
    assert report.failed == pytest.approx(0.36, abs=0.06)
    assert sum(pair.score is None for pair in pairs) == round(report.failed * 400)
    assert all(pair.score is None for pair in pairs if None in (pair.forward, pair.backward))


def test_a_taste_for_length_is_found_with_its_sign() -> None:
    """The slope's interval is above 0, and the win rate at equal length is not the raw one."""
    random = Random(3)
    judge = ScriptedJudge(random, length=2.0)
    pairs = [
        judge.pair(n, random.random() < 0.5, random.choice([(100, 200), (200, 100), (100, 100)])) for n in range(300)
    ]
    report = biases(pairs)
    assert report.length is not None and report.length.low > 0
    assert "length" in report.flagged
    fair = ScriptedJudge(Random(4))
    assert (
        "length"
        not in biases([fair.pair(n, n % 2 == 0, ((100, 200), (200, 100))[n // 2 % 2]) for n in range(300)]).flagged
    )


def said(random: Random, wins: bool) -> float:
    """A judge that errs in both directions."""
    return float(random.random() < (0.85 if wins else 0.25))


def test_a_corrected_rate_is_right_where_the_raw_one_is_not() -> None:
    """The mean over many weeks is the truth, and 90 of 100 intervals hold it."""
    values, held = [], 0
    for seed in range(100):
        random = Random(seed)
        truth = [random.random() < 0.60 for _ in range(100)]
        labelled = [random.random() < 0.60 for _ in range(100)]
        found = corrected(
            [said(random, wins) for wins in truth], [(said(random, wins), float(wins)) for wins in labelled]
        )
        values.append(found.value)
        held += found.low <= 0.60 <= found.high
    assert sum(values) / 100 == pytest.approx(0.60, abs=0.02)
    assert held >= 90


def test_agreement_by_hand() -> None:
    """Cohen's and Krippendorff's, on numbers worked out on paper."""
    pairs = [*[("a", "a")] * 20, *[("a", "b")] * 5, *[("b", "a")] * 10, *[("b", "b")] * 15]
    assert kappa(pairs) == pytest.approx(0.4)
    assert alpha([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")]) == pytest.approx(1 - 2 / ((64 - 9 - 25) / 7))
    found = agreement(pairs, Random(1))
    assert found is not None
    assert found.kappa.low < 0.4 < found.kappa.high
    assert not found.usable
    sure = agreement([("a", "a"), ("b", "b")] * 20, Random(1))
    assert sure is not None and sure.usable


def test_a_judges_change_is_found_within_five_runs_and_a_steady_one_is_left_alone() -> None:
    """Agreement with 40 anchors falls from 92 to 65 %: in 95 of 100 seeds; none in a year without a change."""
    found = false = 0
    for seed in range(100):
        random, state = Random(seed), JudgeState()
        for run in range(52):
            state = observed(state, str(run), sum(random.random() < 0.92 for _ in range(40)), 40)
        false += state.drifted
        for run in range(5):
            state = observed(state, f"after {run}", sum(random.random() < 0.65 for _ in range(40)), 40)
        found += state.drifted
    assert found >= 95
    assert false <= 2


def test_a_family_that_is_favoured_shows() -> None:
    """The judge's score less the label, own family against others."""
    rows = [(1.0, 0.5, True)] * 30 + [(0.5, 0.5, False)] * 30
    found = own_family(rows)
    assert found is not None and found.value == 0.5
    assert own_family(rows[:30]) is None


def test_little_is_not_fitted() -> None:
    """No line through nine points, and none where nobody lost."""
    assert logistic([0.0, 1.0] * 4, [True, False] * 4) is None
    assert logistic([0.0, 1.0] * 20, [True] * 40) is None
    assert mean([0.5]).n == 1
