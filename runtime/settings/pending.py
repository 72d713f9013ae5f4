"""What the file accepts and this version does not do yet: the one list of it. Who builds a feature deletes its line."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from pydantic import BaseModel

from runtime.settings.model import Settings
from runtime.settings.places import Key


class Pending(NamedTuple):
    """A key without force, and what holds instead of it."""

    key: Key
    instead: str


PENDING = (
    Pending(("escalation", "complexity"), "no prompt leaves for its score"),
    Pending(("escalation", "confidence"), "no local answer is judged as it begins"),
    Pending(("routes", "complex"), "no prompt leaves for its score"),
    Pending(("budget", "daily_usd"), "cloud spending is not limited"),
)


def not_in_force(settings: Settings, adapters: Collection[str] | None = None) -> list[str]:
    """A sentence for each key that is set and does nothing yet. adapters: providers that can be called; None: all."""
    return [*_without_effect(settings), *_without_adapter(settings, adapters)]


def _without_effect(settings: Settings) -> Iterator[str]:
    for pending in PENDING:
        if _is_set(settings, pending.key):
            yield f"{'.'.join(map(str, pending.key))} is not in force in this version ({pending.instead})"


def _is_set(settings: Settings, key: Key) -> bool:
    """Whether the file or the environment says anything at a key."""
    here: object = settings
    for part in key:
        if not isinstance(here, BaseModel) or part not in here.model_fields_set:
            return False
        here = getattr(here, str(part))
    return True


def _without_adapter(settings: Settings, adapters: Collection[str] | None) -> Iterator[str]:
    for name, target in settings.targets.items():
        if adapters is not None and target.provider not in adapters:
            yield f"targets.{name} cannot be used in this version ({target.provider} is not spoken yet)"
