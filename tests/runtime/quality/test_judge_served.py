"""The judge, the sample and their report on a served runtime: real processes and HTTP, one scripted server behind them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.quality.sample.file import FILE, SampleFile
from scripts.bench.processes import ROOT, Running, free_port
from tests.fakes.script import Answer
from tests.fakes.scripted_model import whole
from tests.fakes.tiny_http import Exchange, listen
from tests.runtime.quality.judge.test_weekly import fair, labelled, lines, row

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WITHIN_S = 180.0
WEEK_S = 7 * 86_400.0
SETTINGS = """
[server]
port = {port}
[engine]
model = "small"
url = ["http://127.0.0.1:{upstream}/v1"]
[escalation]
ttft_ms = 600000
[targets.arm]
provider = "fireworks"
model = "arm-model"
base_url = "http://127.0.0.1:{upstream}/v1"
[targets.referee]
provider = "together"
model = "referee-model"
base_url = "http://127.0.0.1:{upstream}/v1"
[routes]
default = ["arm"]
[quality]
judge = "referee"
[quality.sample]
keep = {keep}
share = 1.0
"""


class Upstream:
    """Every model of the settings: a fair judge, and an arm that is worse than the engine. asked: model and text of each."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def answer(self, exchange: Exchange) -> None:
        if not exchange.path.endswith("/completions") or not exchange.body:
            models = {"object": "list", "data": [{"id": "small", "object": "model", "max_model_len": 100_000}]}
            await exchange.say(models if exchange.path.endswith("/models") else {})
            return
        body = json.loads(exchange.body)
        self.asked.append((body["model"], exchange.body.decode()))
        text = (
            fair(body)
            if body["model"] == "referee-model"
            else "worse 1"
            if body["model"] == "arm-model"
            else "better 5"
        )
        await exchange.say(whole(Answer(text), body["model"], "id-1"))


class Hearth:
    """A served runtime over one upstream. state: its folder."""

    def __init__(self, url: str, upstream: Upstream, state: Path) -> None:
        self.url, self.upstream, self.state = url, upstream, state

    async def get(self, path: str) -> bytes:
        def read() -> bytes:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
                found: bytes = answer.read()
                return found

        return await asyncio.to_thread(read)

    async def ask(self, text: str, **hints: Any) -> str:
        """The target that answered: the engine, unless hints leave the choice open."""
        body = {"model": "auto" if hints else "local", "messages": [{"role": "user", "content": text}], "hearth": hints}
        call = urllib.request.Request(
            f"{self.url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )

        def asked() -> str:
            with urllib.request.urlopen(call, timeout=60) as answer:
                answer.read()
                return str(answer.headers["x-hearth-target"])

        ends = time.monotonic() + WITHIN_S
        while True:
            try:
                return await asyncio.to_thread(asked)
            except urllib.error.HTTPError as fault:  # the runtime is ready before its engine
                assert fault.code == 503 and time.monotonic() < ends
            await asyncio.sleep(0.2)

    async def command(self, *words: str) -> str:
        """Of `hearth eval`."""
        program = [sys.executable, "-m", "runtime.cli", "eval", *words]
        env = {**os.environ, **environ(self.state)}
        done = await asyncio.to_thread(
            subprocess.run, program, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def holding(self, text: str) -> set[str]:
        """Names of the files of the state that have a text in them."""
        files = [each for each in self.state.rglob("*") if each.is_file()]
        return {each.name for each in files if text.encode() in each.read_bytes()}


@asynccontextmanager
async def serving(folder: Path, keep: bool) -> AsyncIterator[Hearth]:
    port, behind, upstream, state = free_port(), free_port(), Upstream(), folder / "state"
    state.mkdir(exist_ok=True)
    settings = SETTINGS.format(port=port, upstream=behind, keep=str(keep).lower())
    (folder / "hearth.toml").write_text(settings)
    labelled(folder, lines(40))
    server = await listen(upstream.answer, socket_path=None, port=behind)
    command = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(folder / "hearth.toml"))
    async with server:
        with Running(command, folder / "hearth.log", environ(state)):
            hearth = Hearth(f"http://127.0.0.1:{port}", upstream, state)
            ends = time.monotonic() + WITHIN_S
            while True:
                try:
                    await hearth.get("/health/ready")
                    break
                except OSError:
                    assert time.monotonic() < ends, (folder / "hearth.log").read_text()
                    await asyncio.sleep(0.2)
            yield hearth


def environ(state: Path) -> dict[str, str]:
    return {"HEARTH_STATE_DIR": str(state), "FIREWORKS_API_KEY": "k", "TOGETHER_API_KEY": "k"}


async def test_a_week_is_judged_over_http_and_reported(tmp_path: Path) -> None:
    """The sample of last week and people's labels reach the judge; the report, the metrics and the page have what it says."""
    (tmp_path / "state").mkdir()
    for number in range(20):
        made = row(number, "a local answer 5", at=time.time() - WEEK_S, target="local/small")
        SampleFile(tmp_path / "state").add(made, 100)
    async with serving(tmp_path, keep=True) as hearth:
        ends = time.monotonic() + WITHIN_S
        while not (judge := json.loads(await hearth.get("/hearth/quality"))["judge"])["weeks"]:
            assert time.monotonic() < ends, judge
            await asyncio.sleep(0.2)
        assert (judge["judge"], judge["trusted"]) == ("together/referee-model", True)
        (week,) = judge["weeks"]
        assert (week["outcomes"]["a"], week["agreement"]["share"], week["void"]) == (20, 1.0, "")
        shown = await hearth.command("report", "judge", "--markdown", "--url", hearth.url)
        assert "together/referee-model agrees with its anchors" in shown
        assert "| local/small | fireworks/arm-model | all | 100% (81 to 100) of 20 |" in shown
        assert json.loads(await hearth.command("report", "judge", "--json", "--url", hearth.url)) == judge
        assert "agreement  " in await hearth.command("report", "judge", "--fail-under", "0.9", "--url", hearth.url)
        metrics = (await hearth.get("/metrics")).decode()
        assert 'hearth_judge_pairs{outcome="a"} 20.0' in metrics
        assert "hearth_judge_trusted 1.0" in metrics and "hearth_judge_agreement_ratio 1.0" in metrics
        judged = [text for model, text in hearth.upstream.asked if model == "referee-model"]
        assert len(judged) == 2 * (20 + 40 + 20)
        # No name reaches the judge, and nothing of it is a client's request.
        assert not any("arm-model" in text or "fireworks" in text for text in judged)
        assert "hearth_requests_total{" not in metrics


async def test_what_is_said_stays_where_it_may(tmp_path: Path) -> None:
    """Without the sample in no file; with it in that file alone, until it is forgotten or its days are over.

    What demands the box reaches no arm and no judge.
    """
    (tmp_path / "off").mkdir()
    async with serving(tmp_path / "off", keep=False) as hearth:
        assert await hearth.ask("plugh-one is a secret") == "local/small"
    assert hearth.holding("plugh-one") == set()
    (tmp_path / "on" / "state").mkdir(parents=True)
    old = row(1, "plugh-old 5", at=time.time() - 15 * 86_400.0)
    SampleFile(tmp_path / "on" / "state").add(old, 100)
    async with serving(tmp_path / "on", keep=True) as hearth:
        assert await hearth.ask("plugh-two is a secret") == "local/small"
        assert await hearth.ask("plugh-three stays here", requires=["local_only"]) == "local/small"
        ends = time.monotonic() + WITHIN_S
        while not hearth.holding("plugh-two") or hearth.holding("plugh-old"):
            assert time.monotonic() < ends
            await asyncio.sleep(0.2)
        assert hearth.holding("plugh-two") == {FILE}
        assert await hearth.command("forget", "--all") == "1 deleted\n"
    for secret in ("plugh-two", "plugh-three", "plugh-old"):
        assert hearth.holding(secret) == set(), secret
    assert {model for model, text in hearth.upstream.asked if "plugh" in text} == {"small"}
