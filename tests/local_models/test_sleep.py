"""An engine that sleeps while it is idle, as a process: asleep it is watched without being woken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from local_models.replica.dozing import DozingHop
from local_models.wire.hop import EngineHop
from tests.fakes.local_engine import fake_engine, fake_state
from tests.local_models.running import only, question, running, until

pytestmark = pytest.mark.slow


async def test_a_sleeping_engine_is_ready_and_answers(tmp_path: Path) -> None:
    """It stays ready through several checks; the next request wakes it, and it sleeps again."""
    async with running(fake_engine(tmp_path, sleep_after_s=0.5), tmp_path) as engine:
        hop = engine.lanes[0].hop
        assert isinstance(hop, DozingHop) and isinstance(hop._hop, EngineHop)
        for _ in range(2):
            await until(lambda: only(engine).asleep)
            await asyncio.sleep(1.5)  # longer than silence is borne where requests are out
            assert only(engine).ready and (await fake_state(hop._hop))["asleep"]
            reply = await hop.open(question(), connect_s=2)
            assert reply.status == 200 and b"Paris" in await reply.read()
            assert not only(engine).asleep and only(engine).run == 1
