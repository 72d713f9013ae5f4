"""A scripted engine and a hop to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_models.wire.hop import EngineHop
from tests.local_models.wire.peer import Clock, Engine, Script, Start


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[Engine] = []

    async def start(script: Script) -> Engine:
        one = Engine(tmp_path / "e.sock", script)
        await one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        await one.stop()
    await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def hop(tmp_path: Path, clock: Clock) -> AsyncIterator[EngineHop]:
    hop = EngineHop(socket_path=tmp_path / "e.sock", clock=clock)
    yield hop
    assert hop.in_flight == 0, "a test left a request in flight"
    await hop.aclose()
