"""A session on its way to a balancer that keeps it on one of its engines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local_models.wire.codec import EngineCodec
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.seam import Dialect
from tests.fakes.box import CHAT, Box
from tests.fakes.upstream import FakeBackend, Turn, engine_backend, told, whole

WIRES = pytest.mark.parametrize(("dialect", "turn"), [(CHAT, Turn([whole("Paris")])), (MESSAGES, Turn(told("Paris")))])


async def sent(turn: Turn, dialect: Dialect, headers: dict[str, str], session: str, *, sessions: bool) -> list[str]:
    """The values of x-session-id that the engine gets."""
    backend = engine_backend((turn,))
    can = replace(backend.target.capabilities, sessions=sessions)
    box = Box(FakeBackend(replace(backend.target, capabilities=can), backend.lanes, EngineCodec()))
    hint: Any = {"hearth": {"session": session}} if session else {}
    await box.live(box.ask(dialect=dialect, model="local", max_tokens=9, headers=headers, **hint))
    (call,) = backend.lanes[0].hop.calls
    return [value for name, value in call.headers if name == "x-session-id"]


@WIRES
@pytest.mark.parametrize(
    ("headers", "session", "value"),
    [
        ({"x-session-id": "their own"}, "", ["their own"]),
        ({"x-session-id": "their own"}, "a hint", ["their own"]),
        ({}, "user/1", ["user/1"]),
        ({}, "größe\r\nx: y", ["gr%C3%B6%C3%9Fe%0D%0Ax:%20y"]),
        ({}, "", []),
        ({"x-session-id": "é" * 9}, "", []),
    ],
)
async def test_a_pool_gets_it(
    dialect: Dialect, turn: Turn, headers: dict[str, str], session: str, value: list[str]
) -> None:
    """The client's own header, else its hint, in what a header can hold."""
    assert await sent(turn, dialect, headers, session, sessions=True) == value


@WIRES
async def test_an_engine_of_its_own_gets_none(dialect: Dialect, turn: Turn) -> None:
    """Hearth chooses its replica itself."""
    assert await sent(turn, dialect, {"x-session-id": "s"}, "s", sessions=False) == []
