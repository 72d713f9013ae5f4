"""What a busy second of one replica costs, from the settings."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.compose.engine import second_usd
from runtime.settings import Settings


@pytest.mark.parametrize(
    ("engine", "gpus", "usd"),
    [
        ({}, 1, None),
        ({"watts": 700}, 1, None),
        ({"kwh_usd": 0.3}, 1, None),
        ({"gpu_hour_usd": 3.6}, 1, 0.001),
        ({"gpu_hour_usd": 3.6}, 0, 0.001),
        ({"gpu_hour_usd": 3.6, "replicas": 2}, 8, 0.004),
        ({"gpu_hour_usd": 3.6, "watts": 700, "kwh_usd": 0.3}, 1, 0.001),
        ({"gpu_hour_usd": 0.0}, 1, 0.0),
        ({"watts": 720, "kwh_usd": 0.5, "replicas": 2}, 2, 0.00005),
    ],
)
def test_a_second(engine: dict[str, Any], gpus: int, usd: float | None) -> None:
    """Rent by the GPU, or electricity by the box; unknown is None, and a price of zero is one."""
    found = second_usd(Settings.model_validate({"engine": engine}), gpus)
    assert found == (None if usd is None else pytest.approx(usd))
