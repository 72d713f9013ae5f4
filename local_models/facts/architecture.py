"""A model's shape, from its published `config.json`: pure arithmetic over the file's own key names.

The caches of its layers are `attention.py`'s. Refuses what it does not understand: no verdict is better than a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_models.facts.attention import DEFAULTS, KvGroup, heads_of, kv_groups
from local_models.facts.config import ModelConfig, UnknownArchitectureError, text_fields

__all__ = ["Architecture", "UnknownArchitectureError", "read"]


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


def read(config: Any) -> Architecture:
    """The shape a `config.json` describes. Raises UnknownArchitectureError, whatever is in it."""
    fields: Mapping[str, Any] = text_fields(config)
    text = ModelConfig(fields, DEFAULTS.get(str(fields.get("model_type")), {}))
    groups = kv_groups(text)
    heads, kv_heads, _ = heads_of(text)
    return Architecture(
        layers=text.layers,
        hidden=text.number("hidden_size"),
        heads=heads,
        kv_heads=kv_heads,
        vocab=text.number("vocab_size"),
        context=text.number("max_position_embeddings"),
        widest=text.largest("intermediate_size", "intermediate_size_mlp", "hidden_size"),
        kv=groups,
        shared=bool(text.optional("kv_lora_rank") or text.value("compress_ratios")),
    )
