"""What is known of cloud models: capabilities and prices, read from `models.toml` beside this file.

An entry may stand on another (`like`); an id with a date or `latest` at its end is the model without it, where only that is
known; a name that ends in `*` is a family: its models that have no entry of their own; the entry `*` is what is known of a
provider's other models.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from runtime.contract.targets import Capabilities, LongPrompt, Price

EVERY = frozenset({"text", "image", "audio", "video", "pdf"})  # of a model nobody knows: it says itself what it cannot

_ANY = "*"
_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
_AS_SETS = {"modalities": frozenset, "thinking_levels": tuple, "thinking_budget": tuple, "media_addresses": tuple}


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
    models = _table().get(provider, {})
    for name in (model, _SNAPSHOT.sub("", model)):
        if name in models and not name.endswith(_ANY):
            return _known(_entry(models, name))
    families = [name for name in models if name.endswith(_ANY) and model.startswith(name[:-1]) and name != _ANY]
    return _known(_entry(models, max(families, key=len))) if families else None


def plain(provider: str) -> Capabilities:
    """What is known of a provider's models that no catalogue knows."""
    models = _table().get(provider, {})
    return _known(models[_ANY]).capabilities if _ANY in models else Capabilities(modalities=EVERY)


def _entry(models: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    own = models[name]
    return _entry(models, own["like"]) | own if "like" in own else own


def _known(facts: dict[str, Any]) -> Known:
    said = {name: facts[name] for name in Capabilities.__dataclass_fields__ if name in facts}
    return Known(
        Capabilities(**said | {name: kind(said[name]) for name, kind in _AS_SETS.items() if name in said}),
        _price(facts["price"]) if "price" in facts else None,
    )


def _price(said: dict[str, Any]) -> Price:
    return Price(**said | ({"long": LongPrompt(**said["long"])} if "long" in said else {}))
