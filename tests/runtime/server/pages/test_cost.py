"""`/hearth/cost` and `/hearth/summary`: their parameters, whom they are shown to, and that they hold what was just settled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.record.decisions import Decision, Exchange, floor_of
from runtime.record.store import Store
from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.pages.cost import CostPages
from runtime.trust.key_store import KeyStore, KeyTerms
from runtime.trust.keys import Keys
from tests.fakes.bare_app import asked, bare_app

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A store that runs, and pages over it. The one record came with a created key."""
    keys = KeyStore(tmp_path, lambda: NOW)
    key = keys.create(KeyTerms(name="web"))[0]
    store = Store(tmp_path / "decisions.sqlite3", retention_days=1, max_mb=16, clock=lambda: NOW)
    store.start()
    tried = (Exchange("openai/x", "api", 0.0, 1.0, prompt_tokens=10, completion_tokens=1, cost_usd=0.25),)
    id = f"dec_{floor_of(NOW):016x}"
    store.add(Decision(id=id, at=NOW, dialect="d", model="auto", target="openai/x", attempts=tried, caller=key.id))
    beside = "the fleet has spent more"
    yield bare_app(AccessPolicy(Keys([])), CostPages(store, keys, lambda: NOW, lambda: (beside,)).table())
    store.close()


async def test_what_was_just_settled_is_in_both(app: App) -> None:
    """The writer is waited for; rows by key have the key's name."""
    cost = (await asked(app, "GET", "/hearth/cost?by=key&days=1")).json
    assert [(row["name"], row["requests"], row["cost_usd"]) for row in cost["rows"]] == [("web", 1, 0.25)]
    assert (cost["from"], cost["to"], cost["timezone"]) == ("2026-11-29", "2026-11-29", "UTC")
    assert cost["notes"] == ["the fleet has spent more"]
    made = (await asked(app, "GET", "/hearth/summary")).json
    assert (made["window_s"], made["total"]["requests"], made["today"]["cost_usd"]) == (86_400, 1, 0.25)
    assert made["to"] == NOW and made["targets"][0]["label"] == "openai/x"


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/hearth/cost?by=colour", "by"),
        ("/hearth/cost?from=yesterday", "from"),
        ("/hearth/cost?from=2026-11-30&to=2026-11-01", "from"),
        ("/hearth/cost?to=9999-12-31", "from"),
        ("/hearth/cost?days=0", "days"),
        ("/hearth/cost?days=²", "days"),
        ("/hearth/cost?days=3&to=2026-11-01", "days"),
        ("/hearth/cost?color=red", "color"),
        ("/hearth/summary?window=0h", "window"),
        ("/hearth/summary?window=24", "window"),
        ("/hearth/summary?window=99999d", "window"),
        ("/hearth/summary?days=3", "days"),
    ],
)
async def test_parameters_are_checked(app: App, path: str, parameter: str) -> None:
    """400 with the parameter's name."""
    answer = await asked(app, "GET", path)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_parameter", parameter)


async def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """503, and the sums are there again when the file is."""
    (tmp_path / "d").write_bytes(b"no database" * 1000)
    store = Store(tmp_path / "d", retention_days=1, max_mb=16, clock=lambda: NOW)
    app = bare_app(AccessPolicy(Keys([])), CostPages(store, KeyStore(tmp_path, lambda: NOW), lambda: NOW).table())
    answer = await asked(app, "GET", "/hearth/summary")
    assert answer.status == 503 and "cannot be read" in answer.error["message"]
