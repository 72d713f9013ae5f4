"""Random requests, batches, demands, keys, reloads, faults, hedges, fallbacks, uploads, counts and spans: a whole runtime.

No byte of a prompt reaches a server that was not certified for what the prompt demands, seen at real sockets, and every
placement is in the audit log. `HEARTH_TEST_REQUESTS` sets how many requests are asked.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
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
from runtime.record.decisions import Decision
from runtime.trust.audit.show import latest
from runtime.trust.audit.verify import verify
from runtime.trust.key_store import KeyStore, KeyTerms
from tests.runtime.trust.vendors import MARK, Collector, Vendor, serving

REQUESTS = int(os.environ.get("HEARTH_TEST_REQUESTS", "1000"))
AT_ONCE = 20
LINES = 4  # of a batch; there is one for each `AT_ONCE` requests
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(4000)).decode()
DEMANDS: Sequence[frozenset[str]] = [
    frozenset(each) for each in ((), (), ("hipaa",), ("zdr",), ("hipaa", "zdr"), ("local_only",), ("unheard-of",))
]
CERTIFIED = {"both": ("hipaa", "zdr"), "plain": (), "gem": ("zdr",), "claude": ("hipaa",)}
SWINGS = (("hipaa", "zdr"), ())  # of the target whose certificates change with each reload
MODELS = ("local", "both", "plain", "swing", "gem", "claude")
KEYS = (
    KeyTerms(name="free"),
    KeyTerms(name="clinic", requires=("hipaa",)),
    KeyTerms(name="secrets", requires=("zdr",)),
    KeyTerms(name="narrow", targets=("gem", "both")),
)
CHAT, MESSAGES, COUNT, RESPONSES = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
)
PATHS = [CHAT] * 6 + [MESSAGES] * 2 + [COUNT, RESPONSES, RESPONSES, "/v1/completions"]
ADDRESS = "write to anna.example@example.com"  # personal data: what leaves with it demands zdr


@dataclass
class Asked:
    """One prompt. key: the name of the key it came with. decision: its id. chained: it may travel with later requests too."""

    mark: str
    key: KeyTerms
    demand: frozenset[str]
    began: float = 0.0
    decision: str = ""
    chained: bool = False
    line: bool = False


@dataclass
class Trial:
    """reloads: when, and whether the swinging target was certified from then on. sessions: demands by key and name."""

    runtime: Runtime
    vendors: dict[str, Vendor]
    random: random.Random
    path: Path
    env: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    reloads: list[tuple[float, bool]] = field(default_factory=list)
    fetched: list[bytes] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    chain: dict[str, list[tuple[str, frozenset[str]]]] = field(default_factory=dict)
    sessions: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    batches: list[tuple[str, str]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def settings(self, swings: tuple[str, ...]) -> str:
        lines = [f'[engine]\nurl = ["{self.vendors["local"].url}/v1"]\n[retries]\nattempts = 2\nhedge_after = 0.02']
        lines.append(
            "[timeouts]\ntotal = 4\nfirst_token = 2\n[media]\nfetch_urls = true\n[escalation]\nqueue_depth = 0\n"
            f'[telemetry]\nendpoint = "{self.vendors["collector"].url}"\nsampled = 1.0\n'
            '[budget]\ndaily_usd = "none"\n[batch]\nescalate = true\n[privacy]\ndetect = "enforce"\nadd = ["zdr"]'
        )
        for name, vendor in self.vendors.items():
            if name in ("local", "collector"):
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

    def of(self, asked: Asked) -> list[Decision]:
        return [each for each in self.decisions if each.id == asked.decision]

    def prompt(self, stated: frozenset[str], key: KeyTerms) -> tuple[Asked, str]:
        """A prompt with these demands of its own, and its text, which holds personal data now and then."""
        asked = Asked(f"secret-{len(self.asked)}", key, stated | frozenset(key.requires), time.monotonic())
        self.asked.append(asked)
        if self.random.random() < 0.9:
            return asked, f"hello {asked.mark}"
        asked.demand |= {"zdr"}
        return asked, f"hello {asked.mark}, {ADDRESS}"

    async def ask(self, client: httpx.AsyncClient) -> None:
        """One random request."""
        chance, key = self.random, self.random.choice(KEYS)
        demand = chance.choice(DEMANDS)
        headers = {"x-api-key": self.secrets[key.name], "x-hearth-delivery": chance.choice(["live", "whole"])}
        path = chance.choice(PATHS)
        names = ["auto", "claude", "claude"] if path == COUNT else ["auto"] * 5 + [*MODELS, "gem", "gem", "openai/lent"]
        body: dict[str, Any] = {"model": chance.choice(names)}
        way = chance.choice(["body", "header", "both"])
        if way != "header" and demand:
            body["hearth"] = {"requires": sorted(demand)}
        if way != "body":
            headers["x-hearth-requires"] = ",".join(demand)
        if chance.random() < 0.2:
            headers["x-team"] = "clinic"
            demand |= {"hipaa"}
        session = ("", "")
        if chance.random() < 0.1:
            session = (key.name, f"session-{chance.randrange(REQUESTS // 10)}")
            headers["x-hearth-session"] = session[1]
            demand |= self.sessions.get(session, frozenset())
        before = self.chain.setdefault(key.name, [])
        if path == RESPONSES and before and chance.random() < 0.5:
            body["previous_response_id"], inherited = chance.choice(before)
            demand |= inherited
        stated = demand | frozenset(key.requires)
        asked, text = self.prompt(demand, key)
        body |= self.shaped(path, text, asked)
        if path != COUNT:
            body["stream"] = chance.random() < 0.5
        asked.chained = path == RESPONSES
        answer = await client.post(path, json=body, headers=headers)
        asked.decision = answer.headers.get("x-hearth-decision", "")
        self.statuses[answer.status_code] += 1
        assert "internal_error" not in answer.text
        if session[1]:
            self.sessions[session] = self.sessions.get(session, frozenset()) | stated
        if asked.chained and answer.status_code == 200 and not body["stream"]:
            before.append((answer.json()["id"], asked.demand))

    def shaped(self, path: str, text: str, asked: Asked) -> dict[str, Any]:
        """The prompt in the wire of the path: text, an image of its own bytes, or one by address."""
        if path == RESPONSES:
            return {"input": text}
        if path == "/v1/completions":
            return {"prompt": text}
        content: Any = text
        if path == CHAT and self.random.random() < 0.6:
            data = base64.b64encode(f"\x89PNG {asked.mark}".encode("latin-1") + bytes(3000)).decode()
            inline = f"data:image/png;base64,{data}"
            url = self.random.choice([inline, f"https://pictures.example/{asked.mark}.png"])
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        limit = {"max_tokens": 5} if path == MESSAGES else {}
        return {"messages": [{"role": "user", "content": content}], **limit}

    async def batch(self, client: httpx.AsyncClient) -> None:
        """A file and a batch of it, or a batch of the messages wire: demands of the file, the batch, the line and the key."""
        chance, key = self.random, self.random.choice(KEYS)
        own = {"x-api-key": self.secrets[key.name]}
        of_file, of_batch = chance.choice(DEMANDS[:5]), chance.choice(DEMANDS[:5])
        messages = chance.random() < 0.3
        lines = []
        for _ in range(LINES):
            of_line = chance.choice(DEMANDS)
            demand = of_line | of_batch | (frozenset() if messages else of_file)
            asked, text = self.prompt(demand, key)
            asked.line, asked.chained = True, messages
            body: dict[str, Any] = {
                "model": chance.choice(["auto", "auto", *MODELS]),
                "max_tokens": 5,
            }
            body["messages"] = [{"role": "user", "content": text}]
            if of_line:
                body["hearth"] = {"requires": sorted(of_line)}
            lines.append((asked.mark, body))
        required = {"x-hearth-requires": ",".join(of_batch)} if chance.random() < 0.5 else {}
        hinted = {} if required else {"hearth": {"requires": sorted(of_batch)}}
        if messages:
            wanted = {"requests": [{"custom_id": mark, "params": body} for mark, body in lines], **hinted}
            made = await client.post("/v1/messages/batches", json=wanted, headers=own | required)
            assert made.status_code == 200, made.text
            self.batches.append((f"/v1/messages/batches/{made.json()['id']}", key.name))
            return
        rows = [{"custom_id": mark, "method": "POST", "url": CHAT, "body": body} for mark, body in lines]
        content = "\n".join(map(json.dumps, rows)).encode()
        files = {"purpose": (None, b"batch"), "file": ("lines.jsonl", content)}
        sent = await client.post("/v1/files", files=files, headers=own | {"x-hearth-requires": ",".join(of_file)})
        assert sent.status_code == 200, sent.text
        wanted = {"input_file_id": sent.json()["id"], "endpoint": CHAT, "completion_window": "24h", **hinted}
        made = await client.post("/v1/batches", json=wanted, headers=own | required)
        assert made.status_code == 200, made.text
        self.batches.append((f"/v1/batches/{made.json()['id']}", key.name))

    async def ended(self, client: httpx.AsyncClient) -> None:
        """Waits for every batch, and takes the decisions of their lines out of the answers."""
        by_mark = {each.mark: each for each in self.asked}
        for path, key in self.batches:
            own = {"x-api-key": self.secrets[key]}
            while (found := (await client.get(path, headers=own)).json()).get("ended_at") is None:
                if found.get("status") == "completed":
                    break
                assert found.get("status") not in ("failed", "expired", "cancelled"), found
                await asyncio.sleep(0.05)
            for file in (found.get("output_file_id"), found.get("error_file_id")):
                if file:
                    content = (await client.get(f"/v1/files/{file}/content", headers=own)).text
                    for row in map(json.loads, content.splitlines()):
                        by_mark[row["custom_id"]].decision = row["response"]["request_id"]


@pytest.fixture
def vendors() -> dict[str, Vendor]:
    dice = random.Random(11)
    fails = {"local": 0.1, "both": 0.3, "plain": 0.4, "swing": 0.4, "gem": 0.3, "claude": 0.3}
    return {name: Vendor(name, share, dice) for name, share in fails.items()} | {
        "collector": Collector("collector", 0.0, dice)
    }


@pytest.mark.timeout(1800)
async def test_no_byte_reaches_the_uncertified_and_every_placement_is_recorded(
    vendors: dict[str, Vendor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen at the sockets, while certificates come and go."""
    monkeypatch.setitem(Files.settled.__kwdefaults__ or {}, "limit", 1000)
    env = {"HEARTH_STATE_DIR": str(tmp_path), "OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    async with serving(*vendors.values()):
        trial = await _tried(vendors, tmp_path, env)
    by_mark = {each.mark: each for each in trial.asked}
    # (1) The sockets. A collector of traces gets no prompt at all.
    assert not vendors["collector"].seen and vendors["collector"].head
    met: Counter[str] = Counter()
    for name, vendor in vendors.items():
        if name == "local":
            continue
        for mark, arrivals in vendor.seen.items():
            asked = by_mark[mark]
            held = trial.held(name, asked.began, arrivals[-1][0])
            assert asked.demand <= held, f"{asked} reached {name}: {trial.of(asked)}"
            assert not asked.key.targets or name in asked.key.targets, f"{mark} of a key for others reached {name}"
            for kind in {kind for _, kind in arrivals} if asked.demand else ():
                met[kind] += 1
            met["line"] += asked.line and bool(asked.demand)
            met["key"] += bool(asked.key.requires)
    pictures = [by_mark[mark.decode()] for request in trial.fetched for mark in MARK.findall(request)]
    assert not any(each.demand - {"zdr"} for each in pictures)
    met["fetched"] = len(pictures)
    # (2) The log.
    _recorded(trial, tmp_path / "audit", vendors, by_mark)
    # (3) The trial met all of it, with demands: else it would say nothing.
    met |= _met(trial)
    few = {kind: met[kind] for kind in KINDS if met[kind] < REQUESTS / 500}
    assert not few, f"hardly any {few} among {dict(met)}"
    print(f"\n{len(trial.asked)} prompts, {len(trial.reloads)} reloads: {dict(met)}, statuses {dict(trial.statuses)}")


KINDS = ("model", "upload", "count", "line", "key", "fetched", "fallback", "hedged", "session", "personal", "refused")


def _met(trial: Trial) -> Counter[str]:
    """The fallbacks, hedges and the like that the decisions tell of."""
    met: Counter[str] = Counter()
    for each in trial.decisions:
        left = [one for one in each.attempts if not one.target.startswith("local/")] if each.requires else []
        met["fallback"] += len({one.target for one in left}) > 1
        met["hedged"] += any(one.target != other.target and one.started_ms < other.started_ms < one.ended_ms
                             for one in left for other in left)  # fmt: skip
        met["personal"] += bool(each.personal)
        met["refused"] += each.status == 403
    met["session"] = sum(bool(demand) for demand in trial.sessions.values())
    return met


def _recorded(trial: Trial, folder: Path, vendors: Mapping[str, Vendor], by_mark: Mapping[str, Asked]) -> None:
    """Every answer and every departure stands in the audit log."""
    verdict = verify(folder)
    assert verdict.intact and verdict.findings == ()
    rows = latest(folder, 1 << 30)
    answers = {row.body["decision"] for row in rows if row.kind == "answer"}
    assert {each.decision for each in trial.asked} - {""} <= answers
    assert {each.id for each in trial.decisions} <= answers
    assert all(each.decision for each in trial.asked if each.line and not each.chained)
    left = {
        (row.body["decision"], row.body["to"]) for row in rows if row.kind == "departure" and not row.body["refused"]
    }
    for name, vendor in vendors.items():
        for mark in vendor.seen if name != "local" else ():
            asked = by_mark[mark]
            if asked.decision and not asked.chained and not asked.line:  # those travel under several decisions
                lenders = {name, "both", "plain", "swing"}
                assert {(asked.decision, each) for each in lenders} & left, f"{mark} at {name} is not in the log"


async def _tried(vendors: dict[str, Vendor], folder: Path, env: dict[str, str]) -> Trial:
    """All requests, against a runtime over the servers."""
    path, dice = folder / "hearth.toml", random.Random(7)
    path.write_text("")
    trial = Trial(None, vendors, dice, path, env)  # type: ignore[arg-type]
    path.write_text(trial.settings(SWINGS[0]))
    trial.reloads.append((0.0, True))
    created = KeyStore(folder, time.time)
    trial.secrets = {terms.name: created.create(terms)[1] for terms in KEYS}
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
    runtime.desk.settled = (*runtime.desk.settled, trial.decisions.append)
    runtime.record()
    lane = asyncio.create_task(runtime.lane.run())
    try:
        await runtime.engine.start(print)
        assert await runtime.engine.wait_ready(60)
        transport = httpx.ASGITransport(app=runtime.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            places = asyncio.Semaphore(AT_ONCE)

            async def one() -> None:
                async with places:
                    await trial.ask(client)

            async with asyncio.TaskGroup() as asking:
                for number in range(REQUESTS):
                    async with places:  # begins where another has ended, so that reloads fall between and into requests
                        asking.create_task(one())
                    if number % (AT_ONCE // 2) == 0:
                        trial.reload()
                    if number % AT_ONCE == 0:
                        await trial.batch(client)
            await trial.ended(client)
        assert not lane.done(), lane
    finally:
        lane.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await lane
        await runtime.engine.stop()
        await runtime.aclose()
    return trial


async def _briefly(seconds: float) -> None:
    """The pauses between attempts, shortened."""
    await asyncio.sleep(min(seconds, 0.002))
