"""Whose key opens what: secrets resolved, keys that are left out found, targets without one set aside with the reason.

Knows where secrets stand in the settings. Reads the files they are kept in; the environment comes in.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.settings.faults import Fault
from runtime.settings.model import LOCAL, Document, Settings, TargetSettings
from runtime.settings.places import Key
from runtime.settings.secret import Secret, file_of

SERVER_KEYS = ("keys", "admin_keys")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Resolves references. folder: where relative paths of `file:` begin."""

    env: Mapping[str, str]
    folder: Path

    def open(self, secret: Secret) -> Secret:
        return secret.resolved(self.env, self.folder)

    def file(self, secret: Secret) -> Path | None:
        return file_of(secret, self.env, self.folder)


def opened(document: Document, model_override: str | None, keyring: Keyring) -> tuple[Settings, list[Fault]]:
    """The settings with every secret's value, and a fault for each key without which Hearth must not start."""
    keys = {name: tuple(map(keyring.open, getattr(document.server, name))) for name in SERVER_KEYS}
    server = document.server.model_copy(update=keys)
    engine_key = document.engine.key and keyring.open(document.engine.key)
    targets = _with_lent(document.targets, model_override)
    accounts = {name: _account(target, keyring) for name, target in targets.items()}
    values = dict(document) | {
        "server": server,
        "engine": document.engine.model_copy(update={"key": engine_key} if engine_key else {}),
        "targets": {name: target for name, (target, _) in accounts.items()},
        "absent": {name: why for name, (_, why) in accounts.items() if why},
        "model_override": model_override,
    }
    settings = Settings.model_construct(_fields_set=set(document.model_fields_set), **values)
    return settings, list(_refusals(settings))


def _with_lent(targets: Mapping[str, TargetSettings], override: str | None) -> dict[str, TargetSettings]:
    """HEARTH_MODEL=PROVIDER/MODEL makes a target, with the provider's usual key, where that provider has none."""
    provider, slash, model = (override or "").partition("/")
    known = provider == LOCAL or override in targets or any(target.provider == provider for target in targets.values())
    lent = {} if known or not slash or override is None else {override: TargetSettings(provider=provider, model=model)}
    return {**targets, **lent}


def _account(target: TargetSettings, keyring: Keyring) -> tuple[TargetSettings, str | None]:
    """The target with its key, and why it cannot be used, if so."""
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
    """The variable a provider's key is looked for in when a target names none."""
    return f"{re.sub(r'[^A-Za-z0-9]', '_', provider).upper()}_API_KEY"


def _refusals(settings: Settings) -> Iterator[Fault]:
    for name in SERVER_KEYS:
        for index, key in enumerate(getattr(settings.server, name)):
            if key.trouble:
                yield Fault(("server", name, index), f"{key.reference} {key.trouble}: {_remedy(key)}, or take it out")
    key_of_engine = settings.engine.key
    if settings.engine.url and key_of_engine and key_of_engine.trouble:
        yield Fault(("engine", "key"), f"{key_of_engine.reference} {key_of_engine.trouble}: {_remedy(key_of_engine)}")


def _remedy(secret: Secret) -> str:
    kind, _, place = secret.reference.partition(":")
    return f"set {place} in the environment" if kind == "env" else f"write the key into {place}"


def secrets(document: Document) -> Iterator[tuple[Key, Secret]]:
    """Every reference with its place."""
    for name in SERVER_KEYS:
        for index, key in enumerate(getattr(document.server, name)):
            yield ("server", name, index), key
    if document.engine.key:
        yield ("engine", "key"), document.engine.key
    for name, target in document.targets.items():
        if target.key:
            yield ("targets", name, "key"), target.key


def open_to_others(path: Path) -> bool:
    """Whether every user of the machine may read a file; False where there is none."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
