"""The caches of a model's layers, by its own configuration: pure arithmetic, as vLLM 0.32 lays them out.

Each layer has a kind; each kind has a cache. The kinds are listed in the file (`layer_types`,
`hybrid_override_pattern`), or follow from the rule of the model's configuration class in transformers. A model type that
is not in the tables below is refused: no verdict is better than a wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from local_models.facts.config import ModelConfig, UnknownArchitectureError, whole

FULL, SLIDING, CHUNKED, NOTHING = "full", "sliding", "chunked", "nothing"
MAMBA, MAMBA_1, DELTA, CONV = "mamba 2", "mamba 1", "delta net", "convolution"

# Names of kinds in the files, of today and of before.
_KINDS = {
    "full_attention": FULL,
    "attention": FULL,
    "global_attention": FULL,
    "sliding_attention": SLIDING,
    "chunked_attention": CHUNKED,
    "linear_attention": DELTA,
    "mamba": MAMBA,
    "mamba2": MAMBA,
    "conv": CONV,
    "mlp": NOTHING,
    "moe": NOTHING,
}
# transformers now writes "linear_attention" for every kind of state-space layer.
_NAMED_ALIKE = {
    "nemotron_h": {"linear_attention": MAMBA},
    "granitemoehybrid": {"linear_attention": MAMBA},
    "bamba": {"linear_attention": MAMBA},
    "jamba": {"linear_attention": MAMBA_1, "mamba": MAMBA_1},
}
_LETTERS = {"M": MAMBA, "*": FULL, "-": NOTHING, "E": NOTHING}  # Nemotron-H's hybrid_override_pattern

# Models whose layers all keep grouped-query caches, with a window where the file has one.
_GROUPED_NAMES = """
    apertus arcee baichuan cohere deci dots1 ernie4_5 ernie4_5_moe exaone gemma glm glm4 glm4_moe glm4v_moe_text glm4v_text
    gpt_neox granite granitemoe granitemoeshared hunyuan_v1_dense hunyuan_v1_moe internlm2 internlm3 llama llama4 llama4_text
    minimax_m2 ministral ministral3 mistral mistral3 mixtral nemotron nemotron-nas olmo olmo2 olmoe orion persimmon phi phi3
    phi4_multimodal phi4mm phimoe qwen2 qwen2_5_omni_text qwen2_5_vl qwen2_5_vl_text qwen2_moe qwen2_vl qwen2_vl_text qwen3
    qwen3_moe qwen3_omni_moe_text qwen3_vl_moe_text qwen3_vl_text seed_oss smollm3 solar stablelm starcoder2
"""
_LATENT_NAMES = """
    deepseek_v2 deepseek_v3 deepseek_v32 deepseek_vl_v2 glm4_moe_lite glm_moe_dsa kimi_k2 longcat_flash minicpm3 mistral4
"""
_GROUPED, _LATENT = frozenset(_GROUPED_NAMES.split()), frozenset(_LATENT_NAMES.split())
# Models whose kinds of layers alternate: one full layer in so many.
_EVERY = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3_text": 6,
    "gemma3n_text": 5,
    "gemma4_text": 6,
    "gpt_oss": 2,
    "olmo3": 4,
    "qwen3_next": 4,
    "qwen3_5_text": 4,
    "qwen3_5_moe_text": 4,
}
_DELTA_MODELS = frozenset({"qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"})
_LISTED = frozenset({"nemotron_h", "granitemoehybrid", "bamba", "jamba", "lfm2", "lfm2_moe", "falcon_h1"})
KNOWN = _GROUPED | _LATENT | _EVERY.keys() | _LISTED | {"deepseek_v4"}

# What the configuration classes in transformers say of keys that published files leave out.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
        "num_attention_heads": 8,
        "head_dim": 256,
        "num_key_value_heads": 4,
        "sliding_window": 4096,
    },
    "gemma2": {"sliding_window": 4096, "head_dim": 256},
    "gemma3n_text": {"sliding_window": 512, "head_dim": 256, "num_kv_shared_layers": 15},
    "gemma4_text": {"sliding_window": 512, "head_dim": 256, "global_head_dim": 512},
    "cohere2": {"sliding_window": 4096},
    "gpt_oss": {"sliding_window": 128, "head_dim": 64},
    "nemotron_h": {"head_dim": 128, "n_groups": 8, "conv_kernel": 4, "ssm_state_size": 128},
}

_INDEX_BLOCK = (
    128  # DeepSeek's indexer keeps its keys in fp8 with a 4-byte scale per 128 numbers, whatever the cache's type
)
_CHUNKED_EVERY = 4  # Llama 4 without a written-out list: every fourth layer sees everything
_PACKED = 584  # bytes of one compressed state of DeepSeek V4: 448 fp8, 64 bf16 and 8 of scales
_FP32, _BF16 = 4, 2

# Keys of attentions that no rule here covers, whatever the model type, and those of state-space models alone.
_FOREIGN = (
    *("compress_ratios", "compress_rates", "linear_attn_config", "attention_other_setting", "attn_type_list"),
    *("hybrid_layer_pattern", "layer_group_size", "attention_type", "attention_kind"),
)
_STATEFUL = (
    *("mamba_d_state", "ssm_state_size", "linear_num_key_heads", "layers_block_type", "hybrid_override_pattern"),
    *("conv_L_cache", "mamba_num_heads"),
)


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers that cache alike.

    numbers: cached per token and layer by one head (key and value), or by the layer where all heads share it.
    heads: key-value heads, which tensor parallelism divides; 1 where every GPU keeps its own full copy.
    reach: tokens a layer keeps; None: all.
    stride: tokens that share one cached state.
    width: bytes of one number where it does not follow the cache's type.
    once: one state for the whole sequence (state-space layers), however long it is.
    """

    layers: int
    numbers: int
    heads: int = 1
    reach: int | None = None
    stride: int = 1
    width: int | None = None
    once: bool = False

    def per_state(self, tensor_parallel: int, width: int) -> int:
        """Bytes one cached state takes on one GPU, all layers of the group together."""
        return self.layers * self.numbers * max(1, self.heads // tensor_parallel) * (self.width or width)

    def states(self, tokens: int) -> int:
        """Number of states that a sequence of `tokens` keeps."""
        if self.once:
            return 1
        return -(-(tokens if self.reach is None else min(tokens, self.reach)) // self.stride)


def kv_groups(config: ModelConfig) -> tuple[KvGroup, ...]:
    """At least one group. Raises UnknownArchitectureError for attention that is not computed here."""
    groups = tuple(group for group in _groups(config) if group.layers and group.numbers)
    if not groups:
        raise UnknownArchitectureError("its config.json describes no layer that keeps a cache")
    return groups


def _groups(config: ModelConfig) -> Sequence[KvGroup]:
    if config.model_type not in KNOWN:
        raise UnknownArchitectureError(f"its attention ({config.model_type or 'no model_type'}) is not known here")
    if config.model_type == "deepseek_v4":
        return _compressed(config)
    plain = config.model_type not in _LISTED | _DELTA_MODELS
    foreign = [key for key in (*_FOREIGN, *(_STATEFUL if plain else ())) if config.value(key)]
    if config.model_type == "minimax_m2" and set(map(str, config.listed("attn_type_list") or ())) <= {"1"}:
        foreign = [key for key in foreign if key != "attn_type_list"]  # 1 is full attention; 0 was their linear one
    if foreign:
        raise UnknownArchitectureError(f"its attention ({foreign[0]}) keeps a cache that is not computed here")
    if config.model_type in _LATENT:
        return _latent(config)
    if config.listed("block_configs") is not None:
        return _blocks(config)
    if config.optional("kv_lora_rank"):
        raise UnknownArchitectureError(f"{config.model_type} with a latent cache is not known here")
    kinds = layer_kinds(config)
    if shared := config.optional("num_kv_shared_layers"):
        kinds = kinds[: max(0, len(kinds) - shared)]  # the last layers use the caches of earlier ones
    counts = Counter(kinds)
    groups = list(_attention(config, counts))
    for kind, states in _STATES.items():
        if counts[kind]:
            groups += states(config, counts[kind])
    return groups


# -- the kind of each layer


def layer_kinds(config: ModelConfig) -> list[str]:
    """One kind for each layer (two for a layer that has two caches)."""
    layers = config.layers
    if config.model_type == "falcon_h1":
        return [FULL, MAMBA] * layers
    if listed := config.listed("layer_types") or config.listed("layers_block_type"):
        names = _KINDS | _NAMED_ALIKE.get(config.model_type, {})
        kinds = [names.get(kind, "") if isinstance(kind, str) else "" for kind in listed]
        return _checked(config, kinds)
    pattern = config.value("hybrid_override_pattern")
    if isinstance(pattern, str) and config.model_type == "nemotron_h":
        return _checked(config, [_LETTERS.get(letter, "") for letter in pattern])
    if config.model_type in ("bamba", "jamba"):
        return _attention_among(config, MAMBA if config.model_type == "bamba" else MAMBA_1)
    if config.model_type in _LISTED:
        raise UnknownArchitectureError("its config.json does not list the kinds of its layers")
    if config.model_type in _EVERY:
        return _alternating(config)
    if config.optional("attention_chunk_size"):
        listed = config.listed("no_rope_layers") or [int((i + 1) % _CHUNKED_EVERY != 0) for i in range(layers)]
        return _checked(config, [CHUNKED if rotary else FULL for rotary in listed])
    if not config.optional("sliding_window") or not config.flag("use_sliding_window", True):
        return [FULL] * layers
    wide = 0
    if config.model_type.startswith("qwen"):  # the first layers see everything
        wide = min(layers, config.optional("max_window_layers") or 0)
    return [FULL] * wide + [SLIDING] * (layers - wide)


def _checked(config: ModelConfig, kinds: list[str]) -> list[str]:
    if "" in kinds:
        raise UnknownArchitectureError("its config.json names kinds of layers that are not known here")
    if len(kinds) != config.layers:
        raise UnknownArchitectureError(f"its config.json lists {len(kinds)} layers and has {config.layers}")
    return kinds


def _alternating(config: ModelConfig) -> list[str]:
    """One full layer in so many, the last of each turn: the published pattern, or the configuration class's own."""
    narrow = DELTA if config.model_type in _DELTA_MODELS else SLIDING
    pattern = config.value("sliding_window_pattern")
    if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        kinds = [SLIDING if pattern[i % len(pattern)] == "L" else FULL for i in range(config.layers)]
        return [*kinds[:-1], FULL]
    every = config.optional("sliding_window_pattern", "full_attention_interval") or _EVERY[config.model_type]
    if narrow is SLIDING and not config.optional("sliding_window"):
        return [FULL] * config.layers
    kinds = [FULL if (i + 1) % every == 0 else narrow for i in range(config.layers)]
    if config.model_type == "gemma4_text":
        kinds[-1] = FULL
    return kinds


def _attention_among(config: ModelConfig, others: str) -> list[str]:
    """Attention in the layers listed, or in one of each period; state-space layers else."""
    listed = config.listed("attn_layer_indices")
    if listed is not None:
        where = {whole(index, "attn_layer_indices") for index in listed}
        return [FULL if i in where else others for i in range(config.layers)]
    if others == MAMBA:
        return [others] * config.layers
    period, offset = config.number("attn_layer_period"), config.optional("attn_layer_offset") or 0
    return [FULL if i % period == offset else others for i in range(config.layers)]


# -- the cache of each kind


def heads_of(config: ModelConfig) -> tuple[int, int, int]:
    """(attention heads, key-value heads, numbers of one head)."""
    heads = config.number("num_attention_heads")
    listed = config.value("num_key_value_heads")
    if isinstance(listed, list | tuple):
        raise UnknownArchitectureError("its heads differ from layer to layer in a way that is not known here")
    dim = config.optional("head_dim", "attention_head_dim", "kv_channels") or config.number("hidden_size") // heads
    if not dim:
        raise UnknownArchitectureError("its heads have no size")
    return heads, config.optional("num_key_value_heads") or heads, dim


def _attention(config: ModelConfig, counts: Mapping[str, int]) -> Sequence[KvGroup]:
    if not any(counts[kind] for kind in (FULL, SLIDING, CHUNKED)):
        return ()
    _, kv_heads, dim = heads_of(config)
    full_heads, full_dim = kv_heads, dim
    if config.model_type == "gemma4_text":  # its full layers have heads of their own
        full_dim = config.number("global_head_dim")
        if config.flag("attention_k_eq_v", False):
            full_heads = config.optional("num_global_key_value_heads") or kv_heads
    groups = [KvGroup(counts[FULL], 2 * full_dim, full_heads)]
    if counts[SLIDING]:
        groups.append(KvGroup(counts[SLIDING], 2 * dim, kv_heads, config.number("sliding_window")))
    if counts[CHUNKED]:
        groups.append(KvGroup(counts[CHUNKED], 2 * dim, kv_heads, config.number("attention_chunk_size")))
    return groups


def _blocks(config: ModelConfig) -> tuple[KvGroup, ...]:
    """Models pruned layer by layer (Nemotron-NAS): each block says how many heads share a key, or has no attention."""
    heads, _, dim = heads_of(config)
    counts = Counter[int]()
    blocks = config.listed("block_configs") or []
    if len(blocks) != config.layers:
        raise UnknownArchitectureError(f"its config.json has {config.layers} layers and {len(blocks)} block_configs")
    for block in blocks:
        attention = block.get("attention") if isinstance(block, Mapping) else None
        if not isinstance(attention, Mapping) or attention.get("replace_with_linear"):
            if isinstance(attention, Mapping):
                continue
            raise UnknownArchitectureError("its block_configs are not the ones computed here")
        if attention.get("no_op"):
            continue
        kv_heads = attention.get("num_key_value_heads")
        if kv_heads is None:
            kv_heads = heads // max(1, whole(attention.get("n_heads_in_group"), "n_heads_in_group"))
        counts[max(1, whole(kv_heads, "num_key_value_heads"))] += 1
    return tuple(KvGroup(layers, 2 * dim, kv_heads) for kv_heads, layers in sorted(counts.items()))


def _latent(config: ModelConfig) -> tuple[KvGroup, ...]:
    """One latent vector and one rotary key per token and layer, shared by all heads: each GPU keeps them whole."""
    layers = config.layers * (2 if config.model_type == "longcat_flash" else 1)  # LongCat: two attentions in each layer
    main = KvGroup(layers, config.number("kv_lora_rank") + config.number("qk_rope_head_dim"))
    index = config.optional("index_head_dim")
    return (main, KvGroup(layers, _index_key(index), width=1)) if index else (main,)


def _compressed(config: ModelConfig) -> tuple[KvGroup, ...]:
    """DeepSeek V4: every layer keeps a window, and most one state for 4 tokens (with an indexer's key) or for 128.

    Beside its states a compressing layer keeps what it is about to compress, in fp32: keys and scores of the last
    `ratio` tokens, of twice as many and twice as wide where windows overlap (ratio 4). Every GPU keeps its own copy.
    """
    layers, head_dim, index = config.layers, config.number("head_dim"), config.number("index_head_dim")
    ratios = list(islice(config.listed("compress_ratios") or [], layers))
    near, far = ratios.count(4), ratios.count(128)
    if near + far + ratios.count(0) + ratios.count(1) != layers:
        raise UnknownArchitectureError("its compress_ratios are not the ones computed here")
    return (
        KvGroup(layers, _PACKED, reach=config.number("sliding_window"), width=1),
        KvGroup(near, _PACKED + _index_key(index), stride=4, width=1),
        KvGroup(far, _PACKED, stride=128, width=1),
        KvGroup(near, 2 * 2 * (head_dim + index), reach=8, width=_FP32),
        KvGroup(far, 2 * head_dim, reach=128, width=_FP32),
    )


def _index_key(dim: int) -> int:
    """Bytes of one key of DeepSeek's indexer: fp8 with its scales."""
    return dim + dim // _INDEX_BLOCK * _FP32


# -- one state for each sequence, of a size that does not grow (vLLM: layers/mamba/mamba_utils.py)


def _state_width(config: ModelConfig, default: int) -> int:
    named = config.value("mamba_ssm_cache_dtype") or config.value("mamba_ssm_dtype")
    if named is None:
        return default
    return _FP32 if named == "float32" else _BF16


def _mamba(config: ModelConfig, layers: int) -> list[KvGroup]:
    """Mamba 2: the last inputs of its convolution, and a matrix for each head."""
    heads = config.number("mamba_num_heads", "mamba_n_heads")
    head_dim = config.value("mamba_head_dim") or config.value("mamba_d_head")
    inner = config.optional("mamba_d_ssm")
    if not isinstance(head_dim, int):  # "auto"
        head_dim = (inner or config.number("hidden_size") * (config.optional("mamba_expand") or 2)) // heads
    size = config.number("ssm_state_size", "mamba_d_state")
    groups = config.number("n_groups", "mamba_n_groups")
    kernel = config.number("conv_kernel", "mamba_d_conv")
    wide = heads * whole(head_dim, "mamba_head_dim") + 2 * groups * size
    return [
        KvGroup(layers, -(-wide * (kernel - 1) // heads), heads, width=_BF16, once=True),
        KvGroup(layers, head_dim * size, heads, width=_state_width(config, _BF16), once=True),
    ]


def _mamba_1(config: ModelConfig, layers: int) -> list[KvGroup]:
    inner = config.number("hidden_size") * (config.optional("mamba_expand") or 2)
    size, kernel = config.number("mamba_d_state"), config.number("mamba_d_conv")
    return [
        KvGroup(layers, kernel - 1, inner, width=_BF16, once=True),
        KvGroup(layers, size, inner, width=_state_width(config, _BF16), once=True),
    ]


def _delta(config: ModelConfig, layers: int) -> list[KvGroup]:
    """Gated delta nets: the last inputs of the convolution, and a matrix for each value head."""
    keys, values = config.number("linear_num_key_heads"), config.number("linear_num_value_heads")
    key, value = config.number("linear_key_head_dim"), config.number("linear_value_head_dim")
    wide = 2 * keys * key + values * value
    conv = wide * (config.number("linear_conv_kernel_dim") - 1)
    return [
        KvGroup(layers, -(-conv // values), values, width=_BF16, once=True),
        KvGroup(layers, key * value, values, width=_state_width(config, _BF16), once=True),
    ]


def _conv(config: ModelConfig, layers: int) -> list[KvGroup]:
    """Short convolutions: their last inputs."""
    kept = max(0, config.number("conv_L_cache") - 1)
    return [KvGroup(layers, kept, config.number("hidden_size"), width=_BF16, once=True)]


_STATES: Mapping[str, Callable[[ModelConfig, int], list[KvGroup]]] = {
    MAMBA: _mamba,
    MAMBA_1: _mamba_1,
    DELTA: _delta,
    CONV: _conv,
}
