"""A model's `config.json`, read with suspicion: numbers that are numbers, lists of the right length, nothing assumed.

Files on the hub hold lists where a number stands elsewhere, nulls, strings and numbers beyond reason. Whatever cannot be
read as what it should be raises UnknownArchitectureError, never anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 1 << 40
MOST_LAYERS = 4096


class UnknownArchitectureError(Exception):
    """The config lacks what the arithmetic needs, or has an attention this package does not know."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The text part of a config. fields: of the file. defaults: the configuration class's own, for what the file omits."""

    fields: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def model_type(self) -> str:
        return str(self.fields.get("model_type", ""))

    def value(self, key: str) -> Any:
        """As it stands; None where it is null or missing."""
        found = self.fields.get(key)
        return self.defaults.get(key) if found is None else found

    def number(self, *keys: str) -> int:
        """The first of the keys that is there: a whole number of at least 1."""
        found = self.optional(*keys)
        if found is None or found < 1:
            raise UnknownArchitectureError(f"its config.json has no {keys[0]!r}")
        return found

    def optional(self, *keys: str) -> int | None:
        """As `number`, None where none of the keys is there. Any key of the file comes before a default."""
        for fields in (self.fields, self.defaults):
            for key in keys:
                if (found := fields.get(key)) is not None:
                    return whole(found, key)
        return None

    def flag(self, key: str, default: bool) -> bool:
        found = self.value(key)
        if found is not None and not isinstance(found, bool):
            raise UnknownArchitectureError(f"{key!r} in its config.json is neither true nor false")
        return default if found is None else found

    def listed(self, key: str, most: int = MOST_LAYERS) -> list[Any] | None:
        """A list, None where there is none."""
        found = self.value(key)
        if found is None:
            return None
        if not isinstance(found, list | tuple) or len(found) > most:
            raise UnknownArchitectureError(f"{key!r} in its config.json is no list of a sensible length")
        return list(found)

    def largest(self, *keys: str) -> int:
        """The largest number under these keys; each may hold a number or a list of one for each layer."""
        numbers = [0]
        for key in keys:
            found = self.value(key)
            values = found if isinstance(found, list | tuple) else [found]
            numbers += [whole(value, key) for value in values[:MOST_LAYERS] if value is not None]
        return max(numbers)

    @property
    def layers(self) -> int:
        layers = self.number("num_hidden_layers")
        if layers > MOST_LAYERS:
            raise UnknownArchitectureError(f"'num_hidden_layers' in its config.json is {layers:,}")
        return layers


def whole(value: Any, key: str) -> int:
    """A whole number from 0 up, in reason."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise UnknownArchitectureError(f"{key!r} in its config.json is no sensible number")
    return value


def text_fields(config: Any) -> dict[str, Any]:
    """The fields of the text model: `text_config` (`llm_config` in some) wins over what stands around it.

    Raises UnknownArchitectureError for a file that is no JSON object, or whose text part is none.
    """
    if not isinstance(config, Mapping):
        raise UnknownArchitectureError("its config.json is no JSON object")
    for key in ("text_config", "llm_config", "language_config"):
        inner = config.get(key)
        if inner is None:
            continue
        if not isinstance(inner, Mapping):
            raise UnknownArchitectureError(f"{key!r} in its config.json is no JSON object")
        return {**config, **{name: value for name, value in inner.items() if value is not None}}
    return dict(config)


def packing_of(quantization: Any) -> str | None:
    """The type of the numbers in quantised files: fp8, int4, nvfp4, mxfp4, else the method's name; None for plain files.

    The makers of quantised files name it in four ways: by method (mxfp4), by algorithm (modelopt), by format and by bits
    (compressed-tensors), by bits alone (AWQ, GPTQ).
    """
    if not isinstance(quantization, Mapping):
        return None
    said = " ".join(str(quantization.get(key, ""))[:100].lower() for key in ("quant_algo", "format", "quant_method"))
    if known := next((name for name in ("nvfp4", "mxfp4", "mxfp8", "fp8") if name in said), None):
        return known
    groups = quantization.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    scheme = weights if isinstance(weights, Mapping) else quantization
    bits = scheme.get("num_bits", scheme.get("bits"))
    if isinstance(bits, int) and 1 <= bits <= 16:
        return f"{'fp' if scheme.get('type') == 'float' else 'int'}{int(bits)}"
    method = quantization.get("quant_method")
    return method[:100] if isinstance(method, str) and method else None


def context_of(config: Any) -> int | None:
    """The context of a model in tokens; None where its config does not say."""
    try:
        return ModelConfig(text_fields(config), {}).optional("max_position_embeddings") or None
    except UnknownArchitectureError:
        return None


def is_cross_encoder(config: Any) -> bool:
    """True if the model gives a pair of texts one score: a classifier with one label."""
    if not isinstance(config, Mapping) or not isinstance(names := config.get("architectures"), list):
        return False
    classifies = any(isinstance(name, str) and name.endswith("ForSequenceClassification") for name in names)
    labels = config.get("id2label")
    return classifies and (config.get("num_labels") == 1 or (isinstance(labels, Mapping) and len(labels) == 1))


def sequence_limit(encoder: Any) -> int | None:
    """Tokens that sentence-transformers reads of a text (`sentence_bert_config.json`), which vLLM keeps to; None: not said."""
    most = encoder.get("max_seq_length") if isinstance(encoder, Mapping) else None
    return most if isinstance(most, int) and most > 1 else None
