"""Reloads under load: targets are removed, renamed and changed ten times a second under 64 clients.

Every request ends with its whole answer or an error in its dialect, and has its one record.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime.record.decisions import Decision
from runtime.settings import Retries
from tests.fakes.box import LEAVE, Box, Exchanged, asked
from tests.fakes.upstream import CUT, RESET, ROLE, FakeBackend, Silence, Turn, chunk, cloud, engine_backend, error, told
from tests.fakes.wires import GENERATE, MESSAGES

NAMES = ("first", "second", "third", "fourth")
MODELS = ("auto", "local", *NAMES, "vendor/first-model", "vendor/second-model", "vendor/invented")
CLOSING = {"/v1/chat/completions": b"[DONE]", "/v1/messages": b"message_stop", "/v1/responses": b"response.completed"}


class Pause(Silence):
    """An upstream that takes its time. Real seconds: requests must be under way when a reload comes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def wait(self) -> None:
        await asyncio.sleep(self._seconds)


@dataclass
class Load:
    """Clients that ask one request after another until `over`. ended: how each request ended for its client."""

    box: Box
    dice: random.Random
    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    over: bool = False

    def __post_init__(self) -> None:
        self.app = self.box.app()
        self.decisions: list[Decision] = []
        self.box.desk.settled = (self.decisions.append, self.box.desk.latest.appendleft)

    async def client(self) -> None:
        while not self.over:
            path = self.dice.choice(tuple(CLOSING))
            body: dict[str, Any] = {"model": self.dice.choice(MODELS), "stream": True}
            body |= {"input": "hi"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hi"}]}
            body |= {"max_tokens": 50} if path == "/v1/messages" else {}
            body |= {"hearth": {"delivery": "whole"}} if self.dice.random() < 0.3 else {}
            seen = await asyncio.wait_for(asked(self.app, path, body), 20)
            self.ended[self._end(path, seen)] += 1

    def _end(self, path: str, seen: Exchanged) -> str:
        if seen.status == 200 and CLOSING[path] in seen.body and seen.ended:
            return "whole"
        if seen.status == 200 and b'"error"' in seen.body and seen.ended:
            return "cut, and said so"
        if seen.status >= 400 and seen.headers["content-type"] == "application/json" and json.loads(seen.body)["error"]:
            if b"internal_error" in seen.body:
                self.wrong.append(f"a fault of the program: {seen.body!r}")
            return f"error {seen.status}"
        self.wrong.append(f"{path}: {seen}")
        return "wrong"


def backend_of(name: str, dice: random.Random) -> FakeBackend:
    """A target of this name, on one of three wires, which answers, fails, or breaks off."""
    pause = Pause(dice.uniform(0.0, 0.15))
    kind = dice.random()
    if kind < 0.15:
        return cloud(name, Turn(error(500).pieces, 500, wait=pause))
    if kind < 0.25:
        return cloud(name, Turn([ROLE, chunk("Hel"), pause, CUT]))
    if kind < 0.35:
        return cloud(name, Turn(refuse=RESET, wait=pause))
    if kind < 0.55:
        return MESSAGES.target(name, Turn([pause, *MESSAGES.told("Hello").pieces]))
    if kind < 0.75:
        return GENERATE.target(name, Turn([pause, *GENERATE.told("Hello").pieces]))
    pieces = told("Hello")
    return cloud(name, Turn([*pieces[:2], pause, *pieces[2:]], wait=Pause(dice.uniform(0, 0.05))))


async def reloaded(seconds: float, hedge_after: float) -> Load:
    """64 clients for so long, and other targets every 100 ms."""
    dice = random.Random(6)
    good = told("Hello")
    local = engine_backend((Turn([*good[:2], Pause(0.05), *good[2:]]),))
    box = Box(
        local,
        (),
        LEAVE,
        Retries(hedge_after=hedge_after),
        total_s=10.0,
        lend=lambda lent: backend_of(lent.target, dice),
    )
    box.reload([backend_of(name, dice) for name in NAMES])
    load = Load(box, dice)
    clients = [asyncio.create_task(load.client()) for _ in range(64)]
    reloads, until = 0, asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.1)  # the period of the reloads is what is tested
        chosen = dice.sample(NAMES, dice.randint(0, len(NAMES)))
        box.reload([backend_of(name, dice) for name in chosen])
        reloads += 1
    load.over = True
    await asyncio.gather(*clients)
    assert reloads >= seconds * 3
    return load


def holds(load: Load) -> None:
    fleet = load.box.fleet
    assert load.wrong == []
    assert len(load.decisions) == sum(load.ended.values()) and len({each.id for each in load.decisions}) == len(
        load.decisions
    )
    assert fleet.in_flight == {} and set(fleet._breakers) <= {*NAMES, *fleet._lent}
    ledger = fleet.ledger(load.box.local.lanes[0])
    assert (ledger.waiting, ledger.running) == (0, 0)
    good = sum(decision.status == 200 for decision in load.decisions)
    assert good == load.ended["whole"] and good > 100


@pytest.mark.parametrize("hedge_after", [0.0, 0.02], ids=["in order", "hedged"])
async def test_every_request_ends_and_has_its_record(hedge_after: float) -> None:
    """Three seconds of it."""
    holds(await reloaded(3.0, hedge_after))


@pytest.mark.slow
@pytest.mark.parametrize("hedge_after", [0.0, 0.02], ids=["in order", "hedged"])
async def test_every_request_of_a_minute_ends_and_has_its_record(hedge_after: float) -> None:
    """A minute of it."""
    holds(await reloaded(60.0, hedge_after))
