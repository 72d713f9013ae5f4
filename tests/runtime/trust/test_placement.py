"""Random requests, demands, reloads, faults, hedges, fallbacks, uploads and counts against a whole runtime and real sockets.

No byte of a prompt reaches a server that was not certified for what the prompt demands, and every placement is in the audit
log. `HEARTH_TEST_REQUESTS` sets how many requests are asked.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud.gemini.files import Files
from runtime.compose.runtime import Runtime, load_settings
from runtime.dispatch.candidates import Dispatcher
from runtime.dispatch.job import Effects
from runtime.media.fetching import Fetching
from runtime.trust.audit.show import latest
from runtime.trust.audit.verify import verify
from tests.runtime.trust.vendors import MARK, Vendor, serving

REQUESTS = int(os.environ.get("HEARTH_TEST_REQUESTS", "1000"))
AT_ONCE = 20
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(4000)).decode()
DEMANDS: Sequence[frozenset[str]] = [
    frozenset(each) for each in ((), (), ("hipaa",), ("zdr",), ("hipaa", "zdr"), ("local_only",), ("unheard-of",))
]
CERTIFIED = {"both": ("hipaa", "zdr"), "plain": (), "gem": ("zdr",), "claude": ("hipaa",)}
SWINGS = (("hipaa", "zdr"), ())  # of the target whose certificates change with each reload


@dataclass
class Asked:
    """One request. decision: its id. chained: its prompt may travel with later requests too."""

    mark: str
    demand: frozenset[str]
    began: float = 0.0
    ended: float = 0.0
    decision: str = ""
    chained: bool = False


@dataclass
class Trial:
    """reloads: when, and whether the swinging target was certified from then on."""

    runtime: Runtime
    vendors: dict[str, Vendor]
    random: random.Random
    path: Path
    env: dict[str, str]
    asked: list[Asked] = field(default_factory=list)
    reloads: list[tuple[float, bool]] = field(default_factory=list)
    fetched: list[bytes] = field(default_factory=list)
    chain: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    def settings(self, swings: tuple[str, ...]) -> str:
        lines = [f'[engine]\nurl = ["{self.vendors["local"].url}/v1"]\n[retries]\nattempts = 2\nhedge_after = 0.02']
        lines.append(
            "[timeouts]\ntotal = 4\nfirst_token = 2\n[media]\nfetch_urls = true\n[escalation]\nqueue_depth = 0\n"
            '[budget]\ndaily_usd = "none"'
        )
        for name, vendor in self.vendors.items():
            if name == "local":
                continue
            provider = {"gem": "gemini", "claude": "anthropic"}.get(name, "openai")
            base = vendor.url if provider != "openai" else f"{vendor.url}/v1"
            held = json.dumps(CERTIFIED.get(name, swings))
            lines.append(
                f'[targets.{name}]\nprovider = "{provider}"\nmodel = "m"\nbase_url = "{base}"\ncertified = {held}'
            )
        order = json.dumps(["plain", "swing", "gem", "both", "claude"])
        lines.append(f"[routes]\ndefault = {order}\nmultimodal = {order}")
        lines.append('[[rules]]\nwhen = { header = { x-team = "clinic" } }\nrequires = ["hipaa"]')
        return "\n".join(lines)

    def reload(self) -> None:
        """The other certificates, as a changed file puts them in force."""
        certified = not self.reloads[-1][1] if self.reloads else True
        self.path.write_text(self.settings(SWINGS[0] if certified else SWINGS[1]))
        self.runtime.apply(load_settings(self.path, self.env).settings)
        self.reloads.append((time.monotonic(), certified))

    def held(self, name: str, since: float, until: float) -> frozenset[str]:
        """The certificates that a server had at any moment of a span."""
        if name in CERTIFIED:
            return frozenset(CERTIFIED[name])
        states = [certified for at, certified in self.reloads if at <= since][-1:]
        states += [certified for at, certified in self.reloads if since < at <= until]
        return frozenset(SWINGS[0]) if any(states) else frozenset()

    async def ask(self, client: httpx.AsyncClient, number: int) -> None:
        """One random request."""
        chance = self.random
        asked = Asked(f"secret-{number}", chance.choice(DEMANDS))
        self.asked.append(asked)
        headers: dict[str, str] = {}
        body: dict[str, Any] = {"model": chance.choice(["auto", "auto", "auto", *self.vendors, "openai/lent"])}
        way = chance.choice(["body", "header", "both"])
        if way != "header" and asked.demand:
            body["hearth"] = {"requires": sorted(asked.demand)}
        if way != "body":
            headers["x-hearth-requires"] = ",".join(asked.demand)
        if chance.random() < 0.2:
            headers["x-team"] = "clinic"
            asked.demand |= {"hipaa"}
        path, turn = self.shaped(body, asked)
        if path == "/v1/responses" and self.chain and chance.random() < 0.5:
            previous, inherited = chance.choice(self.chain)
            body["previous_response_id"] = previous
            asked.demand |= inherited
        body["stream"] = path != "/v1/messages/count_tokens" and chance.random() < 0.5
        if path == "/v1/messages/count_tokens":
            del body["stream"]
        asked.began, asked.chained = time.monotonic(), path == "/v1/responses"
        answer = await client.post(path, json={**body, **turn}, headers=headers)
        asked.ended = time.monotonic()
        asked.decision = answer.headers.get("x-hearth-decision", "")
        assert "internal_error" not in answer.text
        if path == "/v1/responses" and answer.status_code == 200 and not body["stream"]:
            self.chain.append((answer.json()["id"], asked.demand))

    def shaped(self, body: dict[str, Any], asked: Asked) -> tuple[str, dict[str, Any]]:
        """The path, and the prompt in its wire: text, an image of its own bytes, or one by address."""
        chance, text = self.random, f"hello {asked.mark}"
        path = chance.choice(
            ["/v1/chat/completions"] * 3 + ["/v1/messages", "/v1/messages/count_tokens", "/v1/responses"]
        )
        if path == "/v1/responses":
            return path, {"input": text}
        content: Any = text
        if path == "/v1/chat/completions" and chance.random() < 0.3:
            data = base64.b64encode(f"\x89PNG {asked.mark}".encode("latin-1") + bytes(3000)).decode()
            url = chance.choice([f"data:image/png;base64,{data}", f"https://pictures.example/{asked.mark}.png"])
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        limit = {"max_tokens": 5} if path == "/v1/messages" else {}
        return path, {"messages": [{"role": "user", "content": content}], **limit}


@pytest.fixture
def vendors() -> dict[str, Vendor]:
    dice = random.Random(11)
    fails = {"local": 0.1, "both": 0.3, "plain": 0.4, "swing": 0.4, "gem": 0.3, "claude": 0.3}
    return {name: Vendor(name, share, dice) for name, share in fails.items()}


@pytest.mark.timeout(1800)
async def test_no_byte_reaches_the_uncertified_and_every_placement_is_recorded(
    vendors: dict[str, Vendor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen at the sockets, while certificates come and go."""
    monkeypatch.setitem(Files.settled.__kwdefaults__ or {}, "limit", 1000)
    env = {"HEARTH_STATE_DIR": str(tmp_path), "OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    async with serving(*vendors.values()):
        trial = await _tried(vendors, tmp_path, env)
    # (1) The sockets.
    by_mark = {each.mark: each for each in trial.asked}
    restricted = 0
    for name, vendor in vendors.items():
        for mark, times in vendor.seen.items():
            asked = by_mark[mark]
            restricted += bool(asked.demand) and name != "local"
            if name != "local":
                held = trial.held(name, asked.began, times[-1])
                assert asked.demand <= held, f"{mark} demands {set(asked.demand)} and reached {name}"
    assert restricted > REQUESTS / 20, "hardly any demanding request left: the test says nothing"
    pictures = [by_mark[mark.decode()] for request in trial.fetched for mark in MARK.findall(request)]
    assert pictures and not any(each.demand for each in pictures)
    # (2) The log.
    verdict = verify(tmp_path / "audit")
    assert verdict.intact and verdict.findings == ()
    rows = latest(tmp_path / "audit", 1 << 30)
    answers = {row.body["decision"] for row in rows if row.kind == "answer"}
    assert {each.decision for each in trial.asked} - {""} <= answers
    left = {
        (row.body["decision"], row.body["to"]) for row in rows if row.kind == "departure" and not row.body["refused"]
    }
    for name, vendor in vendors.items():
        for mark in vendor.seen if name != "local" else ():
            if by_mark[mark].decision and not by_mark[mark].chained:
                lenders = {name, "both", "plain", "swing"}
                assert {(by_mark[mark].decision, each) for each in lenders} & left, (
                    f"{mark} at {name} is not in the log"
                )


async def _tried(vendors: dict[str, Vendor], folder: Path, env: dict[str, str]) -> Trial:
    """All requests, against a runtime over the servers."""
    path, dice = folder / "hearth.toml", random.Random(7)
    path.write_text("")
    trial = Trial(None, vendors, dice, path, env)  # type: ignore[arg-type]
    path.write_text(trial.settings(SWINGS[0]))
    trial.reloads.append((0.0, True))
    runtime = trial.runtime = Runtime(load_settings(path, env), env, folder, print, print)

    async def resolve(host: str, port: int) -> list[str]:
        trial.fetched.append(host.encode())
        return ["93.184.216.34"]

    def fetched(request: httpx.Request) -> httpx.Response:
        trial.fetched.append(str(request.url).encode())
        return httpx.Response(200, stream=httpx.ByteStream(base64.b64decode(PNG)))

    fetching = Fetching(runtime.settings.media, runtime.guard, resolve, lambda: httpx.MockTransport(fetched))
    effects = Effects(time.monotonic, random.random, _briefly, fetching)
    runtime.desk.dispatcher = Dispatcher(runtime.fleet, runtime.settings.retries, effects)
    runtime.record()
    try:
        await runtime.engine.start(print)
        assert await runtime.engine.wait_ready(60)
        transport = httpx.ASGITransport(app=runtime.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            for first in range(0, REQUESTS, AT_ONCE):
                trial.reload()
                asking = [trial.ask(client, number) for number in range(first, min(REQUESTS, first + AT_ONCE))]
                await asyncio.gather(*asking, _half_way(trial))
    finally:
        await runtime.engine.stop()
        await runtime.aclose()
    return trial


async def _half_way(trial: Trial) -> None:
    """A reload while requests are under way."""
    await asyncio.sleep(0)
    trial.reload()


async def _briefly(seconds: float) -> None:
    """The pauses between attempts, shortened."""
    await asyncio.sleep(min(seconds, 0.002))
