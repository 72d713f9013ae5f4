"""Notices of a whole runtime: a spent budget, an engine that was given up and a demotion each reach the webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.compose.runtime import Runtime, load_settings
from runtime.contract.engine import ReplicaState
from runtime.money.budget import Reservation
from runtime.quality.runs.database import PlannedCase, QualityDatabase
from runtime.quality.values import CaseKey, CaseResult, EvalRun, Grade, SetBrief
from runtime.record.decisions import Considered
from tests.fakes.engine import FakeEngine
from tests.fakes.upstream import engine_backend
from tests.runtime.quality.test_demotion_cost import THERE, answered
from tests.runtime.test_notices import webhook

CASES = 40
SETTINGS = """
[engine]
url = ["http://127.0.0.1:9/v1"]
[budget]
daily_usd = 1.0
[notices]
url = "{url}"
"""

Seen = list[tuple[str, Any]]


@pytest.fixture
async def notified(tmp_path: Path) -> AsyncIterator[tuple[Runtime, Seen]]:
    """A runtime that sends notices, and those that arrived."""
    async with webhook(*["204 No Content"] * 5) as (url, seen):
        (tmp_path / "hearth.toml").write_text(SETTINGS.format(url=url))
        made = Runtime(load_settings(tmp_path / "hearth.toml", {}), {}, tmp_path, print, pytest.fail)
        sending = asyncio.create_task(made.notices.run())
        yield made, seen
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await made.aclose()


async def words(notified: tuple[Runtime, Seen]) -> list[tuple[str, str]]:
    """Kind and text of what arrived, once all that was given is sent."""
    await asyncio.sleep(0)
    await notified[0].notices.idle.wait()
    return [(each["kind"], each["text"]) for _, each in notified[1]]


async def test_a_spent_budget(notified: tuple[Runtime, Seen]) -> None:
    """The first call that the day has no room for sends one notice, and the next one none."""
    budget = notified[0].budget
    for fits in (True, False, False):
        async with budget.reserved(5_000, ("",), 1.0) as room:
            assert isinstance(room, Reservation) is fits
            if isinstance(room, Reservation):
                room.settle(999_000)
    ((kind, text),) = await words(notified)
    assert kind == "budget_spent"
    assert text.startswith("the budget of all targets for ")
    assert text.endswith(" is spent: $1")


async def test_an_engine_that_was_given_up(notified: tuple[Runtime, Seen]) -> None:
    """With its cause, once for each replica."""
    runtime, backend = notified[0], engine_backend(())
    backend.lanes[0].ready = False
    engine = FakeEngine(backend, "the model is larger than the GPU")
    engine.down = ReplicaState.GIVEN_UP
    runtime.engine = engine
    listening = asyncio.create_task(runtime.listen())
    await asyncio.sleep(0)
    found = await words(notified)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert found == [("engine_given_up", "replica-0 of small was given up: the model is larger than the GPU")]


async def test_a_demotion_and_the_return(notified: tuple[Runtime, Seen]) -> None:
    """Of a model that passes its golden set on five nights, fails half of it on two, and then passes again.

    The demotion's notice has the dollars of its traffic at the cloud behind it, and what the budget has left.
    """
    runtime = notified[0]
    loop, label = runtime.quality.loop, runtime.fleet.local.target.label
    cases = [PlannedCase(CaseKey(label, "facts", f"c{number}"), "a") for number in range(CASES)]

    def night(number: int, database: QualityDatabase) -> None:
        day, brief = str(date(2026, 11, 1) + timedelta(days=number)), SetBrief("facts", "a", CASES)
        database.begin(EvalRun(day, "nightly", day, 1, 86_400.0 * number, (label,), (brief,)), cases)
        for place, case in enumerate(cases):
            failed = number in (5, 6) and place % 2
            grade = Grade.WRONG if failed else Grade.PASS
            database.settle(day, CaseResult(case.key, grade, float(not failed), case_hash="a"))

    for _ in range(3):
        one = answered(id=runtime.desk.ids.next(), at=runtime.desk.wall() - 1, target=label)
        runtime.desk.store.add(replace(one, considered=(Considered(label, "default"), THERE)))
    for number in range(12):
        await loop.store.call(lambda database, number=number: night(number, database))  # type: ignore[misc]
        await loop.turn(by_itself=False)
        await loop.settled()
    found = await words(notified)
    assert [kind for kind, _ in found] == ["model_demoted", "model_promoted"]
    assert found[0][1].startswith(f"{label} on facts: demoted: 20 of 40 against 40")
    assert found[0][1].endswith(
        "; its traffic goes to clouds for about $1.50 a day, by 3 requests of the last 24 hours; "
        "the budget of all targets has $1.00 of $1.00 left today"
    )
