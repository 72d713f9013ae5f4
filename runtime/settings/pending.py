"""The settings that this version accepts and does not act on yet: the one list. Who builds a feature deletes its line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from runtime.settings.faults import dotted
from runtime.settings.model import Settings
from runtime.settings.places import Key


class Pending(NamedTuple):
    """A key without effect, and what happens instead. "*" in the key stands for every name and number."""

    key: Key
    instead: str

    def covers(self, key: Key) -> bool:
        return len(key) == len(self.key) and all(a in ("*", b) for a, b in zip(self.key, key, strict=True))


PENDING: tuple[Pending, ...] = ()  # everything is in force


def not_in_force(settings: Settings, adapters: Collection[str] | None = None) -> list[str]:
    """A sentence for each key that is set and has no effect yet. adapters: providers that can be called; None: all."""
    without_effect = [
        f"{dotted(key)} is not in force in this version ({entry.instead})"
        for key in _set(settings)
        if (entry := pending(key))
    ]
    without_adapter = [
        f"targets.{name} cannot be used in this version ({target.provider} is not spoken yet)"
        for name, target in settings.targets.items()
        if adapters is not None and target.provider not in adapters
    ]
    return [*without_effect, *without_adapter]


def pending(key: Key) -> Pending | None:
    """The entry for a key without effect; None if the key is in force."""
    return next((entry for entry in PENDING if entry.covers(key)), None)


def _set(value: object, key: Key = ()) -> Iterator[Key]:
    """The key of every value that the file or the environment sets; sections are walked, other tables are values."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _set(getattr(value, name), (*key, name))
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for index, entry in enumerate(value):
            yield from _set(entry, (*key, index))
    elif isinstance(value, Mapping) and any(isinstance(entry, BaseModel) for entry in value.values()):
        for name, entry in value.items():
            yield from _set(entry, (*key, name))
    else:
        yield key
