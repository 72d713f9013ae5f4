"""What of a model's published `config.json` decides its memory: pure arithmetic over the file's own key names.

Knows grouped-query attention, latent attention (MLA, with and without a sparse indexer), and layers that keep only a
window or a chunk. Knows no model by name. What it does not understand it refuses: no verdict is better than a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_INDEX_BLOCK = (
    128  # DeepSeek's indexer keeps its keys in fp8 with one 4-byte scale per 128 numbers, whatever the cache's type
)
_CHUNKED_EVERY = 4  # Llama 4 without a written-out list: every fourth layer sees everything


class UnknownArchitectureError(Exception):
    """The config lacks what the arithmetic needs, or has an attention this module does not know."""


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers that cache alike.

    numbers: cached per token and layer by one head (key and value), or by the layer where all heads share it.
    heads: key-value heads, which tensor parallelism divides; 1 where every GPU keeps its own full copy.
    reach: tokens a layer keeps; None: all.
    width: bytes of one number where it does not follow the cache's type.
    """

    layers: int
    numbers: int
    heads: int = 1
    reach: int | None = None
    width: int | None = None

    def per_token(self, tensor_parallel: int, width: int) -> int:
        """Bytes one token takes on one GPU, all layers of the group together."""
        return self.layers * self.numbers * max(1, self.heads // tensor_parallel) * (self.width or width)

    def kept(self, tokens: int) -> int:
        return tokens if self.reach is None else min(tokens, self.reach)


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
    latent: bool = False

    def kv_bytes_per_token(self, tensor_parallel: int = 1, width: int = 2) -> int:
        """Bytes of KV cache on one GPU for one token within every layer's reach. width: bytes of one cached number."""
        return sum(group.per_token(tensor_parallel, width) for group in self.kv)

    def kv_bytes(self, tokens: int, tensor_parallel: int = 1, width: int = 2) -> int:
        """Bytes of KV cache on one GPU for one sequence of `tokens`."""
        return sum(group.kept(tokens) * group.per_token(tensor_parallel, width) for group in self.kv)

    def divides(self, tensor_parallel: int) -> bool:
        """Whether vLLM can split this model over so many GPUs."""
        if self.heads % tensor_parallel:
            return False
        return self.latent or self.kv_heads % tensor_parallel == 0 or tensor_parallel % self.kv_heads == 0


def read(config: Mapping[str, Any]) -> Architecture:
    """The shape a `config.json` describes. Raises UnknownArchitectureError."""
    text = {**config, **config.get("text_config", {})}
    try:
        return _read(text)
    except KeyError as missing:
        raise UnknownArchitectureError(f"its config.json has no {missing}") from missing


def _read(text: Mapping[str, Any]) -> Architecture:
    heads = int(text["num_attention_heads"])
    hidden = int(text["hidden_size"])
    return Architecture(
        layers=int(text["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=int(text.get("num_key_value_heads") or heads),
        vocab=int(text["vocab_size"]),
        context=int(text["max_position_embeddings"]),
        widest=max(int(text.get(key) or 0) for key in ("intermediate_size", "intermediate_size_mlp", "hidden_size")),
        kv=_kv_groups(text),
        latent=bool(text.get("kv_lora_rank")),
    )


def _kv_groups(text: Mapping[str, Any]) -> tuple[KvGroup, ...]:
    if text.get("compress_ratios") or text.get("compress_rates") or text.get("linear_num_key_heads"):
        raise UnknownArchitectureError(
            f"its attention ({text.get('model_type')}) compresses the cache in a way not computed here"
        )
    if text.get("kv_lora_rank"):
        return _latent(text)
    return _grouped(text)


def _latent(text: Mapping[str, Any]) -> tuple[KvGroup, ...]:
    """One latent vector and one rotary key per token and layer, shared by all heads: each GPU keeps them whole."""
    layers = int(text["num_hidden_layers"])
    main = KvGroup(layers, int(text["kv_lora_rank"]) + int(text["qk_rope_head_dim"]))
    if not text.get("index_head_dim"):
        return (main,)
    keys = int(text["index_head_dim"])
    return (main, KvGroup(layers, keys + keys // _INDEX_BLOCK * 4, width=1))


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
    """How many tokens the narrow layers keep, and how many layers are narrow."""
    if text.get("attention_chunk_size"):
        listed = text.get("no_rope_layers") or [0 if (i + 1) % _CHUNKED_EVERY == 0 else 1 for i in range(layers)]
        return int(text["attention_chunk_size"]), sum(1 for rotary in listed if rotary)
    if text.get("sliding_window") and text.get("use_sliding_window", True):
        kinds = text.get("layer_types")
        return int(text["sliding_window"]), kinds.count("sliding_attention") if kinds else layers
    return None, 0
