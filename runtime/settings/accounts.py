"""The keys of the settings: references resolved, default keys of providers found, targets without a key set aside.

Knows where secrets stand in the settings. Reads the files they are kept in; the environment is an argument.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.settings.faults import SettingsFault
from runtime.settings.model import LOCAL, Document, Settings
from runtime.settings.places import Key
from runtime.settings.secret import Secret, file_of
from runtime.settings.sections.section import Section
from runtime.settings.sections.targets import TargetSettings

SERVER_KEYS = ("keys", "admin_keys")
SINGLE_KEYS = (
    ("engine", "key"),
    ("fleet", "key"),
    ("fleet", "store_key"),
    ("autoscale", "token"),
    ("notices", "key"),
)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Resolves references. folder: where relative paths of `file:` begin."""

    env: Mapping[str, str]
    folder: Path

    def open(self, secret: Secret) -> Secret:
        return secret.resolved(self.env, self.folder)

    def file(self, secret: Secret) -> Path | None:
        return file_of(secret, self.env, self.folder)


def opened(document: Document, model_override: str | None, keyring: Keyring) -> tuple[Settings, list[SettingsFault]]:
    """The settings with every secret's value, and a fault for each key without which Hearth must not start."""
    keys = {name: tuple(map(keyring.open, getattr(document.server, name))) for name in SERVER_KEYS}
    # HEARTH_MODEL=PROVIDER/MODEL, and `prefer`, make a target with the provider's usual key where that provider has none.
    targets = dict(document.targets)
    moved = model_override or document.escalation.prefer
    provider, _, model = moved.partition("/")
    lent = moved if model and provider != LOCAL else None
    if lent and lent not in targets and all(target.provider != provider for target in targets.values()):
        targets[lent] = TargetSettings(provider=provider, model=model)
    accounts = {name: _account(target, keyring) for name, target in targets.items()}
    values = dict(document) | {
        "server": document.server.model_copy(update=keys),
        "targets": {name: target for name, (target, _) in accounts.items()},
        "absent": {name: why for name, (_, why) in accounts.items() if why},
        "model_override": model_override,
    }
    for section, name in SINGLE_KEYS:
        table: Section = values[section]
        if key := getattr(table, name):
            values[section] = table.model_copy(update={name: keyring.open(key)})
    settings = Settings.model_construct(_fields_set=set(document.model_fields_set), **values)
    faults: list[SettingsFault] = []
    for place, key in secrets(settings):
        # A target without its key is set aside instead; an engine that is started here needs none.
        if key.trouble and place[0] != "targets" and (place[0] != "engine" or settings.engine.url):
            or_without = ", or take it out" if place[0] == "server" else ""
            kind, _, where = key.reference.partition(":")
            remedy = f"set {where} in the environment" if kind == "env" else f"write the key into {where}"
            faults.append(SettingsFault(place, f"{key.reference} {key.trouble}: {remedy}{or_without}"))
    between = settings.fleet.key
    if between is not None and between.value in [key.value for each in keys.values() for key in each if key.value]:
        words = "is a key of clients too, and whoever has it passes for a Hearth: make another one"
        faults.append(SettingsFault(("fleet", "key"), f"{between.reference} {words}"))
    return settings, faults


def _account(target: TargetSettings, keyring: Keyring) -> tuple[TargetSettings, str | None]:
    """The target with its key, and a sentence on why it cannot be used; None if it can."""
    if target.key is not None:
        key = keyring.open(target.key)
        trouble = key.trouble
        return target.model_copy(update={"key": key}), f"its key {key.reference} {trouble}" if trouble else None
    usual = keyring.open(Secret(f"env:{usual_key(target.provider)}"))
    if not usual.trouble:
        return target.model_copy(update={"key": usual}), None
    if usual.empty and target.base_url:
        return target, None
    return target, f"it has no key: set {usual_key(target.provider)}, or its `key`"


def usual_key(provider: str) -> str:
    """The variable with a provider's key, for targets that name none."""
    return f"{re.sub(r'[^A-Za-z0-9]', '_', provider).upper()}_API_KEY"


def secrets(document: Document) -> Iterator[tuple[Key, Secret]]:
    """Every reference with its place."""
    for name in SERVER_KEYS:
        for index, key in enumerate(getattr(document.server, name)):
            yield ("server", name, index), key
    for section, name in SINGLE_KEYS:
        if key := getattr(getattr(document, section), name):
            yield (section, name), key
    for name, target in document.targets.items():
        if target.key:
            yield ("targets", name, "key"), target.key


def open_to_others(path: Path) -> bool:
    """True if every user of the machine may read a file; False if there is none."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
