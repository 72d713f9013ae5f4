"""Three Hearths as processes, each before an engine of its own, under load; one of them is killed and comes back. Slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engine_process import engine_process, free_port
from tests.runtime.cli.test_serve import Served, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LONG_S = 90.0
GONE_S = 3.0 + 1.5  # three seconds, and what a look and a busy machine add
CLIENTS, ROWS = 4, 40
NAMES = "abc"


def stand_in(tokens: int = 30) -> contextlib.AbstractContextManager[int]:
    """An engine that takes 50 ms for each token of an answer: its port."""
    return engine_process(tokens=tokens, token_s=0.05)


@dataclass
class Fleet:
    """ports: of the Hearths, by name. hearths: those that run."""

    folder: Path
    engines: dict[str, int]
    ports: dict[str, int]
    stack: contextlib.ExitStack
    hearths: dict[str, Served] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """A Hearth with the state that its folder has."""
        peers = [f"http://127.0.0.1:{port}" for other, port in self.ports.items() if other != name]
        more = {
            "HEARTH_FLEET__NAME": name,
            "HEARTH_FLEET__PEERS": json.dumps(peers),
            "HEARTH_FLEET__KEY": "env:BETWEEN_US",
            "BETWEEN_US": "a-secret-of-the-fleet",
            "HEARTH_SERVER__PORT": str(self.ports[name]),
        }
        (self.folder / name).mkdir(exist_ok=True)
        url = f"http://127.0.0.1:{self.engines[name]}/v1"
        hearth: Any = self.stack.enter_context(served(self.folder / name, url, **more))  # type: ignore[arg-type]
        hearth.port = self.ports[name]
        hearth.until("ready:")
        self.hearths[name] = hearth

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def states(self, name: str) -> dict[str, str]:
        """The states of the others as one sees them, by address."""
        return {each["address"]: each["state"] for each in self.hearths[name].get("/hearth/fleet")["peers"]}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        engines = {name: stack.enter_context(stand_in()) for name in NAMES}
        found = Fleet(tmp_path, engines, {name: free_port() for name in NAMES}, stack)
        for name in NAMES:
            found.start(name)
        for name in NAMES:
            until(lambda name=name: set(found.states(name).values()) == {"alive"})  # type: ignore[misc]
        yield found


def until(holds: Callable[[], Any], most_s: float = LONG_S) -> float:
    """Seconds until something holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < most_s, "it never held"
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Seen:
    """One client's streams. whole: ended with their closing mark; broken: with an error or a cut; silent: with neither."""

    whole: int = 0
    broken: int = 0
    silent: int = 0
    short: int = 0


async def clients(url: str, stop: asyncio.Event, seen: Seen) -> None:
    """One client after its own answers, until it is stopped or its Hearth is gone."""
    body = {"model": "local", "stream": True, "max_tokens": 30, "messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        while not stop.is_set():
            text, error = "", False
            try:
                async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                    async for line in answer.aiter_lines():
                        text += line + "\n"
            except httpx.HTTPError:
                error = True
            ended = "data: [DONE]" in text
            if error or '"error"' in text:
                seen.broken += 1
                assert not (error and ended)
                return
            seen.whole += ended
            seen.silent += not ended
            seen.short += ended and text.count('"content"') < 30


async def under_load(fleet: Fleet, during: Callable[[], Any]) -> tuple[dict[str, list[Seen]], Any]:
    """Clients at every Hearth while something happens in a thread, and for two answers after it."""
    stop, seen = asyncio.Event(), {name: [Seen() for _ in range(CLIENTS)] for name in NAMES}
    tasks = [
        asyncio.create_task(clients(fleet.url(name), stop, each)) for name, every in seen.items() for each in every
    ]
    await asyncio.sleep(2.0)  # every client has an answer under way
    found = await asyncio.to_thread(during)
    await asyncio.sleep(3.5)
    stop.set()
    await asyncio.gather(*tasks)
    return seen, found


def batch_rows() -> bytes:
    body = {"model": "local", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    row = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    return "\n".join(json.dumps({"custom_id": f"row-{n}", **row}) for n in range(ROWS)).encode()


def test_a_hearth_that_is_killed_under_load_and_comes_back(fleet: Fleet) -> None:
    """Streams of the others lose nothing; within three seconds they know; its own clients get errors, and no answer that looks
    whole. Restarted under its name it has its ids: responses, files, and a batch that goes on without a row twice.
    """
    a, b, c = (httpx.Client(base_url=fleet.url(name), timeout=60) for name in NAMES)
    made = a.post("/v1/responses", json={"model": "local", "input": "hi", "store": True, "max_output_tokens": 4})
    response = made.json()["id"]
    assert made.status_code == 200 and response.startswith("resp_a.")
    kept = b.get(f"/v1/responses/{response}").content
    assert json.loads(kept)["id"] == response
    file = a.post("/v1/files", files={"file": ("rows.jsonl", batch_rows())}, data={"purpose": "batch"}).json()["id"]
    wanted = {"input_file_id": file, "endpoint": "/v1/chat/completions"}
    batch = c.post("/v1/batches", json=wanted).json()["id"]  # made where its file is
    assert file.startswith("file-a.") and batch.startswith("batch_a.")
    until(lambda: b.get(f"/v1/batches/{batch}").json()["request_counts"]["completed"] > 0)

    def kill() -> float:
        fleet.hearths["a"].process.kill()
        fleet.hearths["a"].process.wait()
        return max(until(lambda name=name: "stale" in fleet.states(name).values()) for name in "bc")  # type: ignore[misc]

    seen, noticed_s = asyncio.run(under_load(fleet, kill))
    for name in "bc":
        assert sum(each.whole for each in seen[name]) >= CLIENTS, seen[name]
        assert not any(each.broken or each.silent or each.short for each in seen[name]), seen[name]
    assert [each.broken for each in seen["a"]] == [1] * CLIENTS
    assert not any(each.silent or each.short for each in seen["a"])
    assert noticed_s <= GONE_S
    state = httpx.get(f"http://127.0.0.1:{fleet.engines['a']}/_fake/state").json()
    assert state["open"] == 0  # nothing is generated for nobody

    for path in (f"/v1/responses/{response}", f"/v1/batches/{batch}", f"/v1/files/{file}/content"):
        away = b.get(path)
        assert (away.status_code, away.json()["error"]["code"]) == (503, "owner_away") and away.headers["retry-after"]
    assert b.get("/health/ready").status_code == 200

    fleet.start("a")
    until(lambda: b.get(f"/v1/responses/{response}").status_code == 200)
    assert b.get(f"/v1/responses/{response}").content == kept
    assert (
        set(fleet.states("a").values()) <= {"alive", "unknown"}
        and fleet.hearths["a"].get("/hearth/fleet")["own"]["name"] == "a"
    )
    assert b.get(f"/v1/files/{file}/content").content == batch_rows()
    until(lambda: c.get(f"/v1/batches/{batch}").json()["status"] == "completed")
    ended = b.get(f"/v1/batches/{batch}").json()
    assert ended["id"] == batch and ended["request_counts"] == {"total": ROWS, "completed": ROWS, "failed": 0}
    rows = [json.loads(line) for line in c.get(f"/v1/files/{ended['output_file_id']}/content").text.splitlines()]
    assert sorted(each["custom_id"] for each in rows) == sorted(f"row-{n}" for n in range(ROWS))
    assert all(each["response"]["status_code"] == 200 for each in rows)
    again = a.post("/v1/responses", json={"model": "local", "input": "hi", "store": True, "max_output_tokens": 4})
    assert again.json()["id"].startswith("resp_a.") and again.json()["id"] != response
    for each in (a, b, c):
        each.close()
