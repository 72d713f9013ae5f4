"""Whether a model fits: needs agree with a computation by hand from the published configuration, verdicts say why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_models.facts.architecture import UnknownArchitectureError, read
from local_models.facts.catalogue import catalogue
from local_models.facts.fit import GIB, Box, Footprint, Wish, judge, splits
from local_models.facts.footprint import footprint, of_entry, split_args
from tests.fakes.guard import GUARD
from tests.local_models.weights.safetensors import write_safetensors


def model(name: str) -> Footprint:
    entry = catalogue().find(name)
    assert entry is not None
    return of_entry(entry)


# By hand, each from the published config.json. `cache`: bytes on one GPU for one sequence of `tokens`, 2 bytes a number.


def test_llama_3_1_8b_grouped_query() -> None:
    """32 layers, 8 key-value heads of 128: key and value, 2 bytes each: 131,072 bytes for a token."""
    per_token = 2 * 32 * 8 * 128 * 2
    assert per_token == 131_072
    weights = 8_030_261_248 * 2
    need = judge(model("llama-3.1-8b"), Box(24 * GIB), Wish(8192, 4)).need
    assert (need.weights, need.cache) == (weights, 4 * 8192 * per_token)
    assert need.cache == 4 * GIB


# (name, weights, bytes of cache of one sequence of 8,192 tokens): parameters x bytes, and layers x (key and value) x heads x
# size x 2 bytes x tokens, with each model's own exceptions.
T = 8192
NEEDS = [
    ("llama-3.2-1b", 2 * 1_235_814_400, 16 * 2 * 8 * 64 * 2 * T),
    ("llama-3.2-3b", 2 * 3_212_749_824, 28 * 2 * 8 * 128 * 2 * T),
    ("llama-3.3-70b", 2 * 70_553_706_496, 80 * 2 * 8 * 128 * 2 * T),
    ("llama-4-scout", 2 * 108_641_793_536, (12 + 36) * 2 * 8 * 128 * 2 * T),
    ("deepseek-v3.1", 688_586_727_753, 61 * (512 + 64) * 2 * T),
    ("deepseek-r1-distill-14b", 2 * 14_770_033_664, 48 * 2 * 8 * 128 * 2 * T),
    ("qwen3-4b", 2 * 4_022_468_096, 36 * 2 * 8 * 128 * 2 * T),
    ("qwen3-8b", 2 * 8_190_735_360, 36 * 2 * 8 * 128 * 2 * T),
    ("qwen3-32b", 2 * 32_762_123_264, 64 * 2 * 8 * 128 * 2 * T),
    ("qwen3-30b-a3b", 2 * 30_532_122_624, 48 * 2 * 4 * 128 * 2 * T),
    ("qwen3-next-80b-a3b", 2 * 79_674_391_296, 12 * 2 * 2 * 256 * 2 * T + 36 * (32 * 128 * 128 + 8192 * 3) * 2),
    ("gemma-3-4b", 2 * 4_300_079_472, (5 * T + 29 * 1024) * 2 * 4 * 256 * 2),
    ("gemma-3-12b", 2 * 12_187_325_040, (8 * T + 40 * 1024) * 2 * 8 * 256 * 2),
    ("gemma-3-27b", 2 * 27_432_406_640, (10 * T + 52 * 1024) * 2 * 16 * 128 * 2),
    ("mistral-nemo-12b", 2 * 12_247_782_400, 40 * 2 * 8 * 128 * 2 * T),
    ("mistral-small-24b", 2 * 23_572_403_200, 40 * 2 * 8 * 128 * 2 * T),
    ("gpt-oss-20b", 19_110_297_600 * 17 // 32 + 2 * 1_804_459_584, 12 * (T + 128) * 2 * 8 * 64 * 2),
    ("gpt-oss-120b", 114_661_785_600 * 17 // 32 + 2 * 2_167_371_072, 18 * (T + 128) * 2 * 8 * 64 * 2),
    (
        "nemotron-nano-9b-v2",
        2 * 8_888_227_328,
        4 * 2 * 8 * 128 * 2 * T + 27 * (128 * 80 * 128 * 4 + (128 * 80 + 2 * 8 * 128) * 3 * 2),
    ),
    (
        "nemotron-3-nano-30b-a3b",
        2 * 31_577_940_288,
        6 * 2 * 2 * 128 * 2 * T + 23 * (64 * 64 * 128 * 4 + (64 * 64 + 2 * 8 * 128) * 3 * 2),
    ),
    ("command-r7b", 2 * 8_028_033_024, (8 * T + 24 * 4096) * 2 * 8 * 128 * 2),
    ("phi-4", 2 * 14_659_507_200, 40 * 2 * 10 * 128 * 2 * T),
    ("phi-4-mini", 2 * 3_836_021_760, 32 * 2 * 8 * 128 * 2 * T),
    ("glm-4.5-air", 2 * 110_468_824_832, 46 * 2 * 8 * 128 * 2 * T),
    ("kimi-k2", 1_026_408_232_448 + 2_514_000_000, 61 * (512 + 64) * 2 * T),
    ("minimax-m2", 227_410_968_576 + 2 * 1_229_193_216, 62 * 2 * 8 * 128 * 2 * T),
]


@pytest.mark.parametrize(("name", "weights", "cache"), NEEDS, ids=[need[0] for need in NEEDS])
def test_the_memory_a_model_needs_agrees_with_a_computation_by_hand(name: str, weights: int, cache: int) -> None:
    """Within a hundredth, for one sequence and for sixteen; the estimate of what is beside them is said apart."""
    for sequences in (1, 16):
        need = judge(model(name), Box(200 * GIB), Wish(T, sequences)).need
        assert need.weights + need.cache == pytest.approx(weights + sequences * cache, rel=0.01)
        assert need.total == need.weights + need.cache + need.overhead


@pytest.mark.parametrize(
    ("quantization", "dtype"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}}, "int4"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, "nvfp4"),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "float-quantized",
                "config_groups": {"g": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
        ({"quant_method": "bitsandbytes"}, "bitsandbytes"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
    ],
)
async def test_quantised_weights_are_as_large_as_their_files(
    tmp_path: Path, quantization: dict[str, Any], dtype: str
) -> None:
    """Whatever the packing: the files say how large, and the cache keeps the type of its own."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": quantization}))
    write_safetensors(tmp_path / "model.safetensors", 123_456)
    found = await footprint(str(tmp_path), environ={}, guard=GUARD)
    assert (found.weights, found.dtype) == (123_456, dtype)
    assert judge(found, Box(8 * GIB), Wish(160, 1)).need.cache == 4 * 2 * 2 * 16 * 2 * 160


def test_llama_3_2_1b_grouped_query_with_small_heads() -> None:
    """16 layers, 8 key-value heads of 64: 32,768 bytes for a token."""
    per_token = 2 * 16 * 8 * 64 * 2
    need = judge(model("llama-3.2-1b"), Box(8 * GIB), Wish(131_072, 1)).need
    assert (need.weights, need.cache) == (1_235_814_400 * 2, 131_072 * per_token)
    assert need.cache == 4 * GIB


def test_llama_3_3_70b_over_four_gpus() -> None:
    """80 layers, 8 heads of 128, two of them on each of 4 GPUs: 81,920 bytes for a token and GPU."""
    per_token = 2 * 80 * (8 // 4) * 128 * 2
    verdict = judge(model("llama-3.3-70b"), Box(80 * GIB, gpus=4), Wish(32_768, 8))
    assert verdict.tensor_parallel == 4
    assert verdict.need.weights == 70_553_706_496 * 2 // 4
    assert verdict.need.cache == 8 * 32_768 * per_token == 20 * GIB


def test_llama_4_scout_keeps_chunks_in_three_layers_of_four() -> None:
    """48 layers, 12 see everything and 36 the last 8,192 tokens; 8 heads of 128, one on each of 8 GPUs."""
    per_layer = 2 * (8 // 8) * 128 * 2
    by_hand = (12 * 100_000 + 36 * 8192) * per_layer
    verdict = judge(model("llama-4-scout"), Box(40 * GIB, gpus=8), Wish(100_000, 2))
    assert verdict.tensor_parallel == 8
    assert verdict.need.cache == 2 * by_hand


def test_deepseek_v3_1_latent_attention() -> None:
    """61 layers keep one latent of 512 and one rotary key of 64 for all heads, and every GPU keeps them whole."""
    per_token = 61 * (512 + 64) * 2
    assert per_token == 70_272
    verdict = judge(model("deepseek-v3.1"), Box(141 * GIB, gpus=8), Wish(16_384, 8))
    assert verdict.tensor_parallel == 8
    assert verdict.need.weights == -(-688_586_727_753 // 8)
    assert verdict.need.cache == 8 * 16_384 * per_token
    assert any("every GPU keeps all of it" in reason for reason in verdict.reasons)


def test_deepseek_v3_2_keeps_the_indexers_keys_too() -> None:
    """Beside the latent one fp8 key of 128 with a 4-byte scale in each of 61 layers."""
    per_token = 61 * (512 + 64) * 2 + 61 * (128 + 4)
    shape = model("deepseek-v3.2").architecture
    assert shape.kv_bytes(1000) == 1000 * per_token


def test_deepseek_v4_flash_compressed_attention() -> None:
    """43 layers keep 128 tokens; 21 one state for 4 tokens, 20 one for 128; beside it what waits to be compressed."""
    tokens = 128_000
    window = 43 * 128 * 584
    near = 21 * (tokens // 4) * (584 + 132)
    far = 20 * (tokens // 128) * 584
    waiting = 21 * 8 * 4 * (2 * 2 * 512 + 2 * 2 * 128) + 20 * 128 * 4 * (2 * 512)
    assert model("deepseek-v4-flash").architecture.kv_bytes(tokens, 8) == window + near + far + waiting


def test_r1_distill_14b_and_its_fp8_cache() -> None:
    """48 layers, 8 heads of 5120 / 40 = 128; the cache in one byte a number is half as large."""
    per_token = 2 * 48 * 8 * 128
    shape = model("deepseek-r1-distill-14b").architecture
    assert shape.kv_bytes(512) == 512 * per_token * 2
    assert shape.kv_bytes(512, width=1) == 512 * per_token


def test_what_fits_says_how_much_more_would() -> None:
    """The longest context at this concurrency and the most at once of this context are both true bounds."""
    llama, box = model("llama-3.1-8b"), Box(24 * GIB)
    verdict = judge(llama, box, Wish(8192, 2))
    assert verdict.fits
    assert judge(llama, box, Wish(verdict.max_context, 2)).fits
    assert not judge(llama, box, Wish(verdict.max_context + 16, 2)).fits
    assert judge(llama, box, Wish(8192, verdict.max_concurrency)).fits
    assert not judge(llama, box, Wish(8192, verdict.max_concurrency + 1)).fits


def test_what_does_not_fit_says_by_how_much_and_what_would_do() -> None:
    """The first sentence is the verdict, the last the way out."""
    verdict = judge(model("llama-3.3-70b"), Box(80 * GIB), Wish(8192, 16))
    assert not verdict.fits
    assert verdict.smallest == 4
    assert verdict.reasons[0].startswith("llama-3.3-70b does not fit 1 GPU: it needs 174.")
    assert verdict.reasons[-2:] == ("the weights alone leave no room for a cache", "4 GPUs of this size would do")


def test_a_smaller_wish_is_proposed_where_only_the_cache_is_too_large() -> None:
    """Not the model but the wish is too large."""
    verdict = judge(model("llama-3.1-8b"), Box(24 * GIB), Wish(65_536, 4))
    assert not verdict.fits
    assert 0 < verdict.max_context < 65_536
    assert any(reason.startswith("longest context for 4 at once") for reason in verdict.reasons)


def test_more_context_than_the_model_has_is_refused_whatever_the_memory() -> None:
    """Memory does not lengthen a model's context."""
    verdict = judge(model("smollm2-135m"), Box(80 * GIB), Wish(32_768, 1))
    assert not verdict.fits
    assert verdict.smallest is None
    assert "more than the 8,192 it was made for" in verdict.reasons[0]


def test_the_fewest_gpus_that_do_are_taken() -> None:
    """A model is not spread over GPUs it does not need."""
    assert judge(model("llama-3.2-1b"), Box(80 * GIB, gpus=8), Wish(8192, 4)).tensor_parallel == 1


@pytest.mark.parametrize(("name", "sizes"), [("smollm2-135m", [1, 3, 9]), ("deepseek-r1-distill-7b", [1, 2, 4, 28])])
def test_a_model_is_split_only_where_its_heads_divide(name: str, sizes: list[int]) -> None:
    """9 heads over 3, 28 over 4: vLLM refuses the rest."""
    assert splits(model(name).architecture) == sizes


def test_heads_are_kept_twice_beyond_their_number() -> None:
    """16 GPUs share 8 key-value heads: each GPU still keeps one."""
    shape = model("llama-3.3-70b").architecture
    assert shape.kv_bytes(16, 16) == shape.kv_bytes(16, 8)


def test_a_cpu_has_no_gpu_overhead_and_no_advice_about_gpus() -> None:
    """Judged by the machine's memory."""
    verdict = judge(model("llama-3.3-70b"), Box(16 * GIB, cpu=True), Wish(2048, 1))
    assert not verdict.fits
    assert verdict.smallest is None
    assert not any("GPU" in reason for reason in verdict.reasons)


def test_a_folder_too_large_for_one_gpu_is_split(tmp_path: Path) -> None:
    """vLLM's flag, as small as will do; none where one GPU is enough."""
    entry = catalogue().find("llama-3.3-70b")
    assert entry is not None
    (tmp_path / "config.json").write_text(json.dumps(dict(entry.config)))
    write_safetensors(tmp_path / "model.safetensors", entry.weight_bytes)
    wish = Wish(8192, 1)
    assert split_args(tmp_path, [Box(80 * GIB, gpus=8)], wish) == ("--tensor-parallel-size", "2")
    assert split_args(tmp_path, [Box(80 * GIB, gpus=8)], Wish(8192, 16)) == ("--tensor-parallel-size", "4")
    assert split_args(tmp_path, [Box(200 * GIB, gpus=8)], wish) == ()
    assert split_args(tmp_path, [Box(8 * GIB, gpus=2)], wish) == ("--tensor-parallel-size", "2")
    assert split_args(tmp_path, [Box(200 * GIB), Box(80 * GIB, gpus=4)], wish) == ()
    assert split_args(tmp_path, [Box(100 * GIB), Box(80 * GIB, gpus=4)], wish) == ("--tensor-parallel-size", "2")
    assert split_args(tmp_path / "nowhere", [Box(80 * GIB, gpus=8)], wish) == ()


CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 1000,
}


def test_sliding_layers_keep_their_window() -> None:
    """As listed layer by layer."""
    kinds = ["sliding_attention", "full_attention"] * 2
    shape = read({**CONFIG, "sliding_window": 32, "layer_types": kinds})
    assert shape.kv_bytes(320) == (2 * 320 + 2 * 32) * 2 * 2 * 16 * 2


def test_a_multimodal_config_is_read_by_its_text_part() -> None:
    """`text_config` wins over what stands around it."""
    assert read({"model_type": "x", "hidden_size": 1, "text_config": CONFIG}).hidden == 64


@pytest.mark.parametrize("change", [{"mamba_d_state": 16}, {"layer_types": ["linear_attention"] * 4}])
def test_an_attention_it_does_not_know_is_refused(change: dict[str, Any]) -> None:
    """No verdict is better than a wrong one."""
    with pytest.raises(UnknownArchitectureError):
        read({**CONFIG, **change})


def test_a_config_without_what_is_needed_is_refused() -> None:
    """It says what is missing."""
    with pytest.raises(UnknownArchitectureError, match="num_hidden_layers"):
        read({key: value for key, value in CONFIG.items() if key != "num_hidden_layers"})
