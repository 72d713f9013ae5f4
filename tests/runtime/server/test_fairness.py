"""Fairness between keys over HTTP: the 429 of a full engine is for the key that filled it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from runtime.settings import Escalation
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Gate, Turn, engine_backend, whole

FLOODS, OTHER = "a" * 20, "b" * 20


async def test_a_key_that_floods_keeps_no_other_out(tmp_path: Path) -> None:
    """Four of its requests run; the fifth is refused, another key's first is answered, and alone nobody is refused less."""
    gate = Gate()
    held = tuple(Turn([whole("Yes.")], wait=gate) for _ in range(5))
    engine = engine_backend(held)
    body = {"model": "local", "messages": [{"role": "user", "content": "hi"}]}
    setup = Setup(engine, [], Escalation(admit_ttft_ms=1_000), keys=(FLOODS, OTHER))
    async with opened(setup, tmp_path) as door:

        def asks(key: str) -> Any:
            headers = {"authorization": f"Bearer {key}"}
            return door.client.post("/v1/chat/completions", json=body, headers=headers)

        ledger = door.desk.fleet.ledger(engine.lanes[0])
        waiting = [asyncio.create_task(asks(FLOODS)) for _ in range(4)]
        while ledger.waiting < 4:
            await asyncio.sleep(0)
        # The engine is known to be slow from here on: the next first token is predicted in 1.5 s.
        ledger.backlog_s = lambda *_: 1.5  # type: ignore[method-assign]
        refused = await asks(FLOODS)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        waiting.append(asyncio.create_task(asks(OTHER)))
        while ledger.waiting < 5 and not waiting[-1].done():
            await asyncio.sleep(0)
        gate.open()
        assert [each.status_code for each in await asyncio.gather(*waiting)] == [200] * 5
