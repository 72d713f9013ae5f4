"""The spill-over simulation on the public trace: the ledger holds the target with few requests sent away.

The seeds are fixed and the ledger was developed looking at these stretches. On others (seeds 11 to 13, three stretches) 98.8 %
to 100 % are in time: see `scripts/bench/spill.py --seed 11 12 13`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import Escalation
from scripts.bench.spill import Ours, Simple, requests, simulate


@pytest.fixture(scope="module")
def trace(shared: Path) -> Path:
    return shared / "traces" / "azure_llm_2023_conv.csv"


def test_the_ledger_holds_the_target_and_sends_few_away(trace: Path) -> None:
    """At least 99.5 % in time, at most 10 % to the cloud, on predicted time to first token alone."""
    asked = requests(trace, (26, 34), 0.33, 1)
    outcome = simulate("", Ours(Escalation(ttft_ms=1500, queue_depth=10_000), kv=False), asked, 1)
    assert outcome.within >= 0.995
    assert outcome.cloud <= 0.10


def test_the_same_setting_holds_on_another_stretch_of_the_trace(trace: Path) -> None:
    """One setting serves both."""
    asked = requests(trace, (40, 48), 0.4, 3)
    outcome = simulate("", Ours(Escalation(ttft_ms=1500, queue_depth=10_000), kv=False), asked, 1)
    assert outcome.within >= 0.995
    assert outcome.cloud <= 0.10


def test_without_a_policy_the_same_traffic_drowns(trace: Path) -> None:
    """The simulation is hard enough to say something."""
    asked = requests(trace, (26, 34), 0.33, 1)
    assert simulate("", Simple(lambda request, engine: False), asked, 1).within < 0.3
