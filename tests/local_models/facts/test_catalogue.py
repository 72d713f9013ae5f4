"""The catalogue as it ships: its facts agree with each other and can be found by the names people write."""

from __future__ import annotations

from typing import Any

import pytest

from local_models.facts.catalogue import DEFAULT, Entry, catalogue, parse

ENTRIES = catalogue().entries
BY_NAME = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def dense_parameters(config: dict[str, Any]) -> int:
    """Weights of a Llama or Qwen 2 model, written out: embeddings, attention, feed-forward, norms, head."""
    hidden, inner, layers = (int(config[key]) for key in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    heads, kv_heads = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
    head_dim = int(config.get("head_dim", hidden // heads))
    queries, keys = heads * head_dim, kv_heads * head_dim
    attention = hidden * queries + 2 * hidden * keys + queries * hidden
    biases = queries + 2 * keys if config["model_type"] == "qwen2" else 0
    layer = attention + biases + 3 * hidden * inner + 2 * hidden
    embeddings = int(config["vocab_size"]) * hidden
    return embeddings * (1 if config["tie_word_embeddings"] else 2) + layers * layer + hidden


@BY_NAME
def test_every_model_says_where_its_facts_are_from(entry: Entry) -> None:
    """No fact without a source, and none that contradicts the published config."""
    assert entry.source
    assert entry.licence
    assert entry.context == entry.config["max_position_embeddings"]
    assert (entry.hub is None) == entry.builtin
    assert entry.architecture.context == entry.context


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.config["model_type"] in {"llama", "qwen2"}], ids=str)
def test_dense_models_hold_the_parameters_their_config_makes(entry: Entry) -> None:
    """Parameters and bytes in bf16 follow from the config."""
    assert entry.parameters == dense_parameters(dict(entry.config))
    assert entry.weights == {"bf16": 2 * entry.parameters}


def test_it_reaches_from_1b_to_what_needs_eight_gpus() -> None:
    """Both families, small and large."""
    for family in ("llama", "deepseek"):
        sizes = [entry.parameters for entry in ENTRIES if entry.family == family]
        assert min(sizes) < 2e9
        assert max(sizes) > 4e11


def test_the_default_is_there_and_needs_no_hub() -> None:
    """The first start needs only the package index."""
    entry = catalogue().find(DEFAULT)
    assert entry is not None
    assert entry.wheel is not None
    assert len(entry.wheel.sha256) == 64


@pytest.mark.parametrize("name", ["llama-3.1-8b", "Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct"])
def test_a_model_is_found_by_name_and_by_hub_id(name: str) -> None:
    """Upper and lower case are the same."""
    found = catalogue().find(name)
    assert found is not None
    assert found.name == "llama-3.1-8b"


def test_a_misspelled_name_has_neighbours() -> None:
    """The nearest names help out."""
    assert "llama-3.3-70b" in catalogue().nearest("lama3.3-70b")
    assert catalogue().nearest("xyzzy") == []


def test_tools_are_off_where_their_template_is_missing() -> None:
    """A parser without the template that makes the model call tools is worse than none."""
    entry = catalogue().find("deepseek-v3.1")
    assert entry is not None
    assert entry.tool_parser == "deepseek_v31"
    assert not entry.tools
    assert entry.engine_args == ("--reasoning-parser", "deepseek_v3")


def test_tools_are_on_where_the_model_brings_all_it_needs() -> None:
    """The flags are vLLM's."""
    entry = catalogue().find("llama-3.1-8b")
    assert entry is not None
    assert entry.engine_args == ("--enable-auto-tool-choice", "--tool-call-parser", "llama3_json")
    assert entry.capabilities.tools
    assert entry.capabilities.context_tokens == 131072


def _table(**changes: Any) -> dict[str, Any]:
    facts = {"name": "m", "title": "M", "family": "llama", "parameters": 1, "weights": {"bf16": 2}, "context": 8}
    return {**facts, "licence": "MIT", "config": {}, "source": "here", "hub": "o/m", **changes}


def test_a_name_may_stand_only_once() -> None:
    """Otherwise one of the two could never be reached."""
    with pytest.raises(ValueError, match="twice"):
        parse([_table(), _table()])


def test_an_unknown_fact_is_refused() -> None:
    """A misspelled key would silently be no fact."""
    with pytest.raises(TypeError, match="contxt"):
        parse([_table(contxt=5)])
