"""Planted secrets: keys and prompts of requests through every door, over servers that repeat all they get in their errors.

None of them is found on disk, in logs, metrics, traces over OTLP, the status as a page and on a terminal, the rows of `hearth
doctor`, decisions, explanations, representations of objects, or in the answer to anybody else. The stores that a client asked
for hold its own prompt, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import random
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from local_models.host.gpu import NoGpu
from runtime.cli.doctor import examine
from runtime.cli.paint import Paint
from runtime.cli.report import report_lines
from runtime.compose import door
from runtime.compose.runtime import Runtime, load_settings
from runtime.server.access_log import LOGGER as ACCESS
from runtime.server.logs import OURS
from runtime.server.status import StatusReport
from runtime.trust.stack import stack_of
from tests.fakes.collector import Receiving, receiving
from tests.runtime.trust.vendors import Vendor, _head, _say, serving

PROMPT = "Aurelia Quintana swallowed 37 tablets of perphenazine on Thursday"
SHORT = "zyx-wvu-tsr"
KEPT = "Balthasar Okonkwo asked that this be stored for him, and only this"
KEYS = {
    "OPENAI_API_KEY": "sk-planted-openai-0123456789",
    "ANTHROPIC_API_KEY": "sk-planted-anthropic-0123456789",
    "GEMINI_API_KEY": "planted-gemini-0123456789",
    "CLIENT_KEY": "planted-client-key-0123456789",
    "ADMIN_KEY": "planted-admin-key-0123456789",
}
PIECES = [PROMPT[at : at + 24] for at in range(0, len(PROMPT) - 23, 8)] + [SHORT]


@dataclass
class Parrot(Vendor):
    """Answers, or fails with all it was sent in its words: as an error page, in a stream, or in a broken document."""

    async def _answered(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        if path.endswith("/models") or self.random.random() > self.fails:
            return await super()._answered(path, body, writer)
        words = f"cannot do this: {body.decode('utf-8', 'replace')}"
        kind = self.random.randrange(4)
        if kind > 1:
            words += self.head.decode("latin-1")  # the key is in it
        error = {
            "error": {"message": words, "type": "invalid_request_error", "code": 400, "status": "INVALID_ARGUMENT"}
        }
        if kind == 0:
            await _head(writer, 200, {"content-type": "text/event-stream", "connection": "close"})
            writer.write(f"event: error\ndata: {json.dumps({'type': 'error', **error})}\n\n".encode())
            return False
        if kind == 1:
            await _head(writer, 200, {"content-type": "text/event-stream", "connection": "close"})
            writer.write(f"data: {{{words}\n\n".encode())
            return False
        return await _say(writer, self.random.choice((400, 401, 403, 404, 413, 429, 500, 503)), error)


def planted(text: str | bytes) -> list[str]:
    """The secrets that a text holds."""
    found = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [each for each in (*PIECES, *KEYS.values()) if each in found]


def asked(models: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A request for each door, target and way of answering."""
    for model in models:
        for text in (PROMPT, SHORT):
            turn = [{"role": "user", "content": text}]
            for stream in (False, True):
                yield "/v1/chat/completions", {"model": model, "messages": turn, "stream": stream}
                yield "/v1/messages", {"model": model, "messages": turn, "stream": stream, "max_tokens": 5}
                yield "/v1/responses", {"model": model, "input": text, "stream": stream}
                yield "/v1/completions", {"model": model, "prompt": text, "stream": stream}
            yield "/v1/messages/count_tokens", {"model": model, "messages": turn}
            yield "/v1/embeddings", {"model": model, "input": text}
            yield "/hearth/explain", {"model": model, "messages": turn}
            yield "/v1/chat/completions", {"model": model, "messages": text, "hearth": {text: text}}
            yield f"/v1/{model}", {"model": text, "messages": turn}
            yield "/v1/responses", {"model": model, "input": KEPT, "store": True}


FEW = ("auto", "gem")


@pytest.fixture
def logs() -> Iterator[None]:
    """The log of the process, given back as it was."""
    loggers = [logging.getLogger(name) for name in ("", OURS, ACCESS)]
    before = [(each, each.level, each.handlers[:]) for each in loggers]
    raises = logging.raiseExceptions
    yield
    logging.raiseExceptions = raises
    for each, level, handlers in before:
        each.setLevel(level)
        each.handlers[:] = handlers


@pytest.fixture
def collector() -> Iterator[Receiving]:
    """Of traces and metrics."""
    with receiving() as each:
        yield each


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    "models", [FEW, pytest.param((*FEW, "local", "plain", "claude", "openai/lent"), marks=pytest.mark.slow)]
)
async def test_what_was_planted_is_found_nowhere(
    models: Sequence[str],
    tmp_path: Path,
    collector: Receiving,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dice = random.Random(5)
    names = ("local", "plain", "gem", "claude")
    vendors = {name: Parrot(name, 0.5, dice) for name in names}
    state, path = tmp_path / "state", tmp_path / "hearth.toml"
    state.mkdir()
    said: list[str] = []
    async with serving(*vendors.values()):
        path.write_text(settings(vendors) + f'\n[telemetry]\nendpoint = "{collector.url}"\nsampled = 1.0')
        env = {**KEYS, "HEARTH_STATE_DIR": str(state)}
        runtime = Runtime(load_settings(path, env), env, state, said.append, said.append)
        door.log(runtime.settings)
        runtime.record()
        await runtime.engine.start(said.append)
        assert await runtime.engine.wait_ready(60)
        transport = httpx.ASGITransport(app=runtime.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            own = {"x-api-key": KEYS["CLIENT_KEY"]}
            with caplog.at_level(logging.DEBUG, logger="hearth"):
                for door_, body in asked(models):
                    await keyless(client, door_, body, own)
                await client.post("/v1/chat/completions", json={"messages": PROMPT}, headers={"x-api-key": f"{PROMPT}"})
            admin = {"x-api-key": KEYS["ADMIN_KEY"]}
            runtime.audit.flush(), runtime.store.flush()
            shown = [await client.get(each, headers=admin) for each in PAGES]
        for answer in shown:
            assert answer.status_code == 200, answer.text
            assert not planted(answer.content), answer.url
        report = msgspec.json.decode(
            next(each.content for each in shown if each.url.path == "/hearth/status"), type=StatusReport
        )
        assert not planted("\n".join(report_lines(report, Paint(True))))
        rows = await asyncio.to_thread(lambda: list(examine(path, env, NoGpu())))
        assert len(rows) > 8 and not planted(repr(rows))
        met = [one for each in runtime.store.recent(100) for one in each.attempts if not one.ok]
        assert len(met) > 5, "hardly anything failed: the test says nothing"
        for thing in gc.get_objects():
            if str(getattr(type(thing), "__module__", "")).split(".")[0] in ("runtime", "cloud", "local_models"):
                shown_as = ""
                with contextlib.suppress(Exception):
                    shown_as = repr(thing)
                assert not {*planted(shown_as)} & {*KEYS.values()}, type(thing)
        try:
            raise ValueError(PROMPT) from KeyError(KEYS["CLIENT_KEY"])
        except ValueError as error:
            assert not planted(stack_of(error)) and planted("".join(traceback.format_exception(error)))
        await runtime.engine.stop()
        await runtime.aclose()
    sent = [str(each) for each in (*collector.traces, *collector.metrics)]
    assert len(collector.decisions()) > 10 and collector.metrics and not any(map(planted, sent))
    for record in caplog.records:
        assert not planted(record.getMessage()), record
    assert not planted("\n".join(said))
    assert not planted("".join(capfd.readouterr()))
    files = [each for each in state.rglob("*") if each.is_file()]
    assert {"decisions.sqlite3", "responses.sqlite3"} <= {each.name for each in files}
    for file in files:
        assert not planted(file.read_bytes()), file
        holds = KEPT.encode() in file.read_bytes()
        assert not holds or file.name.startswith("responses.sqlite3"), file


PAGES = (
    "/metrics",
    "/hearth/status",
    "/hearth/decisions?limit=500",
    "/hearth/audit?limit=1000",
    "/hearth/keys",
    "/health/ready",
    "/v1/models",
    "/openapi.json",
)


def settings(vendors: dict[str, Parrot]) -> str:
    lines = [
        '[server]\nkeys = ["env:CLIENT_KEY"]\nadmin_keys = ["env:ADMIN_KEY"]\naccess_log = true\nlog_level = "debug"',
        f'[engine]\nurl = ["{vendors["local"].url}/v1"]\n[retries]\nattempts = 2\nwait_here_up_to = 0\n',
        '[escalation]\nqueue_depth = 0\n[budget]\ndaily_usd = "none"\n[timeouts]\nfirst_token = 2\ntotal = 5',
    ]
    for name, provider in (("plain", "openai"), ("gem", "gemini"), ("claude", "anthropic")):
        base = vendors[name].url + ("/v1" if provider == "openai" else "")
        lines.append(f'[targets.{name}]\nprovider = "{provider}"\nmodel = "m"\nbase_url = "{base}"')
    lines.append('[routes]\ndefault = ["plain", "gem", "claude"]')
    return "\n".join(lines)


async def keyless(client: httpx.AsyncClient, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    """A request whose answer may repeat its own prompt, and never shows a key."""
    answer = await client.post(path, json=body, headers=headers)
    shown = {*planted(answer.content), *planted(str(answer.headers))}
    assert not shown & {*KEYS.values()}, f"{path} {body['model']} shows {shown}"
