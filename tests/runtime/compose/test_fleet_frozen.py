"""Three Hearths as processes on one real store, before engines that they share; one of them is stopped under load, and goes on.

Slow: what a frozen Hearth held lapses after 25 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engine_process import engine_process, free_port
from tests.fakes.valkey_server import ValkeyServer, valkey_server
from tests.runtime.cli.test_serve import Served, served
from tests.runtime.compose.test_fleet_killed import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAMES = "abc"
ENGINES = 6
GONE_S, LAPSES_S = 3.0 + 1.5, 30.0  # with what a look and a busy machine add
BREAKS_S = (
    3.0 + 4.0
)  # an answer of a frozen Hearth: three seconds of silence, the looks, the machine, what it had taken before
FROZEN_S = 32.0
DAILY_USD = 0.6
PARALLEL = 3
TOKENS, TOKEN_S = 30, 0.05
ANSWER_S = 5.0
LONG_S = 60.0
KEY = {"authorization": "Bearer a-secret-of-the-clients"}


@dataclass
class Answer:
    """Of one request. at, took: seconds. status: 0 where the connection broke."""

    model: str
    at: float
    took: float = 0.0
    status: int = 0
    pieces: int = 0
    done: bool = False
    error: bool = False

    @property
    def whole(self) -> bool:
        return self.done and not self.error and self.pieces == TOKENS

    @property
    def failed(self) -> bool:
        """Visibly: by its status, an error in the stream, or a cut connection."""
        return (self.error or self.status != 200) and not self.done


@dataclass
class Fleet:
    folder: Path
    server: ValkeyServer
    hearths: dict[str, Served] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.hearths[name].port}"

    def get(self, name: str, path: str) -> Any:
        return httpx.get(f"{self.url(name)}{path}", headers=KEY, timeout=30).raise_for_status().json()

    def report(self, name: str) -> Any:
        return self.get(name, "/hearth/fleet")

    def state(self, name: str, of: str) -> str:
        return next((each["state"] for each in self.report(name)["peers"] if each["address"] == self.url(of)), "none")

    def attached(self, name: str) -> Any:
        return self.report(name)["attached"]

    def day(self, name: str) -> Any:
        return self.get(name, "/hearth/status")["budget"]["limits"][0]


async def ask(http: httpx.AsyncClient, model: str, **headers: str) -> Answer:
    body = {"model": model, "stream": True, "max_tokens": TOKENS, "messages": [{"role": "user", "content": "hi"}]}
    found = Answer(model, time.monotonic())
    try:
        async with http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            found.status = answer.status_code
            async for line in answer.aiter_lines():
                found.pieces += re.search(r'"content": ?"[^"]', line) is not None
                found.error |= '"error"' in line
                found.done |= line == "data: [DONE]"
    except httpx.HTTPError:
        found.error = True
    found.took = time.monotonic() - found.at
    return found


class Load:
    """Clients of three Hearths, each one request after another. answers: by Hearth and model. since: of the freeze."""

    def __init__(self, three: Fleet, key: dict[str, str]) -> None:
        self._three, self._key = three, key
        self.stop = asyncio.Event()
        self.since = 0.0
        self.answers: dict[tuple[str, str], list[Answer]] = {}

    async def asks(self, name: str, model: str, *, once: bool = False) -> None:
        async with httpx.AsyncClient(base_url=self._three.url(name), timeout=90, headers=KEY) as http:
            while not self.stop.is_set():
                made = await ask(http, model)
                self.answers.setdefault((name, model), []).append(made)
                if once:
                    return
                await asyncio.sleep(0.0 if made.whole else 0.3)

    async def limited(self, name: str) -> None:
        """One that shares a limit of requests at a time."""
        async with httpx.AsyncClient(base_url=self._three.url(name), timeout=90, headers=self._key) as http:
            while not self.stop.is_set():
                made = await ask(http, "local")
                self.answers.setdefault((name, "limited"), []).append(made)
                await asyncio.sleep(0.3 if made.status == 429 else 0.0)

    def count(self, name: str, model: str) -> int:
        return sum(each.whole for each in self.answers.get((name, model), ()))

    def most_limited(self, name: str) -> int:
        """Answers of the limited key that ran on a Hearth at one time, since the freeze."""
        ran = [each for each in self.answers.get((name, "limited"), ()) if each.whole and each.at > self.since]
        return max((sum(one.at <= each.at < one.at + one.took for one in ran) for each in ran), default=0)

    async def has(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        deadline = time.monotonic() + LONG_S
        while not await asyncio.to_thread(holds):
            assert time.monotonic() < deadline, "it never held"
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """All three before six engines. `b` leaves its engines for every request that may go to a peer, and lists `a` alone."""
    (folder / "store").mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(valkey_server(folder / "store"))
        engines = [stack.enter_context(engine_process(tokens=TOKENS, token_s=TOKEN_S)) for _ in range(ENGINES)]
        cloud = stack.enter_context(engine_process(tokens=TOKENS, token_s=TOKEN_S))
        ports = {name: free_port() for name in NAMES}
        urls = [f"http://127.0.0.1:{port}/v1" for port in engines]
        found = Fleet(folder, server)
        for name in NAMES:
            (folder / name).mkdir()
            more: Any = {
                "HEARTH_ENGINE__URL": json.dumps(urls),
                "HEARTH_FLEET__NAME": name,
                "HEARTH_FLEET__PEERS": json.dumps(
                    [f"http://127.0.0.1:{ports[other]}" for other in ("a" if name == "b" else NAMES) if other != name]
                ),
                "HEARTH_FLEET__KEY": "env:BETWEEN_US",
                "BETWEEN_US": "a-secret-of-the-fleet",
                "HEARTH_SERVER__KEYS": json.dumps(["env:CLIENTS"]),
                "CLIENTS": "a-secret-of-the-clients",
                "HEARTH_FLEET__STORE": server.url,
                "HEARTH_SERVER__PORT": str(ports[name]),
                "HEARTH_ESCALATION__QUEUE_DEPTH": "0" if name == "b" else "100",
                "HEARTH_BUDGET__DAILY_USD": str(DAILY_USD),
                "HEARTH_TARGETS__PAID__PROVIDER": "openai",
                "HEARTH_TARGETS__PAID__MODEL": "m",
                "HEARTH_TARGETS__PAID__BASE_URL": f"http://127.0.0.1:{cloud}/v1",
                "HEARTH_TARGETS__PAID__PRICE": json.dumps({"input": 1.0, "output": 100.0}),
            }
            hearth = stack.enter_context(served(folder / name, urls[0], **more))
            hearth.port = ports[name]
            found.hearths[name] = hearth
        for each in found.hearths.values():
            each.until("ready:")
        pairs = [(name, other) for name in NAMES for other in NAMES if name != other and (name, other) != ("b", "c")]
        until(lambda: all(found.state(name, other) == "alive" for name, other in pairs))
        until(lambda: all(found.report(name)["store"]["hearths"] == 3 for name in NAMES))
        yield found


def created(hearth: Served, folder: Path, **terms: Any) -> dict[str, str]:
    """A header with the secret of a new key."""
    admin = (folder / "admin.key").read_text().strip()
    body = json.dumps({"name": "limited", **terms}).encode()
    wanted = urllib.request.Request(
        f"http://127.0.0.1:{hearth.port}/hearth/keys", body, {"x-api-key": admin, "content-type": "application/json"}
    )
    with urllib.request.urlopen(wanted, timeout=10) as answer:
        return {"x-api-key": json.load(answer)["secret"]}


def test_a_hearth_that_is_stopped_under_load_and_goes_on(tmp_path: Path) -> None:
    """The others lose nothing but what it was answering for them, which ends in an error within seconds. What it held lapses
    within thirty. When it goes on, its own answers are whole, it spends nothing that others have spent, and it holds its own
    absence against nobody.
    """
    with fleet(tmp_path) as three:
        asyncio.run(stopped(three))


async def stopped(three: Fleet) -> None:
    key = created(three.hearths["a"], three.folder / "a", parallel=PARALLEL)
    load = Load(three, key)
    async with asyncio.TaskGroup() as tasks:
        for name in NAMES:
            for model in ("local", "local", *["paid"] * 6):
                tasks.create_task(load.asks(name, model))
        for _ in range(2):
            tasks.create_task(load.asks("b", "auto"))  # of which `a` answers every one
        await load.has(lambda: load.count("a", "paid") >= 6)
        for _ in range(PARALLEL - 1):
            tasks.create_task(load.limited("a"))
        await asyncio.sleep(1.0)
        for _ in range(PARALLEL):
            tasks.create_task(load.limited("c"))
        await asyncio.sleep(2.0)
        frozen = load.since = time.monotonic()
        three.hearths["a"].process.send_signal(signal.SIGSTOP)
        late = [tasks.create_task(load.asks("b", "auto", once=True)) for _ in range(3)]
        await load.has(lambda: all(three.state(name, "a") == "stale" for name in "bc"))
        assert time.monotonic() - frozen <= GONE_S
        await load.has(lambda: all("a" not in each["names"] for name in "bc" for each in three.attached(name)))
        assert time.monotonic() - frozen <= GONE_S
        assert all(each["hearths"] == 2 for name in "bc" for each in three.attached(name))
        await asyncio.gather(*late)
        await load.has(lambda: load.most_limited("c") == PARALLEL)
        lapsed = time.monotonic() - frozen
        assert lapsed <= LAPSES_S
        await load.has(lambda: all(load.answers[name, "paid"][-1].status == 402 for name in "bc"))
        await asyncio.sleep(max(0.0, frozen + FROZEN_S - time.monotonic()))
        three.hearths["a"].process.send_signal(signal.SIGCONT)
        thawed = time.monotonic()
        await load.has(lambda: all(three.state("a", name) == "alive" for name in "bc"))
        await load.has(lambda: all(three.state(name, "a") == "alive" for name in "bc"))
        await load.has(lambda: all(each["hearths"] == 3 and not each["assumed"] for each in three.attached("a")))
        print(f"slots free after {lapsed:.1f} s, thawed and heard by all after {time.monotonic() - thawed:.1f} s")
        await asyncio.sleep(3.0)
        load.stop.set()
    days = {name: three.day(name) for name in NAMES}
    print({name: (each["spent_usd"], each["others_usd"]) for name, each in days.items()})
    assert sum(each["spent_usd"] for each in days.values()) <= DAILY_USD + 1e-9
    for name in NAMES:
        [paid] = three.get(name, "/hearth/status")["targets"]
        assert paid["breaker"] == "closed"
        assert {each["state"] for each in three.get(name, "/hearth/status")["engine"]["replicas"]} == {"ready"}
    for (name, model), answers in load.answers.items():
        print(name, model, f"{len(answers)} answers, slowest {max(each.took for each in answers):.1f} s")
        assert not [each for each in answers if not (each.whole or each.failed)], "one passes for whole"
        if model == "auto":  # under way on `a`, and handed to it while it was frozen
            cut = [each for each in answers if not each.whole]
            assert len(cut) <= 2 and all(each.at < frozen and each.took < BREAKS_S for each in cut), cut
            assert max(each.took for each in answers if each.at >= frozen) < BREAKS_S + ANSWER_S
        elif model == "paid":
            assert all(each.whole or each.status == 402 for each in answers)
        else:
            assert all(each.whole or (model == "limited" and each.status == 429) for each in answers)
