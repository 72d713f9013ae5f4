"""A client's default limit that is above a model's longest answer: lowered on the way, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.contract.targets import Capabilities
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told, whole

CAN = Capabilities(max_output_tokens=64, context_tokens=1_000)


@pytest.mark.parametrize(("asked", "sent", "degraded"), [(1_000_000, 64, "max_tokens"), (64, 64, None)])
async def test_bytes_that_pass_through(tmp_path: Path, asked: int, sent: int, degraded: str | None) -> None:
    """The model is a candidate all the same."""
    target = cloud("plain", Turn([whole("Hello")]), capabilities=CAN)
    async with opened(Setup(engine_backend((Turn([whole("x")]),)), [target]), tmp_path) as d:
        answer = await d.chat(model="plain", max_tokens=asked)
        assert (answer.status_code, answer.headers.get("x-hearth-degraded")) == (200, degraded)
        assert target.lanes[0].hop.bodies[0]["max_tokens"] == sent


async def test_a_translation(tmp_path: Path) -> None:
    """Named by OpenAI's name for it."""
    target = cloud("plain", Turn(told("Hello")), capabilities=CAN)
    async with opened(Setup(engine_backend((Turn([whole("x")]),)), [target]), tmp_path) as d:
        answer = await d.client.post(
            "/v1/responses", json={"model": "plain", "input": "hi", "max_output_tokens": 128_000}
        )
        assert (answer.status_code, answer.headers["x-hearth-degraded"]) == (200, "max_tokens")
        assert target.lanes[0].hop.bodies[0]["max_tokens"] == 64
