"""The catalogue as it ships: its facts agree with each other and can be found by the names people write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


FAMILIES = "llama deepseek qwen gemma mistral gpt-oss nemotron command phi glm kimi minimax"


def test_every_family_is_there() -> None:
    """The open-weight families that people run."""
    assert {entry.family for entry in ENTRIES} == set(FAMILIES.split())


def _attention(c: Mapping[str, Any]) -> int:
    """Weights of one layer's attention: queries, keys, values, output."""
    heads = c["num_attention_heads"]
    dim = c.get("head_dim") or c["hidden_size"] // heads
    return int(2 * c["hidden_size"] * dim * (heads + c["num_key_value_heads"]))


def _latent(c: Mapping[str, Any]) -> int:
    """The same with latents: down and up again for queries, for keys and values, and the output."""
    hidden, heads, plain = c["hidden_size"], c["num_attention_heads"], c["qk_nope_head_dim"]
    queries = c["q_lora_rank"] * (hidden + heads * (plain + c["qk_rope_head_dim"]))
    keys = hidden * (c["kv_lora_rank"] + c["qk_rope_head_dim"]) + c["kv_lora_rank"] * heads * (plain + c["v_head_dim"])
    return int(queries + keys + heads * c["v_head_dim"] * hidden)


def _experts(c: Mapping[str, Any], count: int, inner: int) -> int:
    """Feed-forwards of three matrices each, and the router."""
    return int(count * 3 * c["hidden_size"] * inner + count * c["hidden_size"])


def _embeddings(c: Mapping[str, Any]) -> int:
    return int(c["vocab_size"] * c["hidden_size"] * (1 if c["tie_word_embeddings"] else 2))


def _mixture(c: Mapping[str, Any]) -> int:
    """Layers of a few dense feed-forwards first, then of experts and one that every token passes."""
    inner, dense, layers = c["moe_intermediate_size"], c["first_k_dense_replace"], c["num_hidden_layers"]
    attention = _latent(c) if "kv_lora_rank" in c else _attention(c)
    sparse = attention + _experts(c, c["n_routed_experts"] + 1, inner)
    draft = c.get("num_nextn_predict_layers", 0) * (sparse + 2 * c["hidden_size"] ** 2 + _embeddings(c))
    first = dense * (attention + 3 * c["hidden_size"] * c["intermediate_size"])
    return int(_embeddings(c) + first + (layers - dense) * sparse + draft)


def _mamba(c: Mapping[str, Any]) -> int:
    """Weights of a Mamba 2 layer: in (gate, values, the groups' two states, steps), and out."""
    inner = c["mamba_num_heads"] * c["mamba_head_dim"]
    return int(c["hidden_size"] * (3 * inner + 2 * c["n_groups"] * c["ssm_state_size"] + c["mamba_num_heads"]))


def _nemotron(c: Mapping[str, Any]) -> int:
    """Each layer is one letter: Mamba, attention, a feed-forward of two matrices, or experts of two with a shared one."""
    hidden, pattern = c["hidden_size"], c["hybrid_override_pattern"]
    expert = 2 * hidden * c.get("moe_intermediate_size", 0)
    shared = 2 * hidden * c.get("moe_shared_expert_intermediate_size", 0)
    return int(
        _embeddings(c)
        + pattern.count("M") * _mamba(c)
        + pattern.count("*") * _attention(c)
        + pattern.count("-") * 2 * hidden * c["intermediate_size"]
        + pattern.count("E") * (c.get("n_routed_experts", 0) * (expert + hidden) + shared)
    )


def _delta_nets(c: Mapping[str, Any]) -> int:
    """Three delta nets, then attention with a gate as large as its queries; experts in every layer, one of them shared."""
    hidden, layers = c["hidden_size"], c["num_hidden_layers"]
    values = c["linear_num_value_heads"] * c["linear_value_head_dim"]
    keys = c["linear_num_key_heads"] * c["linear_key_head_dim"]
    delta = hidden * (2 * keys + 3 * values)
    attention = _attention(c) + hidden * c["num_attention_heads"] * c["head_dim"]
    full = layers // c["full_attention_interval"]
    sparse = _experts(c, c["num_experts"] + 1, c["moe_intermediate_size"])
    return int(_embeddings(c) + full * attention + (layers - full) * delta + layers * sparse)


def _alike(c: Mapping[str, Any]) -> int:
    """Layers that are all alike: attention, and one feed-forward or several."""
    count = c.get("num_experts") or c.get("num_local_experts") or 1
    inner = c["moe_intermediate_size"] if "moe_intermediate_size" in c else c["intermediate_size"]
    return _embeddings(c) + int(c["num_hidden_layers"]) * (_attention(c) + _experts(c, count, inner))


SEES = 416_866_032  # parameters of Gemma 3's eyes, which its text config does not describe
BY_HAND: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    **dict.fromkeys(
        ("llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "phi3", "cohere2", "gpt_oss", "minimax_m2"), _alike
    ),
    **dict.fromkeys(("glm4_moe", "kimi_k2"), _mixture),
    "gemma3_text": lambda c: _alike(c) + SEES,
    "nemotron_h": _nemotron,
    "qwen3_next": _delta_nets,
}
COMPUTED = [e for e in ENTRIES if e.config["model_type"] in BY_HAND]


@pytest.mark.parametrize("entry", COMPUTED, ids=lambda entry: entry.name)
def test_parameters_follow_from_the_published_configuration(entry: Entry) -> None:
    """Matrices alone, which are all but a thousandth of any model."""
    assert BY_HAND[entry.config["model_type"]](entry.config) == pytest.approx(entry.parameters, rel=0.004)


def test_weights_follow_from_the_parameters_and_their_type() -> None:
    """2 bytes in bf16; in fp8 1 and a scale of 4 for 16,384; in mxfp4 half of one and a byte for 32, for experts alone."""
    for entry in COMPUTED:
        if entry.dtype == "bf16":
            assert entry.weight_bytes == 2 * entry.parameters
        elif entry.dtype == "fp8":
            plain = _embeddings(entry.config)
            by_hand = (entry.parameters - plain) * (1 + 4 / 16_384) + 2 * plain
            assert entry.weight_bytes == pytest.approx(by_hand, rel=0.005)
        else:
            assert entry.dtype == "mxfp4"
            layers, experts = entry.config["num_hidden_layers"], entry.config["num_local_experts"]
            packed = layers * experts * 3 * 2880 * 2880
            assert entry.weight_bytes == pytest.approx(
                packed * (1 / 2 + 1 / 32) + 2 * (entry.parameters - packed), rel=1e-9
            )


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
