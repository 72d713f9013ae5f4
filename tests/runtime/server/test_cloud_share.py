"""`[escalation] cloud_share` over HTTP: what moves the threshold, what does not, and where it is shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtime.cli.paint import Paint
from runtime.cli.report import report_lines
from runtime.compose.report import ProcessFacts, report
from runtime.life.kept import Kept
from runtime.load.cloud_share import STEP
from runtime.settings import Escalation, Settings
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, whole
from tests.runtime.server.test_sessions import streamed

PROMPTS = (
    "hello",
    "If f(x) = 3x^2 + 7x - 5, find the sum of the roots of f(x) = 2x + 9, then compute the integral of f from 0 to 4.",
    "Tell me a joke about cats.",
    "Prove that every group of order p^2 is abelian, for a prime p, and name each theorem that you use.",
)


@pytest.mark.parametrize("complexity", [0.62, {"default": 0.7, "math": 0.3}])
async def test_the_threshold_moves_by_what_left(complexity: float | dict[str, float], tmp_path: Path) -> None:
    """Each free request moves all thresholds by its part of a step; pins and explanations move none; all of it is shown."""
    wanted, rounds = 0.2, 8
    escalation = Escalation(complexity=complexity, cloud_share=wanted)
    engine = engine_backend(tuple(Turn([whole("Yes.")]) for _ in range(60)))
    async with opened(
        Setup(engine, [cloud("one", *(Turn(streamed()) for _ in range(60)))], escalation), tmp_path
    ) as door:
        fleet, left, shift = door.desk.fleet, 0, 0.0
        for _ in range(rounds):
            for prompt in PROMPTS:
                assert fleet.cloud_share.shift == pytest.approx(shift, abs=1e-4)
                given = await door.chat(prompt)
                gone = not given.headers["x-hearth-target"].startswith("local/")
                left += gone
                shift += STEP * (gone - wanted)
                kept = (await door.client.get("/hearth/decisions")).json()["data"][0]["kept"]
                assert msgspec.convert(kept, Kept).shift == pytest.approx(shift - STEP * (gone - wanted), abs=1e-4)
        assert 0 < left < rounds * len(PROMPTS)
        counted = fleet.cloud_share.counted
        assert counted == rounds * len(PROMPTS)
        await door.chat(PROMPTS[1], model="local")
        await door.chat(PROMPTS[1], model="one")
        explained = await door.client.post(
            "/hearth/explain", json={"model": "auto", "messages": [{"role": "user", "content": PROMPTS[1]}]}
        )
        assert fleet.cloud_share.counted == counted
        task = explained.json()["task"]
        assert explained.json()["threshold"] == escalation.threshold(task, fleet.cloud_share.shift)
        shown = report(door.desk, Settings(escalation=escalation), ProcessFacts(0.0, None, None, None, (), ()))
        assert shown.cloud_share is not None
        assert shown.cloud_share.share == left / counted
        assert set(shown.cloud_share.thresholds) == set(escalation.thresholds)
        now = escalation.threshold("default", fleet.cloud_share.shift)
        assert shown.cloud_share.thresholds["default"] == now != escalation.threshold("default")
        lines = "\n".join(report_lines(shown, Paint(False)))
        assert f"wanted 20.0%, left {left / counted:.1%} of the last {counted}" in lines
        assert f"the complexity threshold is {now:.2f}" in lines
