"""What the benchmarks make of their figures: medians, ratios against gates, rises of memory."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.cli.bulk.questions import question_of
from scripts.bench import batch_lane, eval_lane
from scripts.bench.confidence import quality
from scripts.bench.contenders import HEARTH, HEARTH_AGAIN, LITELLM, SGLANG_ROUTER
from scripts.bench.engine import Side, compare
from scripts.bench.gateway import BURST, PHASES, WHOLE, Score, table, verdicts
from scripts.bench.questions import sources
from scripts.bench.soak import rise


def score(whole: list[float], burst: list[float]) -> Score:
    return Score(figures={WHOLE.name: whole, BURST.name: burst})


def test_a_gate_is_judged_by_the_ratio_of_medians() -> None:
    """One bad round on a busy machine decides nothing."""
    ours, theirs = score([0.3, 0.3, 9.0], [1.5, 1.5, 1.5]), score([0.2, 0.2, 0.2], [1.0, 1.0, 1.0])
    found = {each.gate.phase.name: each for each in verdicts({HEARTH: ours, SGLANG_ROUTER: theirs})}
    assert found[WHOLE.name].ratio == pytest.approx(1.5)
    assert (found[WHOLE.name].kept, found[BURST.name].kept) == (True, False)


def test_of_the_identical_pair_the_dearer_one_is_judged() -> None:
    """The luckier of two runs of the same program proves nothing; their distance is shown."""
    scores = {
        HEARTH: score([0.3], [1.0]),
        HEARTH_AGAIN: score([0.33], [1.1]),
        SGLANG_ROUTER: score([0.2], [1.05]),
    }
    found = {each.gate.phase.name: each for each in verdicts(scores)}
    assert found[WHOLE.name].ratio == pytest.approx(1.65)
    assert found[WHOLE.name].spread == pytest.approx(0.1)
    assert not found[WHOLE.name].kept
    assert found[BURST.name].kept  # 1.05 of at most 1.0 and the spread


def test_who_did_not_run_is_not_judged() -> None:
    """`--only` leaves gates out, it does not keep them."""
    assert verdicts({HEARTH: score([0.3], [1.0])}) == []
    alone = verdicts({HEARTH: score([0.3], [1.0]), LITELLM: score([9.0], [59.0])})
    assert [each.gate.other for each in alone] == [LITELLM]


def test_the_table_has_a_line_for_everyone_and_a_dash_for_what_was_not_measured() -> None:
    """Four figures and three of its own for each."""
    lines = list(table({HEARTH: score([0.3], [1.0])}))
    assert lines[-1].count("|") == len(PHASES) + 5
    assert lines[-1].startswith("| hearth | 0.300 | 1.000 | - | - |")


def test_memory_that_only_warms_up_does_not_rise() -> None:
    """The first quarter is left out; a leak after it is seen in MiB per 100,000 requests."""
    done = [1_000.0 * step for step in range(41)]
    assert rise(done, [40.0] + [60.0] * 40) == pytest.approx(0.0)
    assert rise(done, [60.0 + each / 1_000 for each in done]) == pytest.approx(100.0)


def test_what_is_added_is_told_request_against_request() -> None:
    """A slow moment slows both sides and cancels out."""
    direct = Side((), "m", [10.0, 50.0, 10.0], [100.0, 20.0, 100.0])
    through = Side((), "m", [10.5, 50.5, 10.5], [95.0, 19.0, 95.0])
    added = compare(direct, through)
    assert (added.added_ttft_p50, added.added_ttft_p99) == pytest.approx((0.5, 0.5))
    assert added.lost == pytest.approx(0.05)
    assert added.kept


def test_the_questions_are_many_and_the_same_every_time() -> None:
    """At least 500 from at least three sources, each a line that `hearth calibrate` reads."""
    made = sources()
    lines = [line for found in made.values() for line in found]
    assert len(made) >= 3 and len(lines) >= 500 and made == sources()
    assert len({line["id"] for line in lines}) == len(lines)
    for line in lines:
        question_of(json.dumps(line))


def test_sources_outside_the_band_are_not_counted(tmp_path: Path) -> None:
    """A model that is nearly always right or wrong about a source tells nothing there."""
    chance, rows = random.Random(1), []
    for source, share in (("half", 0.5), ("never", 0.0)):
        for number in range(120):
            right = number < 120 * share
            features = [chance.gauss(2.0 if right else 0.0, 1.0), *(chance.gauss() for _ in range(5))]
            rows.append({"id": f"{source}/{number}", "label": "right" if right else "wrong", "features": features})
    judged = tmp_path / "judged.jsonl"
    judged.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = quality(judged)
    assert (found["questions"], found["counted"], found["right"]) == (240, 120, 60)
    assert [each["counted"] for each in found["sources"]] == [True, False]
    low, high = found["auroc"]["interval"]
    assert 0.8 < low < found["auroc"]["value"] < high <= 1.0


def test_a_round_beside_golden_sets_is_judged_against_both_sides_of_it() -> None:
    """A tenth over the mean of the two p95s alone, and one step; without answers to golden cases it shows nothing."""
    good = eval_lane.EvalRound(before=90, beside=160, after=110, step=50, answers=20, failed=0, load=0)
    assert good.kept
    assert not replace(good, beside=161).kept
    assert not replace(good, answers=0).kept
    assert not replace(good, failed=1).kept


def test_a_round_of_the_batch_lane_is_judged_by_both_bounds() -> None:
    """First tokens by the step and a tenth, tokens by their share; a failed request is no kept round."""
    alone = batch_lane.Part(ttfts=(0.1,) * 20)
    batch = batch_lane.Part(tokens_per_s=100.0)
    good = batch_lane.Part((0.15,) * 20, (0.05,) * 20, 85.0)
    assert batch_lane.round_of(alone, batch, good, 0.0).kept
    assert not batch_lane.round_of(alone, batch, replace(good, ttfts=(0.1601,) * 20), 0.0).kept
    assert not batch_lane.round_of(alone, batch, replace(good, tokens_per_s=84.0), 0.0).kept
    assert not batch_lane.round_of(alone, batch, replace(good, failed=1), 0.0).kept
