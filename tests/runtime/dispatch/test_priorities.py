"""The hint `priority` on its way to an engine that serves the lowest number first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local_models.wire.codec import EngineCodec
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.seam import Dialect
from tests.fakes.box import CHAT, Box
from tests.fakes.upstream import FakeBackend, Turn, engine_backend, told, whole

RANKS = pytest.mark.parametrize(("hint", "rank"), [("interactive", -1), ("batch", 1), ("default", None), (None, None)])


def owned() -> FakeBackend:
    """The engine as Hearth starts it."""
    backend = engine_backend((Turn([whole("Paris")]),))
    can = replace(backend.target.capabilities, priorities=True)
    return FakeBackend(replace(backend.target, capabilities=can), backend.lanes, EngineCodec())


async def sent(backend: FakeBackend, dialect: Dialect = CHAT, **members: Any) -> dict[str, Any]:
    """The body that the engine gets."""
    box = Box(backend)
    await box.live(box.ask(dialect=dialect, model="local", **members))
    (body,) = backend.lanes[0].hop.bodies
    return dict(body)


def hinted(hint: str | None) -> dict[str, Any]:
    return {"hearth": {"priority": hint}} if hint else {}


@RANKS
async def test_the_engine_gets_the_hint_as_its_number(hint: str | None, rank: int | None) -> None:
    """Interactive goes before the others, batch behind them; the default is not written at all."""
    body = await sent(owned(), **hinted(hint))
    assert body.get("priority") == rank and "hearth" not in body


@RANKS
async def test_a_translated_request_has_it_too(hint: str | None, rank: int | None) -> None:
    """A client of another wire."""
    backend = owned()
    backend.lanes[0].hop.turns = [Turn(told("Paris"))]
    body = await sent(backend, MESSAGES, max_tokens=9, **hinted(hint))
    assert body.get("priority") == rank


@pytest.mark.parametrize(("dialect", "turn"), [(CHAT, Turn([whole("Paris")])), (MESSAGES, Turn(told("Paris")))])
async def test_an_attached_engine_gets_none(dialect: Dialect, turn: Turn) -> None:
    """It may refuse what it does not know, or run under another policy."""
    backend = engine_backend((turn,))
    body = await sent(
        FakeBackend(backend.target, backend.lanes, EngineCodec()), dialect, max_tokens=9, **hinted("batch")
    )
    assert "priority" not in body


@pytest.mark.parametrize(("hint", "rank"), [("batch", 1), (None, None)])
async def test_a_callers_own_number_does_not_reach_the_owned_engine(hint: str | None, rank: int | None) -> None:
    """With it any key could put itself before everybody. It is named among what was dropped."""
    backend = owned()
    box = Box(backend)
    _, sink = await box.live(box.ask(model="local", priority=-1000, **hinted(hint)))
    assert backend.lanes[0].hop.bodies[0].get("priority") == rank
    assert sink.head is not None and "priority" in sink.head.degraded


async def test_a_callers_own_number_reaches_an_attached_engine() -> None:
    """Its queue is its owner's."""
    backend = engine_backend((Turn([whole("Paris")]),))
    body = await sent(FakeBackend(backend.target, backend.lanes, EngineCodec()), priority=7)
    assert body["priority"] == 7
