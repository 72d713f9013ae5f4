"""The catalogue of cloud models: their capabilities, read from `models.toml` beside this file.

An entry may extend another (`like`). An id that ends in a date or `latest` and has no entry is looked up without that ending.
An entry whose name ends in `*` holds for all models of that family without an entry; the entry `*` for a provider's others.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from runtime.contract.targets import Capabilities

EVERY = frozenset(
    {"text", "image", "audio", "video", "pdf"}
)  # of an unknown model: the vendor refuses what it cannot do

_ANY = "*"
_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
_AS_SETS = {"modalities": frozenset, "thinking_levels": tuple, "thinking_budget": tuple, "media_addresses": tuple}


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(files("cloud").joinpath("models.toml").read_text("utf-8"))


def known(provider: str, model: str) -> Capabilities | None:
    """The capabilities of PROVIDER/MODEL; None for a model without an entry."""
    models = _table().get(provider, {})
    for name in (model, undated(model)):
        if name in models and not name.endswith(_ANY):
            return _known(_entry(models, name))
    families = [name for name in models if name.endswith(_ANY) and model.startswith(name[:-1]) and name != _ANY]
    return _known(_entry(models, max(families, key=len))) if families else None


def listed() -> tuple[tuple[str, str], ...]:
    """Every (provider, model) with an entry of its own whose end is not announced."""
    names = [(provider, model) for provider, models in _table().items() for model in models if not model.endswith(_ANY)]
    return tuple(each for each in names if (found := known(*each)) and found.retires_on is None)


def undated(model: str) -> str:
    """A model's id without the date, or "latest", at its end."""
    return _SNAPSHOT.sub("", model)


def plain(provider: str) -> Capabilities:
    """The capabilities of a provider's models without an entry."""
    models = _table().get(provider, {})
    return _known(models[_ANY]) if _ANY in models else Capabilities(modalities=EVERY)


def _entry(models: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    own = models[name]
    return _entry(models, own["like"]) | own if "like" in own else own


def _known(facts: dict[str, Any]) -> Capabilities:
    named = {name: facts[name] for name in Capabilities.__dataclass_fields__ if name in facts}
    return Capabilities(**named | {name: kind(named[name]) for name, kind in _AS_SETS.items() if name in named})
