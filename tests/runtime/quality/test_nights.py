"""Sixty nights of a whole runtime on a clock that a test sets: scripted upstreams, golden sets, traffic through the door.

The sixty nights and the year go over HTTP on both sides; the other tests have their upstreams in memory.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from cloud.client import CloudClient
from cloud.hop import CloudHop
from local_models.wire.hop import EngineHop
from runtime.contract.prices import Price
from runtime.quality.runs.database import QualityDatabase
from runtime.quality.values import Stream
from tests.fakes.guard import TO, OpenGuard
from tests.fakes.nights import Nights
from tests.fakes.served_app import served
from tests.fakes.tiny_http import Exchange, listen
from tests.fakes.upstream import FakeBackend, ScriptedHop, Turn, cloud, engine_backend, error, told, whole

CASES = 44
BROKEN, REPAIRED = 12, 40  # nights, from the first one on

Says = Callable[[int, int], Turn]
"""The answer to case `number` in a night."""


def good(number: int) -> str:
    return json.dumps({"total": number})


def case_of(body: bytes) -> int:
    """The number of the case that is asked; 0 for what clients ask."""
    text = json.loads(body)["messages"][-1]["content"]
    return int(text.rpartition(" ")[2]) if text.startswith("Extract") else 0


class NightlyHop(ScriptedHop):
    """Answers by case and night."""

    def __init__(self, says: Says, night: Callable[[], int]) -> None:
        super().__init__(Turn())
        self.says, self.night = says, night

    async def open(self, call: Any, *, connect_s: float) -> Any:
        self.turns = [self.says(self.night(), case_of(call.body))]
        return await super().open(call, connect_s=connect_s)


def between(night: int) -> bool:
    return BROKEN <= night < REPAIRED


class Town(Nights):
    """Upstreams, and a loop over them. says: by target's name, "local" for the engine. price: of the others. calls: that an
    upstream on a socket had, by target's name.
    """

    def __init__(self, folder: Path, says: dict[str, Says], price: Price | None = None) -> None:
        self.says, self.calls = says, Counter[str]()
        self.client: httpx.AsyncClient | None = None
        backends: dict[str, FakeBackend] = {}
        for name, each in says.items():
            backend = engine_backend((Turn(),)) if name == "local" else cloud(name, Turn(), price=price)
            backend.lanes[0].hop = NightlyHop(each, lambda: self.number)
            backends[name] = backend
        (folder / "golden").mkdir(exist_ok=True)
        cases = "".join(
            f'[[case]]\nid = "c{n}"\nprompt = "Extract the total as JSON from this text: Invoice {n}"\n'
            f'checks = [{{ json = true }}, {{ path = "total", equals = {n} }}]\n'
            for n in range(CASES)
        )
        (folder / "golden" / "invoices.toml").write_text(f'name = "invoices"\ntask = "extraction"\n{cases}')
        super().__init__(folder, backends.pop("local"), list(backends.values()))

    async def traffic(self, text: str) -> tuple[str, str, str]:
        if self.client is None:
            return await super().traffic(text)
        body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
        answer = await self.client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        target, reason, degraded = (
            answer.headers.get(f"x-hearth-{each}", "") for each in ("target", "reason", "degraded")
        )
        return target, reason, degraded

    async def answer(self, exchange: Exchange) -> None:
        """One call to the upstream whose name the path begins with."""
        name = exchange.path.split("/")[1]
        self.calls[name] += 1
        turn = self.says[name](self.number, case_of(exchange.body))
        pieces = cast("list[bytes]", list(turn.pieces))
        if not pieces[0].startswith(b"data:"):
            await exchange.say(pieces[0], turn.status, {"content-type": "application/json"})
            return
        await exchange.stream("text/event-stream")
        for each in pieces:
            await exchange.send(each)
        await exchange.end()


@asynccontextmanager
async def over_http(town: Town) -> AsyncIterator[Town]:
    """The town with its upstreams on one socket and its door on another, and a client of that door."""
    client = CloudClient({})
    server = await listen(town.answer, socket_path=None, port=0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    engine = EngineHop(base_url=f"{base}/local/v1", clock=time.monotonic)
    for backend in town.box.backends:
        vendor = CloudHop(client, f"{base}/{backend.target.name}/v1", {}, OpenGuard(), TO)
        backend.lanes[0].hop = cast("ScriptedHop", engine if backend.target.local else vendor)
    async with server, served(town.box.app()) as url, httpx.AsyncClient(base_url=url, timeout=20) as town.client:
        try:
            yield town
        finally:
            await engine.aclose()
            await client.aclose()
            town.close()


EXTRACT = "Extract the total as JSON from this text: Invoice 7"


def fenced(night: int, number: int) -> Turn:
    """The local model: a fence around a fifth of its JSON while it is broken."""
    text = good(number)
    return Turn([whole(f"```json\n{text}\n```" if between(night) and number % 4 == 0 else text)])


def lazy(night: int, number: int) -> Turn:
    text = "See the invoice." if night >= BROKEN + 3 and between(night) and number % 3 == 0 else good(number)
    return Turn(told(text))


def refusing(night: int, number: int) -> Turn:
    down = BROKEN + 6 <= night < REPAIRED and number % 3 == 1
    return Turn(told("I'm sorry, but I can't help with that." if down else good(number)))


def timing_out(night: int, number: int) -> Turn:
    return error(504) if number % 9 == 0 else Turn(told(good(number)))


def browning(night: int, number: int) -> Turn:
    return Turn(told("???" if night in (8, 20, 33, 47) and number % 2 else good(number)))


def healthy(night: int, number: int) -> Turn:
    """One flaky case."""
    return Turn(told("0" if number == 5 and night % 6 == 0 else good(number)))


TOWN: dict[str, Says] = {
    "local": fenced,
    "lazy": lazy,
    "refusing": refusing,
    "late": timing_out,
    "brown": browning,
    "healthy": healthy,
}


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with over_http(Town(tmp_path, TOWN)) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_sixty_nights(town: Town) -> None:
    """Three get worse, are demoted for their task within four nights and are back within five; three others never are."""
    await town.nights(24)
    # (1) All three are demoted by now, and the events name the class that grew.
    gone = {each.target: each for each in town.events if each.kind == "demoted"}
    local = town.box.fleet.local.target.label
    assert set(gone) == {local, "vendor/lazy-model", "vendor/refusing-model"}
    first = {each: min(n for n, names in town.demoted.items() if each in names) for each in gone}
    assert first[local] <= BROKEN + 3
    assert first["vendor/lazy-model"] <= BROKEN + 3 + 3
    assert first["vendor/refusing-model"] <= BROKEN + 6 + 3
    assert "refused" in gone["vendor/refusing-model"].words
    assert "malformed 0 -> 11" in gone[local].words
    # (2) Traffic of that task moves, of others it does not; one line says why.
    target, reason, degraded = await town.traffic(EXTRACT)
    assert (target in {local, "vendor/lazy-model"}, reason, degraded) == (False, "quality", "")
    assert (await town.traffic("Good morning!"))[0] == local
    record = town.box.records.rows[-2]
    assert "demoted for extraction since" in record.words
    # (3) Repaired, and back.
    await town.nights(60, 24)
    assert not town.watch.demoted
    back = {each.target: each for each in town.events if each.kind == "promoted"}
    assert set(back) == {each.target for each in town.events if each.kind == "demoted"}
    for target in back:
        assert min(n for n, names in town.demoted.items() if n >= REPAIRED and target not in names) <= REPAIRED + 4
    never = {"vendor/late-model", "vendor/brown-model", "vendor/healthy-model"}
    assert not never & {each.target for each in town.events if each.kind in ("demoted", "advice", "common_cause")}
    assert (await town.traffic(EXTRACT))[0] == local
    # (4) The states follow from the stored rows, and evaluation is in no client's metric.
    states, journal = await town.store.call(lambda database: (database.states(), list(database.journal())))
    assert len(journal) >= 60
    found = town.watch.replayed(journal, None)
    assert [(each.kind, each.target) for each in found] == [(each.kind, each.target) for each in town.events]
    assert set(states) == {Stream(each.target.label, "invoices") for each in town.box.backends}
    assert {row.origin for row in town.box.records.rows if row.caller} == {"quality"}
    # (5) No cache answered for an upstream: each got every case of every night.
    assert set(town.calls) == set(TOWN)
    assert min(town.calls.values()) >= 60 * CASES


async def test_a_week(tmp_path: Path) -> None:
    """Five nights make the reference, two bad ones a demotion; the task's traffic moves, and the greeting stays."""

    def bad(night: int, number: int) -> Turn:
        return Turn([whole("no" if night >= 5 and number % 2 else good(number))])

    town = Town(tmp_path, {"local": bad, "healthy": healthy})
    await town.nights(7)
    local = town.box.fleet.local.target.label
    assert [each.kind for each in town.events] == ["reference", "reference", "demoted"]
    assert [town.demoted[night] for night in (5, 6)] == [set(), {local}]
    assert await town.traffic(EXTRACT) == ("vendor/healthy-model", "quality", "")
    assert (await town.traffic("Good morning!"))[0] == local
    town.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_year_of_nights(town: Town) -> None:
    """After the first sixty nothing more is demoted but by what the upstreams do."""
    await town.nights(365)
    assert not town.watch.demoted
    assert sum(each.kind == "demoted" for each in town.events) == 3


def everywhere(night: int, number: int) -> Turn:
    return Turn(told("???" if night >= 7 and number % 3 == 0 else good(number)))


@pytest.mark.slow
async def test_what_falls_everywhere_is_one_alarm(tmp_path: Path) -> None:
    """The engine and two clouds in the same night: nobody is demoted."""
    town = Town(
        tmp_path,
        {
            "local": lambda night, number: Turn([whole("???" if night >= 7 and number % 3 == 0 else good(number))]),
            "one": everywhere,
            "two": everywhere,
        },
    )
    await town.nights(12)
    assert [each.kind for each in town.events].count("common_cause") == 1
    assert not town.watch.demoted
    town.close()


@pytest.mark.slow
async def test_rejected_bodies_demote_and_busy_ones_void_the_run(tmp_path: Path) -> None:
    """400 on every golden body is the model's own fault; 429 all night says nothing."""
    town = Town(
        tmp_path,
        {
            "local": lambda night, number: Turn([whole(good(number))]),
            "rejects": lambda night, number: error(400) if night >= 7 else Turn(told(good(number))),
            "busy": lambda night, number: error(429) if night >= 7 else Turn(told(good(number))),
            "fine": lambda night, number: Turn(told(good(number))),
        },
    )
    await town.nights(11)
    assert {gone.target for gone in town.watch.demoted} == {"vendor/rejects-model"}
    assert "rejected 0 -> 44" in next(each.words for each in town.events if each.kind == "demoted")
    runs = await town.store.call(QualityDatabase.runs)
    assert sum(run.kind == "nightly" for run in runs) == 11
    town.close()
