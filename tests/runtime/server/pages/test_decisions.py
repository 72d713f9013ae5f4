"""The decision records over HTTP: to whom they are shown, and what may be asked of the list."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.record.decisions import Decision
from runtime.record.store import Store
from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.pages.decisions import DecisionPages
from runtime.trust.caller import Caller, Scope
from runtime.trust.keys import Keys
from tests.fakes.bare_app import asked, bare_app

OWNERS = ("a", "b", "", "a")


class Named(Keys):
    """Keys whose callers may do what their name begins with: "generate a" is a caller `a` that may generate alone."""

    def admit(self, headers: Any) -> Caller:
        scope, _, name = headers["x-api-key"].partition(" ")
        return Caller(name, frozenset({Scope(scope)}))


@pytest.fixture(params=[True, False], ids=["saved", "not yet saved"])
async def app(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    store = Store(tmp_path / "decisions.sqlite3", retention_days=0, max_mb=16, clock=time.time)
    if request.param:
        store.start()
    for number, owner in enumerate(OWNERS):
        words = '"caller":"b"'  # a member's name inside a text is no member
        decision = Decision(id=f"dec_{number + 1:016x}", at=1.0, dialect="d", model="m", caller=owner, words=words)
        store.add(decision)
    if request.param:
        store.close()
    yield bare_app(AccessPolicy(Named(["any"])), DecisionPages(store).table())


async def seen(app: App, key: str) -> list[str]:
    answer = await asked(app, "GET", "/hearth/decisions", [("x-api-key", key)])
    return [row["caller"] for row in answer.json["data"]]


async def test_a_caller_that_may_only_generate_sees_its_own(app: App) -> None:
    """In the list and by id; all others see everybody's."""
    assert await seen(app, "generate a") == ["a", "a"] and await seen(app, "generate b") == ["b"]
    assert await seen(app, "generate c") == []
    assert await seen(app, "read b") == await seen(app, "admin b") == ["a", "", "b", "a"]
    for key, status in (("generate a", 200), ("generate b", 404), ("read b", 200)):
        answer = await asked(app, "GET", "/hearth/decisions/dec_0000000000000001", [("x-api-key", key)])
        assert answer.status == status
    answer = await asked(app, "GET", "/hearth/decisions/dec_0000000000000003", [("x-api-key", "generate c")])
    assert (answer.status, answer.error["code"]) == (404, "decision_not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=" + "9" * 5000, "limit=²", "color=red"])
async def test_parameters_are_checked(app: App, query: str) -> None:
    """400 with the parameter's name."""
    answer = await asked(app, "GET", f"/hearth/decisions?{query}", [("x-api-key", "read a")])
    assert (answer.status, answer.error["code"]) == (400, "invalid_parameter")
    assert answer.error["param"] == query.partition("=")[0]
