"""The settings that may be changed while the runtime runs, and those that only the file's owner changes. Each is in one list.

What is left to the owner: addresses, keys, contracts and prices of targets, the engine, what is kept, who may come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from runtime.settings.places import Key
from runtime.settings.read import Loaded
from runtime.settings.secret import Secret
from runtime.settings.shape import at, below, choices_of, fields_of, leaves

EDITABLE = frozenset({"escalation", "routes", "rules", "aliases", "timeouts", "retries", "budget"})
OWNERS = frozenset(
    {
        "server", "engine", "records", "models", "media", "batch", "privacy", "quality", "notices", "telemetry", "fleet",
        "autoscale", "prices",
    }
)  # fmt: skip
PRESENCE = "targets"  # of a target: it is added with these members, or taken out whole
PRESENT = frozenset({"provider", "model"})


def refused(key: Key, value: Any = None) -> str:
    """The reason why a key may not be changed here; "" if it may. value: what it would be set to, None: it is taken out."""
    if key and key[0] in EDITABLE and len(key) > 1:
        return ""
    if len(key) == 2 and key[0] == PRESENCE:
        more = set(value) - PRESENT if isinstance(value, Mapping) else set()
        return f"of a new target only {' and '.join(sorted(PRESENT))} can be set here" if more else ""
    return "it is changed in the file alone, by whoever owns that"


def rows(loaded: Loaded) -> list[dict[str, Any]]:
    """Every value in force with its origin.

    from: `hearth.toml:12`, a variable's name, or "default". variable: true where the environment sets it. choices: empty
    where it is free.
    """
    sources, found = loaded.sources, []
    for key, value in leaves(loaded.settings):
        if at(key[:1]) is None:
            continue  # what a reading adds to the file
        origin = next((sources[key[:end]] for end in range(len(key), 0, -1) if key[:end] in sources), "default")
        found.append(
            {
                "key": key,
                "value": shown(value),
                "from": origin,
                "variable": origin.startswith("HEARTH_"),
                "editable": not refused(key) and key[0] != PRESENCE,
                "words": _words(key),
                "choices": choices_of(at(key)),
            }
        )
    return found


def shown(value: Any) -> Any:
    """A value as JSON has it; a secret by its reference."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, Mapping):
        return {name: shown(each) for name, each in value.items()}
    return [shown(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _words(key: Key) -> str:
    shape: Any = at(key[:1])
    words = ""
    for part in key[1:]:
        fields = fields_of(shape)
        words = (fields[part].description or "") if isinstance(part, str) and part in fields else ""
        shape = below(shape, part)
    return words
