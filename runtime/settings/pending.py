"""What the file accepts and this version does not do yet: the one list of it. Who builds a feature deletes its line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from runtime.settings.faults import dotted
from runtime.settings.model import Settings
from runtime.settings.places import Key


class Pending(NamedTuple):
    """A key without force, and what holds instead of it. "*" in the key stands for every name."""

    key: Key
    instead: str

    def meant_by(self, key: Key) -> bool:
        return len(key) == len(self.key) and all(a in ("*", b) for a, b in zip(self.key, key, strict=True))


PENDING = (
    Pending(("escalation", "complexity"), "no prompt leaves for its score"),
    Pending(("escalation", "confidence"), "no local answer is judged as it begins"),
    Pending(("routes", "complex"), "no prompt leaves for its score"),
    Pending(("budget", "daily_usd"), "cloud spending is not limited"),
)


def not_in_force(settings: Settings, adapters: Collection[str] | None = None) -> list[str]:
    """A sentence for each key that is set and does nothing yet. adapters: providers that can be called; None: all."""
    return [*_without_effect(settings), *_without_adapter(settings, adapters)]


def pending(key: Key) -> Pending | None:
    """Why a key has no force; None where it has."""
    return next((entry for entry in PENDING if entry.meant_by(key)), None)


def _without_effect(settings: Settings) -> Iterator[str]:
    for key in _set(settings):
        if entry := pending(key):
            yield f"{dotted(key)} is not in force in this version ({entry.instead})"


def _set(value: object, key: Key = ()) -> Iterator[Key]:
    """Every key the file or the environment says something at."""
    yield key
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _set(getattr(value, name), (*key, name))
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _set(entry, (*key, name))


def _without_adapter(settings: Settings, adapters: Collection[str] | None) -> Iterator[str]:
    for name, target in settings.targets.items():
        if adapters is not None and target.provider not in adapters:
            yield f"targets.{name} cannot be used in this version ({target.provider} is not spoken yet)"
