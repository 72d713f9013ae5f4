"""Settings from the environment: HEARTH_SECTION__KEY, and the few reserved names. Knows names, and no value's meaning.

`environment()` is the only place in Hearth that reads the process's own environment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.settings.faults import Problem
from runtime.settings.model import Document
from runtime.settings.places import Key
from runtime.settings.shape import at, choices_of, entry_of, fields_of, plain
from runtime.settings.spelling import near_name

PREFIX = "HEARTH_"
API_KEY, STATE_DIR, MODEL = "HEARTH_API_KEY", "HEARTH_STATE_DIR", "HEARTH_MODEL"
ENGINE_PYTHON, SHARED = "HEARTH_ENGINE_PYTHON", "HEARTH_SHARED"
IMAGE = "HEARTH_IMAGE"  # set in the container images: core, cpu or cuda
RESERVED = frozenset({API_KEY, STATE_DIR, MODEL, ENGINE_PYTHON, SHARED, IMAGE})


def environment() -> Mapping[str, str]:
    """The process's environment, as it is now."""
    return dict(os.environ)


CREATED_KEYS = "keys.sqlite3"  # in the state folder, from the first created key on


def state_dir(env: Mapping[str, str]) -> Path:
    """The folder of decisions, keys, batches and the engine's marker: HEARTH_STATE_DIR, else the XDG state folder."""
    if env.get(STATE_DIR):
        return Path(env[STATE_DIR])
    return _xdg(env, "XDG_STATE_HOME", ".local/state") / "hearth"


def config_dir(env: Mapping[str, str]) -> Path:
    """The folder of a user's own hearth.toml."""
    return _xdg(env, "XDG_CONFIG_HOME", ".config") / "hearth"


def _xdg(env: Mapping[str, str], variable: str, below_home: str) -> Path:
    """The folder a variable names; a relative one is ignored, as the XDG rules say."""
    named = Path(env.get(variable, ""))
    return named if named.is_absolute() else Path(env.get("HOME") or Path.home()) / below_home


@dataclass(slots=True)
class Overrides:
    """The keys that the environment sets, each with its variable, in the order of application."""

    variables: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def overlay(tree: dict[str, Any], env: Mapping[str, str]) -> Overrides:
    """Applies the environment to the parsed file, in place. An empty variable sets nothing."""
    overrides = Overrides()
    if env.get(ENGINE_PYTHON):
        _put(tree, ("engine", "python"), env[ENGINE_PYTHON])
        overrides.variables["engine", "python"] = ENGINE_PYTHON
    named = [
        (name, name.removeprefix(PREFIX).split("__"))
        for name in env
        if name.startswith(PREFIX) and name not in RESERVED and env[name]
    ]
    # Whole tables before single keys, and targets last: how their names are spelled is learned from the routes.
    for variable, words in sorted(named, key=lambda entry: (entry[1][0] == "TARGETS", len(entry[1]), entry[0])):
        try:
            key = _key(words, tree)
        except LookupError as error:
            overrides.problems.append(Problem(variable, "", str(error)))
            continue
        if key is None:
            if f"'env:{variable}'" not in repr(tree):  # no reference of the file names it
                overrides.warnings.append(f"{variable}: not a setting of Hearth; it is ignored")
        elif _put(tree, key, _value(env[variable], at(key))):
            overrides.variables[key] = variable
    return overrides


def _key(words: list[str], tree: Mapping[str, Any]) -> Key | None:
    """The key a variable sets; None if it cannot be a setting. Raises LookupError with the reason for a wrong key."""
    if len(words) == 1 and words[0].lower() not in Document.model_fields:
        return None
    key: Key = ()
    for word in words:
        here = at(key)
        known = fields_of(here)
        if entry_of(here) is not None and word:
            # A free name as the file spells it, or as a route or rule does; else in lower case as it stands.
            spelled = (name for name in _names(key, tree) if re.sub(r"[^A-Za-z0-9]", "_", name).upper() == word.upper())
            key = (*key, next(spelled, word.lower()))
        elif word.lower() in known:
            key = (*key, word.lower())
        elif known:
            near = near_name(word, known)
            meant = PREFIX + "__".join([*words[: len(key)], (near or "").upper(), *words[len(key) + 1 :]])
            raise LookupError("unknown setting" + (f"; did you mean {meant}?" if near else ""))
        else:
            raise LookupError(f"{'.'.join(map(str, key))} has no keys below it: set it whole, as JSON")
    return key


def _names(table: Key, tree: Mapping[str, Any]) -> Iterator[str]:
    """The names that the file uses in a table; for targets, those that routes and rules name too."""
    here: Any = tree
    for part in table:
        here = here.get(part) if isinstance(here, Mapping) else None
    yield from here if isinstance(here, Mapping) else ()
    if table == ("targets",):
        yield from _mentioned([tree.get("routes"), tree.get("rules")])


def _mentioned(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _mentioned(entry)


def _value(text: str, wanted: Any) -> Any:
    """Text where text is wanted; else JSON, where it is some; else the text, for the validator to refuse."""
    if plain(wanted) is str or choices_of(wanted):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return {"true": True, "false": False}.get(text.lower(), text)


def _put(tree: dict[str, Any], key: Key, value: Any) -> bool:
    """False where the file has another value than a table on the way, which the validator reports."""
    here: Any = tree
    for part in key[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            return False
    here[key[-1]] = value
    return True
