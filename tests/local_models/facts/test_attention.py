"""The caches of current models, each by hand from its published configuration; what is not known is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_models.facts.architecture import UnknownArchitectureError, read
from local_models.facts.attention import layer_kinds
from local_models.facts.config import ModelConfig, packing_of
from local_models.facts.fit import GIB, Box, Footprint, Wish, judge
from local_models.facts.footprint import footprint, split_args
from local_models.weights import weights
from local_models.weights.errors import NotAModelError
from tests.fakes.guard import GUARD
from tests.local_models.weights.safetensors import write_safetensors

MIB = 1 << 20


def config(model_type: str, layers: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    """A config.json with what every file has."""
    plain = {"hidden_size": 4096, "intermediate_size": 8192, "vocab_size": 32_000, "max_position_embeddings": 1 << 20}
    shape = {"num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads}
    return {"model_type": model_type, **plain, **shape, **more}


NEMOTRON_H = "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-"
GEMMA_3_27B = {"sliding_window": 1024, "head_dim": 128, "sliding_window_pattern": 6}
NEMOTRON_H_8B = {
    "hybrid_override_pattern": NEMOTRON_H,
    "attention_head_dim": 128,
    "mamba_num_heads": 128,
    "mamba_head_dim": 64,
    "n_groups": 8,
    "ssm_state_size": 128,
    "conv_kernel": 4,
    "mamba_ssm_cache_dtype": "float32",
}
NEMOTRON_3_NANO = NEMOTRON_H_8B | {
    "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    "mamba_num_heads": 64,
}
QWEN3_NEXT = {
    "head_dim": 256,
    "full_attention_interval": 4,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}
PRUNED = [
    {"attention": {"n_heads_in_group": 8, "no_op": False, "replace_with_linear": False}},
    {"attention": {"n_heads_in_group": None, "no_op": True, "replace_with_linear": False}},
    {"attention": {"n_heads_in_group": 16, "no_op": False, "replace_with_linear": False}},
    {"attention": {"n_heads_in_group": None, "no_op": False, "replace_with_linear": True}},
]
HAND: list[tuple[str, Mapping[str, Any], int, int]] = [
    (
        "gemma-2-9b: every second of 42 layers keeps 4,096 tokens, 8 heads of 256",
        config("gemma2", 42, 16, 8, head_dim=256, sliding_window=4096),
        8192,
        (21 * 8192 + 21 * 4096) * 2 * 8 * 256 * 2,
    ),
    (
        "gemma-2-2b: 26 layers, 4 heads of 256",
        config("gemma2", 26, 8, 4, head_dim=256, sliding_window=4096),
        8192,
        (13 * 8192 + 13 * 4096) * 2 * 4 * 256 * 2,
    ),
    (
        "gemma-3-1b: every sixth of 26 layers sees everything, the others 512 tokens, one head of 256",
        config("gemma3_text", 26, 4, 1, head_dim=256, sliding_window=512, sliding_window_pattern=6),
        32_768,
        (4 * 32_768 + 22 * 512) * 2 * 1 * 256 * 2,
    ),
    (
        "gemma-3-27b, quantised: 10 of 62 layers see everything, 16 heads of 128",
        {"model_type": "gemma3", "text_config": config("gemma3_text", 62, 32, 16, **GEMMA_3_27B)},
        131_072,
        (10 * 131_072 + 52 * 1024) * 2 * 16 * 128 * 2,
    ),
    (
        "command-r7b: every fourth of 32 layers sees everything, the others 4,096 tokens, 8 heads of 128",
        config("cohere2", 32, 32, 8, sliding_window=4096, sliding_window_pattern=4),
        131_072,
        (8 * 131_072 + 24 * 4096) * 2 * 8 * 128 * 2,
    ),
    (
        "nemotron-h-8b: 4 layers of attention, 24 of Mamba 2 with a state in fp32 and 3 inputs of a convolution in bf16",
        config("nemotron_h", 52, 32, 8, **NEMOTRON_H_8B),
        131_072,
        4 * 131_072 * 2 * 8 * 128 * 2 + 24 * (128 * 64 * 128 * 4 + (128 * 64 + 2 * 8 * 128) * 3 * 2),
    ),
    (
        "gpt-oss-20b: every second of 24 layers keeps 128 tokens, 8 heads of 64",
        config("gpt_oss", 24, 64, 8, head_dim=64, sliding_window=128),
        131_072,
        (12 * 131_072 + 12 * 128) * 2 * 8 * 64 * 2,
    ),
    (
        "qwen3-next-80b: 12 of 48 layers are attention with 2 heads of 256, 36 are delta nets in bf16",
        config("qwen3_next", 48, 16, 2, **QWEN3_NEXT),
        65_536,
        12 * 65_536 * 2 * 2 * 256 * 2 + 36 * (32 * 128 * 128 * 2 + (2 * 16 * 128 + 32 * 128) * 3 * 2),
    ),
    (
        "gemma-3n-e4b: the last 15 of 35 layers use the caches of earlier ones; of 20, 4 see everything",
        config("gemma3n_text", 35, 8, 2, head_dim=256, sliding_window=512, num_kv_shared_layers=15),
        32_768,
        (4 * 32_768 + 16 * 512) * 2 * 2 * 256 * 2,
    ),
    (
        "gemma-4: its full layers have one head of 512 of their own",
        config(
            *("gemma4_text", 12, 8, 4),
            head_dim=256,
            global_head_dim=512,
            attention_k_eq_v=True,
            num_global_key_value_heads=1,
            sliding_window=512,
        ),
        10_000,
        2 * 10_000 * 2 * 1 * 512 * 2 + 10 * 512 * 2 * 4 * 256 * 2,
    ),
    (
        "mistral-7b-v0.1: a window in every layer",
        config("mistral", 32, 32, 8, sliding_window=4096),
        32_768,
        32 * 4096 * 2 * 8 * 128 * 2,
    ),
    (
        "qwen2.5: a window that is switched off",
        config("qwen2", 28, 28, 4, hidden_size=3584, sliding_window=131_072, use_sliding_window=False),
        200_000,
        28 * 200_000 * 2 * 4 * 128 * 2,
    ),
    (
        "exaone-4-32b: three local layers, then a global one, the last is global",
        config("exaone4", 64, 40, 8, head_dim=128, sliding_window=4096, sliding_window_pattern="LLLG"),
        65_536,
        (16 * 65_536 + 48 * 4096) * 2 * 8 * 128 * 2,
    ),
    (
        "a model pruned layer by layer: 8 heads, none, 4 heads, none",
        config("nemotron-nas", 4, 64, 0, hidden_size=8192, num_key_value_heads=None, block_configs=PRUNED),
        1000,
        1000 * 2 * 128 * 2 * (64 // 8 + 64 // 16),
    ),
    (
        "lfm2-1.2b: 6 of 16 layers are attention with 8 heads of 64, 10 keep 2 inputs of a convolution",
        config(
            *("lfm2", 16, 32, 8),
            hidden_size=2048,
            conv_L_cache=3,
            layer_types=["full_attention" if i in (2, 5, 8, 10, 12, 14) else "conv" for i in range(16)],
        ),
        4096,
        6 * 4096 * 2 * 8 * 64 * 2 + 10 * 2048 * 2 * 2,
    ),
    (
        "jamba-v0.1: attention in one layer of 8, Mamba 1 in the others",
        config(
            *("jamba", 32, 32, 8),
            attn_layer_period=8,
            attn_layer_offset=4,
            mamba_expand=2,
            mamba_d_state=16,
            mamba_d_conv=4,
        ),
        8192,
        4 * 8192 * 2 * 8 * 128 * 2 + 28 * 8192 * (16 + 3) * 2,
    ),
    (
        "granite-4.0-h-small: 4 of 40 layers are attention, 36 Mamba 2",
        config(
            *("granitemoehybrid", 40, 32, 8),
            mamba_n_heads=128,
            mamba_d_head=64,
            mamba_d_state=128,
            mamba_n_groups=1,
            mamba_d_conv=4,
            layer_types=["attention" if i in (5, 15, 25, 35) else "mamba" for i in range(40)],
        ),
        8192,
        4 * 8192 * 2 * 8 * 128 * 2 + 36 * (128 * 64 * 128 * 2 + (128 * 64 + 2 * 128) * 3 * 2),
    ),
    (
        "falcon-h1: attention and Mamba 2 in every layer",
        config(
            *("falcon_h1", 44, 12, 2),
            head_dim=128,
            mamba_n_heads=24,
            mamba_d_head=128,
            mamba_d_ssm=3072,
            mamba_d_state=256,
            mamba_n_groups=2,
            mamba_d_conv=4,
        ),
        8192,
        44 * (8192 * 2 * 2 * 128 * 2 + 24 * 128 * 256 * 2 + (3072 + 2 * 2 * 256) * 3 * 2),
    ),
    (
        "kimi-k2: 61 layers keep one latent of 512 and a rotary key of 64",
        config("kimi_k2", 61, 64, 64, kv_lora_rank=512, qk_rope_head_dim=64),
        131_072,
        131_072 * 61 * (512 + 64) * 2,
    ),
    (
        "minimax-m2: 62 layers, 8 heads of 128",
        config("minimax_m2", 62, 48, 8, head_dim=128),
        100_000,
        100_000 * 62 * 2 * 8 * 128 * 2,
    ),
    (
        "minimax-m2 as published: a list says that every layer sees everything",
        config("minimax_m2", 62, 48, 8, head_dim=128, attn_type_list=[1] * 62),
        100_000,
        100_000 * 62 * 2 * 8 * 128 * 2,
    ),
    (
        "kimi-k2.6: a text model of latents inside one that reads images",
        {"model_type": "kimi_k25", "text_config": config("kimi_k2", 61, 64, 64, kv_lora_rank=512, qk_rope_head_dim=64)},
        262_144,
        262_144 * 61 * (512 + 64) * 2,
    ),
    (
        "glm-5: 78 layers of latents, each with an indexer's key of 128 in fp8 and its scale",
        config("glm_moe_dsa", 78, 64, 64, kv_lora_rank=512, qk_rope_head_dim=64, index_head_dim=128),
        100_000,
        100_000 * 78 * ((512 + 64) * 2 + 128 + 4),
    ),
    (
        "glm-4.7-flash: 47 layers of latents",
        config("glm4_moe_lite", 47, 20, 20, kv_lora_rank=512, qk_rope_head_dim=64),
        100_000,
        100_000 * 47 * (512 + 64) * 2,
    ),
    (
        "nemotron-3-nano: 6 of 52 layers are attention with 2 heads of 128, 23 Mamba 2 with a state in fp32, 23 experts",
        config("nemotron_h", 52, 32, 2, **NEMOTRON_3_NANO),
        262_144,
        6 * 262_144 * 2 * 2 * 128 * 2 + 23 * (64 * 64 * 128 * 4 + (64 * 64 + 2 * 8 * 128) * 3 * 2),
    ),
    (
        "qwen3.5-9b: 8 of 32 layers are attention with 4 heads of 256, 24 are delta nets in bf16",
        {"model_type": "qwen3_5", "text_config": config("qwen3_5_text", 32, 16, 4, **QWEN3_NEXT)},
        65_536,
        8 * 65_536 * 2 * 4 * 256 * 2 + 24 * (32 * 128 * 128 * 2 + (2 * 16 * 128 + 32 * 128) * 3 * 2),
    ),
    (
        "mistral-small-4: 36 layers of latents of 256",
        config("mistral4", 36, 32, 32, kv_lora_rank=256, qk_rope_head_dim=64),
        100_000,
        100_000 * 36 * (256 + 64) * 2,
    ),
    (
        "llama-4-scout: every fourth of 48 layers sees everything, the others chunks of 8,192",
        {
            "model_type": "llama4",
            "text_config": config("llama4_text", 48, 40, 8, head_dim=128, attention_chunk_size=8192),
        },
        100_000,
        (12 * 100_000 + 36 * 8192) * 2 * 8 * 128 * 2,
    ),
    (
        "deepseek-v3: 61 layers of latents",
        config("deepseek_v3", 61, 128, 128, kv_lora_rank=512, qk_rope_head_dim=64),
        163_840,
        163_840 * 61 * (512 + 64) * 2,
    ),
    (
        "glm-4.5-air: 46 layers, 8 heads of 128",
        config("glm4_moe", 46, 96, 8, head_dim=128),
        100_000,
        100_000 * 46 * 2 * 8 * 128 * 2,
    ),
    (
        "phi-4: 40 layers, 10 heads of 128, no window",
        config("phi3", 40, 40, 10, hidden_size=5120, sliding_window=None),
        16_384,
        16_384 * 40 * 2 * 10 * 128 * 2,
    ),
]


@pytest.mark.parametrize(
    ("why", "published", "tokens", "by_hand"), HAND, ids=[hand[0].partition(":")[0] for hand in HAND]
)
def test_the_cache_of_one_sequence(why: str, published: Mapping[str, Any], tokens: int, by_hand: int) -> None:
    """As many bytes as a computation by hand."""
    assert read(published).kv_bytes(tokens) == pytest.approx(by_hand, rel=0.001), why


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemma-2-9b", 1.97 * GIB),
        ("gemma-3-1b", 139 * MIB),
        ("gemma-3-27b, quantised", 10.4 * GIB),
        ("command-r7b", 4.4 * GIB),
        ("nemotron-h-8b", 2.1 * GIB),
    ],
)
def test_caches_that_were_once_wrong_by_up_to_thirteen_times(name: str, expected: float) -> None:
    """The sizes that others measured."""
    (tokens, by_hand) = next(hand[2:] for hand in HAND if hand[0].startswith(f"{name}:"))
    published = next(hand[1] for hand in HAND if hand[0].startswith(f"{name}:"))
    assert read(published).kv_bytes(tokens) == pytest.approx(expected, rel=0.01)
    assert by_hand == pytest.approx(expected, rel=0.01)


def test_keys_the_file_leaves_out_are_the_configuration_classs() -> None:
    """Gemma 3 leaves vocabulary and context out of its file."""
    text = config("gemma3_text", 34, 8, 4, sliding_window=1024)
    del text["vocab_size"], text["max_position_embeddings"]
    shape = read({"model_type": "gemma3", "text_config": text})
    assert (shape.vocab, shape.context) == (262_208, 131_072)
    assert shape.kv_bytes(100_000) == (5 * 100_000 + 29 * 1024) * 2 * 4 * 256 * 2


@pytest.mark.parametrize("name", ["nemotron-h-8b", "jamba-v0.1", "granite-4.0-h-small"])
def test_state_space_layers_go_by_a_newer_name_too(name: str) -> None:
    """transformers saves them all as "linear_attention"."""
    published = dict(next(hand[1] for hand in HAND if hand[0].startswith(name)))
    kinds = layer_kinds(ModelConfig(published, {}))
    newer = {"mamba 2": "linear_attention", "mamba 1": "linear_attention", "full": "full_attention", "nothing": "mlp"}
    saved = published | {"layer_types": [newer[kind] for kind in kinds], "hybrid_override_pattern": None}
    assert read(saved).kv_bytes(4096) == read(published).kv_bytes(4096)


def test_an_older_name_in_the_file_comes_before_a_default() -> None:
    """Nemotron-H files say `attention_head_dim` where the configuration class has `head_dim`."""
    published = config("nemotron_h", 52, 32, 8, **NEMOTRON_H_8B | {"attention_head_dim": 64})
    growth = read(published).kv_bytes(1616) - read(published).kv_bytes(16)
    assert growth == 1600 * 4 * 2 * 8 * 64 * 2


def test_states_are_split_over_gpus_and_do_not_grow() -> None:
    """A Mamba layer keeps as much for one token as for many, a quarter of it on each of 4 GPUs."""
    published = config("nemotron_h", 52, 32, 8, **NEMOTRON_H_8B)
    one, many = read(published).kv_bytes(16), read(published).kv_bytes(16_016)
    assert many - one == 16_000 * 4 * 2 * 8 * 128 * 2
    assert read(published).kv_bytes(16, 4) == pytest.approx(one / 4, rel=0.01)


@pytest.mark.parametrize(
    "published",
    [
        config("spiral", 32, 32, 8),
        config("llama", 32, 32, 8, attention_type="spiral"),
        config("llama", 4, 32, 8, layer_types=["spiral_attention"] * 4),
        config("llama", 32, 32, 8, mamba_d_state=16),
        config("qwen3", 4, 32, 8, layer_types=["linear_attention"] * 4),
        config("nemotron_h", 4, 32, 8, hybrid_override_pattern="M*?-"),
        config("nemotron_h", 52, 32, 8),
        config("gemma3_text", 4, 32, 8, layer_types=["full_attention"] * 3),
        config("kimi_linear", 27, 32, 32, kv_lora_rank=512, qk_rope_head_dim=64),
        config("llama", 32, 32, 8, kv_lora_rank=512),
        config("llama", 32, 32, 8, num_key_value_heads=[8] * 32),
        config("", 32, 32, 8),
        config("llama", 32, 32, 8, block_configs=[]),
        config("minimax_m2", 4, 48, 8, attn_type_list=[0, 1, 1, 1]),
        config("llama", 4, 48, 8, attn_type_list=[1, 1, 1, 1]),
        config("nemotron_h", 4, 32, 8, layers_block_type=["moe"] * 4),
        config("gemma3n_text", 35, 8, 2, num_kv_shared_layers=35),
    ],
)
def test_unknown_attention_is_no_number(published: Mapping[str, Any]) -> None:
    """Whatever the shape around it."""
    with pytest.raises(UnknownArchitectureError):
        read(published)


def folder_with(folder: Path, published: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(published))
    write_safetensors(folder / "model.safetensors", 1 << 20)
    return folder


@pytest.mark.parametrize(
    "published",
    [
        config("llama", 32, 32, 8, intermediate_size={"a": 1}),
        config("llama", 32, 32, 8, hidden_size=[4096]),
        {"model_type": "gemma3", "text_config": None},
        {"model_type": "gemma3", "text_config": [1]},
        config("llama", 32, 32, 8, quantization_config=[1], vocab_size="32000"),
        config("llama", 10**30, 32, 8),
        config("llama", 32, 0, 8),
        config("llama", 32, 32, 8, max_position_embeddings=1e400),
        [1, 2],
        None,
        "llama",
    ],
)
async def test_an_odd_config_cannot_be_judged_and_is_served_all_the_same(tmp_path: Path, published: Any) -> None:
    """`fit` says so, and `serve` leaves the verdict to vLLM."""
    folder = folder_with(tmp_path / "odd", published)
    with pytest.raises(NotAModelError, match="cannot be judged"):
        await footprint(str(folder), environ={}, guard=GUARD)
    assert split_args(folder, [Box(80 * GIB, gpus=4)], Wish(8192, 1)) == ()
    assert (await weights.prepare(str(folder), notice=print, environ={}, guard=GUARD)).path == folder


async def test_a_width_for_each_layer_is_no_fault(tmp_path: Path) -> None:
    """Gemma 3n lists the inner width layer by layer; a null `text_config` is none."""
    published = config("gemma3n_text", 35, 8, 2, intermediate_size=[16_384] * 35, text_config=None)
    found = await footprint(str(folder_with(tmp_path / "m", published)), environ={}, guard=GUARD)
    assert found.architecture.widest == 16_384


KEYS = sorted({key for _, published, _, _ in HAND for key in (*published, *published.get("text_config", ()))})
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 200)
    | st.sampled_from([10**40, -1, 2**40, 1e308, float("inf"), float("nan")])
    | st.sampled_from(["", "auto", "M*-", "LG", "full_attention", "float32", "gemma3_text", "nemotron_h", "\ud800"])
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from([dict(published) for _, published, _, _ in HAND]),
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), ODD, max_size=6),
    st.sets(st.sampled_from(KEYS), max_size=4),
)
def test_no_config_ends_in_a_traceback(published: dict[str, Any], odd: dict[str, Any], missing: set[str]) -> None:
    """Missing keys, nulls, lists, strings, huge numbers: a verdict, or a refusal."""
    changed = {key: value for key, value in (published | odd).items() if key not in missing}
    try:
        shape = read(changed)
    except UnknownArchitectureError:
        return
    model = Footprint("odd", shape, 1 << 30, "bf16")
    assert judge(model, Box(80 * GIB, gpus=4), Wish(8192, 4)).reasons


PACKING = ("quant_method", "quant_algo", "format", "config_groups", "bits", "num_bits", "weights", "type")
ODD_PACKING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(PACKING), inner, max_size=4),
    max_leaves=10,
)


@given(ODD_PACKING)
def test_any_quantisation_has_a_name_or_none(anything: Any) -> None:
    """Lists, numbers and strings where an object should be."""
    assert packing_of(anything) is None or isinstance(packing_of(anything), str)


@given(ODD)
def test_any_json_is_read_or_refused(anything: Any) -> None:
    """Also what is no object."""
    with pytest.raises(UnknownArchitectureError):
        read(anything)
