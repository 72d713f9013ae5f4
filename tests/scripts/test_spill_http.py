"""The simulation over HTTP, and the comparison of predictions with what was seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.bench import spill
from scripts.bench.predicted import errors
from scripts.bench.spill_fleet import asked_of
from scripts.bench.spill_http import over_http


@pytest.mark.slow
def test_a_few_seconds_of_the_trace_through_hearth(shared: Path, tmp_path: Path) -> None:
    """Everybody is answered, by the engine's stand-in or the cloud's. Shares in time need a machine of one's own."""
    trace = shared / "traces" / "azure_llm_2023_conv.csv"
    asked = [each for each in spill.requests(trace, (28, 28.3), 0.33, 1) if each.at < 18]
    seen = asyncio.run(over_http(asked, 1, 1.0, tmp_path))
    assert seen.failed == 0
    assert seen.count == sum(each.counted for each in asked) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_hearths_with_two_engines_each(shared: Path, tmp_path: Path) -> None:
    """Full ones ask each other: everybody is answered, as many in time as by one Hearth before all six engines, and at most a
    little more of it by the cloud. Everything takes three times as long, so that two cores are fast enough.
    """
    trace = shared / "traces" / "azure_llm_2023_conv.csv"
    asked = [each for each in asked_of(trace, (28, 28.5), 0.33, 1, 6) if each.at < 22]
    (tmp_path / "one").mkdir()
    one = asyncio.run(over_http(asked, 1, 3.0, tmp_path / "one", engines=6))
    three = asyncio.run(over_http(asked, 1, 3.0, tmp_path, hearths=3, engines=2))
    assert one.failed == three.failed == 0 and one.count == three.count
    assert three.within >= one.within - 0.01
    assert three.cloud <= one.cloud + 0.03


def test_predictions_are_compared_by_their_ratio() -> None:
    """Seen over predicted, and the share that began within what was predicted."""
    found = errors([(100.0, 50.0), (100.0, 100.0), (200.0, 300.0), (400.0, 400.0)])
    assert (found.count, found.ratio_p50, found.held, found.off_p50) == (4, 1.0, 0.75, 25.0)
    assert found.ratio_p90 == pytest.approx(1.35)
