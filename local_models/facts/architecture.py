"""The memory needs of a model, from its published `config.json`: pure arithmetic over the file's own key names.

Knows grouped-query attention, latent attention (MLA, with and without a sparse indexer), compressed attention (DeepSeek
V4), and layers that keep only a window or a chunk. Knows no model by name. Refuses what it does not understand: no
verdict is better than a wrong one. The layout of the caches is vLLM 0.32's (v1/kv_cache_interface.py and the models).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_INDEX_BLOCK = (
    128  # DeepSeek's indexer keeps its keys in fp8 with one 4-byte scale per 128 numbers, whatever the cache's type
)
_CHUNKED_EVERY = 4  # Llama 4 without a written-out list: every fourth layer sees everything
_PACKED = 584  # bytes of one compressed state of DeepSeek V4: 448 fp8, 64 bf16 and 8 of scales
_FP32 = 4
_LAYER_TYPES = {"full_attention", "sliding_attention", "chunked_attention"}
_FOREIGN = ("compress_ratios", "compress_rates", "linear_num_key_heads", "mamba_d_state", "layers_block_type")


class UnknownArchitectureError(Exception):
    """The config lacks what the arithmetic needs, or has an attention this module does not know."""


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers that cache alike.

    numbers: cached per token and layer by one head (key and value), or by the layer where all heads share it.
    heads: key-value heads, which tensor parallelism divides; 1 where every GPU keeps its own full copy.
    reach: tokens a layer keeps; None: all.
    stride: tokens that share one cached state.
    width: bytes of one number where it does not follow the cache's type.
    """

    layers: int
    numbers: int
    heads: int = 1
    reach: int | None = None
    stride: int = 1
    width: int | None = None

    def per_state(self, tensor_parallel: int, width: int) -> int:
        """Bytes one cached state takes on one GPU, all layers of the group together."""
        return self.layers * self.numbers * max(1, self.heads // tensor_parallel) * (self.width or width)

    def states(self, tokens: int) -> int:
        """Number of states that a sequence of `tokens` keeps."""
        return -(-(tokens if self.reach is None else min(tokens, self.reach)) // self.stride)


@dataclass(frozen=True, slots=True)
class Architecture:
    """One model's shape. `widest`: the largest inner width one token passes through (activations)."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocab: int
    context: int
    widest: int
    kv: tuple[KvGroup, ...]
    shared: bool = False  # one cache for all heads: every GPU of a tensor-parallel group keeps it whole

    def kv_bytes(self, tokens: int, tensor_parallel: int = 1, width: int = 2) -> int:
        """Bytes of KV cache on one GPU for one sequence of `tokens`."""
        return sum(group.states(tokens) * group.per_state(tensor_parallel, width) for group in self.kv)

    def divides(self, tensor_parallel: int) -> bool:
        """True if vLLM can split this model over that many GPUs."""
        if self.heads % tensor_parallel:
            return False
        return self.shared or self.kv_heads % tensor_parallel == 0 or tensor_parallel % self.kv_heads == 0


def read(config: Mapping[str, Any]) -> Architecture:
    """The shape a `config.json` describes. Raises UnknownArchitectureError."""
    text = {**config, **config.get("text_config", {})}
    try:
        heads = int(text["num_attention_heads"])
        return Architecture(
            layers=int(text["num_hidden_layers"]),
            hidden=int(text["hidden_size"]),
            heads=heads,
            kv_heads=int(text.get("num_key_value_heads") or heads),
            vocab=int(text["vocab_size"]),
            context=int(text["max_position_embeddings"]),
            widest=max(
                int(text.get(key) or 0) for key in ("intermediate_size", "intermediate_size_mlp", "hidden_size")
            ),
            kv=_kv_groups(text),
            shared=bool(text.get("kv_lora_rank") or text.get("compress_ratios")),
        )
    except KeyError as missing:
        raise UnknownArchitectureError(f"its config.json has no {missing}") from missing


def _kv_groups(text: Mapping[str, Any]) -> tuple[KvGroup, ...]:
    if text.get("model_type") == "deepseek_v4" and text.get("compress_ratios"):
        return _compressed(text)
    if any(text.get(key) for key in _FOREIGN) or set(text.get("layer_types") or ()) - _LAYER_TYPES:
        raise UnknownArchitectureError(
            f"its attention ({text.get('model_type')}) keeps a cache that is not computed here"
        )
    return _latent(text) if text.get("kv_lora_rank") else _grouped(text)


def _compressed(text: Mapping[str, Any]) -> tuple[KvGroup, ...]:
    """DeepSeek V4: every layer keeps a window, and most one state for 4 tokens (with an indexer's key) or for 128.

    Beside its states a compressing layer keeps what it is about to compress, in fp32: keys and scores of the last
    `ratio` tokens, of twice as many and twice as wide where windows overlap (ratio 4). Every GPU keeps its own copy.
    """
    layers, head_dim, index = (int(text[key]) for key in ("num_hidden_layers", "head_dim", "index_head_dim"))
    ratios = list(text["compress_ratios"])[:layers]
    near, far = ratios.count(4), ratios.count(128)
    if near + far + ratios.count(0) + ratios.count(1) != layers:
        raise UnknownArchitectureError("its compress_ratios are not the ones computed here")
    return (
        KvGroup(layers, _PACKED, reach=int(text["sliding_window"]), width=1),
        KvGroup(near, _PACKED + _index_key(index), stride=4, width=1),
        KvGroup(far, _PACKED, stride=128, width=1),
        KvGroup(near, 2 * 2 * (head_dim + index), reach=8, width=_FP32),
        KvGroup(far, 2 * head_dim, reach=128, width=_FP32),
    )


def _index_key(dim: int) -> int:
    """Bytes of one key of DeepSeek's indexer: fp8 with its scales."""
    return dim + dim // _INDEX_BLOCK * _FP32


def _latent(text: Mapping[str, Any]) -> tuple[KvGroup, ...]:
    """One latent vector and one rotary key per token and layer, shared by all heads: each GPU keeps them whole."""
    layers = int(text["num_hidden_layers"])
    main = KvGroup(layers, int(text["kv_lora_rank"]) + int(text["qk_rope_head_dim"]))
    if not text.get("index_head_dim"):
        return (main,)
    return (main, KvGroup(layers, _index_key(int(text["index_head_dim"])), width=1))


def _grouped(text: Mapping[str, Any]) -> tuple[KvGroup, ...]:
    layers = int(text["num_hidden_layers"])
    heads = int(text["num_attention_heads"])
    head_dim = int(text.get("head_dim") or int(text["hidden_size"]) // heads)
    kv_heads = int(text.get("num_key_value_heads") or heads)
    reach, narrow = _narrow_layers(text, layers)
    groups = (
        KvGroup(layers - narrow, 2 * head_dim, kv_heads),
        KvGroup(narrow, 2 * head_dim, kv_heads, reach),
    )
    return tuple(group for group in groups if group.layers)


def _narrow_layers(text: Mapping[str, Any], layers: int) -> tuple[int | None, int]:
    """(tokens that the narrow layers keep, number of narrow layers)."""
    if text.get("attention_chunk_size"):
        listed = text.get("no_rope_layers") or [0 if (i + 1) % _CHUNKED_EVERY == 0 else 1 for i in range(layers)]
        return int(text["attention_chunk_size"]), sum(1 for rotary in listed if rotary)
    if text.get("sliding_window") and text.get("use_sliding_window", True):
        kinds = text.get("layer_types")
        return int(text["sliding_window"]), kinds.count("sliding_attention") if kinds else layers
    return None, 0
