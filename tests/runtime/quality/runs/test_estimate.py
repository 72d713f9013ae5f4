"""The expected cost of a run: within a quarter of the true one once there was a run, and never invented without a price."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from runtime.contract.prices import Price
from runtime.contract.targets import LOCAL, Target
from runtime.quality.runs.database import PlannedCase
from runtime.quality.runs.estimate import TargetEstimate, estimated, expected_usage
from runtime.quality.values import CaseKey, CaseResult, Grade, Measures
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import NO_HINTS
from runtime.routing.facts.query import read_query
from runtime.routing.facts.tokens import TokenEstimate

PAID = Target("paid", "vendor", "paid-model", price=Price(3.0, 15.0))
UNPRICED = Target("unpriced", "vendor", "unpriced-model")
BOX = Target(LOCAL, LOCAL, "small", on_box=True)
TARGETS = {each.label: each for each in (PAID, UNPRICED, BOX)}


def facts(text: str, max_tokens: int = 400) -> Facts:
    body = {"model": "", "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
    return read_query("openai_chat", body, NO_HINTS, {}, TokenEstimate()).facts


def planned(target: Target, cases: int = 80) -> list[PlannedCase]:
    return [PlannedCase(CaseKey(target.label, "facts", str(n)), "h") for n in range(cases)]


def known(cases: int = 80) -> dict[tuple[str, str], Facts]:
    return {("facts", str(n)): facts("word " * (20 + n)) for n in range(cases)}


def priced(cases: Sequence[PlannedCase], many: int = 80, earlier: Sequence[CaseResult] = ()) -> list[TargetEstimate]:
    """The estimate of a run over so many cases."""
    return estimated(cases, expected_usage(cases, known(many), earlier), TARGETS, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_is_within_a_quarter_after_one_run(seed: int) -> None:
    """Answers differ by a third from night to night; their sum does not."""
    rng = random.Random(seed)
    usual = [rng.randint(20, 390) for _ in range(80)]
    earlier = [
        CaseResult(each.key, Grade.PASS, measures=Measures(prompt_tokens=60, completion_tokens=usual[n]))
        for n, each in enumerate(planned(PAID))
    ]
    (found,) = priced(planned(PAID), earlier=earlier)
    true = sum(60 * 3.0 + tokens * rng.uniform(0.67, 1.33) * 15.0 for tokens in usual) / 1e6
    assert found.answers == 80
    assert found.usd == pytest.approx(true, rel=0.25)


def test_another_targets_answers_say_how_long_a_new_ones_are() -> None:
    """A model that was never asked is taken for one that answers like the others."""
    earlier = [
        CaseResult(CaseKey("vendor/other", "facts", str(n)), Grade.PASS, measures=Measures(completion_tokens=10))
        for n in range(80)
    ]
    (fresh,) = priced(planned(PAID), earlier=earlier)
    (unknown,) = priced(planned(PAID))
    assert fresh.usd is not None
    assert unknown.usd is not None
    assert fresh.usd < unknown.usd / 5


def test_no_price_is_no_estimate_and_the_box_is_free() -> None:
    """An unknown price is not taken for nothing."""
    rows = priced([*planned(UNPRICED, 2), *planned(BOX, 2)], 2)
    assert {each.target: each.usd for each in rows} == {"vendor/unpriced-model": None, "local/small": 0.0}
