"""What is known of cloud models: capabilities and prices, read from `models.toml` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from runtime.contract.targets import Capabilities, Price


@dataclass(frozen=True, slots=True)
class Known:
    """One model's facts. `price` None: not known."""

    capabilities: Capabilities
    price: Price | None


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(files("cloud").joinpath("models.toml").read_text("utf-8"))


def known(provider: str, model: str) -> Known | None:
    """The facts of PROVIDER/MODEL, or None for a model that no catalogue knows."""
    facts = _table().get(provider, {}).get(model)
    if facts is None:
        return None
    price = facts.get("price")
    return Known(
        Capabilities(
            modalities=frozenset(facts.get("modalities", ("text",))),
            context_tokens=facts.get("context_tokens"),
            max_output_tokens=facts.get("max_output_tokens"),
            tools=facts.get("tools", True),
            structured_output=facts.get("structured_output", True),
            completions=facts.get("completions", False),
            embeddings=facts.get("embeddings", False),
        ),
        Price(**price) if price else None,
    )
