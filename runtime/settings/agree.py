"""How keys of different sections must agree: names that must exist, and what may not be open to others. Pure.

Reads the parsed file as it stands, so that these faults are told even where others keep it from being a `Document`;
what has the wrong type is passed over here, because the validator tells of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from runtime.settings.environment import API_KEY
from runtime.settings.faults import SettingsFault
from runtime.settings.model import AUTO, LOCAL
from runtime.settings.places import Key
from runtime.settings.sections.server import Server
from runtime.settings.spelling import nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MODEL_OVERRIDE: Key = ("model_override",)
_MODEL_KEYS = (("escalation", "prefer"), ("budget", "baseline"), ("quality", "judge"))


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names a reference may have. providers: None leaves them unchecked."""

    targets: Collection[str]
    providers: Collection[str] | None = None

    def no_target(self, name: str, *also: str) -> str | None:
        """Why a name is not one of a target, nor of `also`; None if it is."""
        names = [*self.targets, *also]
        if name in (self.providers or ()):
            return None  # a provider that has no target here yet: nothing goes there (`read` warns)
        hint = nearest(name, names) or f": there is no [targets.{name}]"
        return None if name in names else f'"{name}" is no target{hint}'

    def no_provider(self, name: str) -> str | None:
        """Why a name is not one of a provider; None if it is, or may be."""
        if self.providers is None or name in self.providers:
            return None
        all_of_them = ", ".join(sorted(self.providers))
        return f'unknown provider "{name}"' + (nearest(name, self.providers) or f": one of {all_of_them}")

    def no_model(self, name: str) -> str | None:
        """Why a name is not `auto`, `local`, `local/NAME`, PROVIDER/MODEL or a target's; None if it is."""
        if name in (AUTO, LOCAL) or name in self.targets:
            return None
        provider, slash, model = name.partition("/")
        if not slash:
            hint = nearest(name, [*self.targets, AUTO, LOCAL])
            return f'"{name}" is no model: auto, local, local/NAME, PROVIDER/MODEL or the name of a target{hint}'
        if not model:
            return f'"{name}" names no model after its provider'
        return None if provider == LOCAL else self.no_provider(provider)


def disagreements(
    tree: Mapping[str, Any], providers: Collection[str] | None, override: str | None
) -> Iterator[SettingsFault]:
    """Every fault between keys of a parsed file. override: what HEARTH_MODEL names."""
    known = KnownNames(list(_table(tree.get("targets"))), providers)
    yield from _exposure(_table(tree.get("server")))
    yield from _targets(_table(tree.get("targets")), known)
    for name in _table(tree.get("models")):
        if name in (AUTO, LOCAL) or not _NAME.fullmatch(name):
            yield SettingsFault(
                ("models", name), 'a model\'s name is letters, digits, ".", "_" and "-" only, and not auto or local'
            )
    for section, key in _MODEL_KEYS:
        named = _table(tree.get(section)).get(key)
        if isinstance(named, str) and named and (trouble := known.no_model(named)):
            yield SettingsFault((section, key), trouble)
    yield from _routes(_table(tree.get("routes")), known)
    yield from _rules(tree.get("rules"), known)
    yield from _aliases(_table(tree.get("aliases")), known)
    if override and (trouble := known.no_model(override)):
        yield SettingsFault(MODEL_OVERRIDE, trouble)


def on_this_machine(host: str) -> bool:
    """Whether an address reaches no further than this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _exposure(server: Mapping[str, Any]) -> Iterator[SettingsFault]:
    host = server.get("host", Server().host)
    if server.get("socket"):
        return  # only local users reach it, and its folder decides which
    if (
        isinstance(host, str)
        and host
        and not (server.get("keys") or server.get("admin_keys"))
        and not on_this_machine(host)
    ):
        yield SettingsFault(
            ("server", "host"),
            f'"{host}" lets other machines in, and no key is set: set server.keys = ["env:{API_KEY}"] '
            f'and give {API_KEY} a value, or listen on "127.0.0.1"',
        )


def _targets(targets: Mapping[str, Any], known: KnownNames) -> Iterator[SettingsFault]:
    for name, target in targets.items():
        if name in (AUTO, LOCAL):
            yield SettingsFault(
                ("targets", name), f'"{name}" is a name of Hearth\'s own: call the target something else'
            )
        elif not _NAME.fullmatch(name):
            yield SettingsFault(("targets", name), 'a target\'s name is letters, digits, ".", "_" and "-" only')
        for _, provider in _texts([_table(target).get("provider")]):
            if trouble := provider and known.no_provider(provider):
                yield SettingsFault(("targets", name, "provider"), trouble)


def _routes(routes: Mapping[str, Any], known: KnownNames) -> Iterator[SettingsFault]:
    for route, names in routes.items():
        for index, name in _texts(names):
            if name == LOCAL:
                yield SettingsFault(
                    ("routes", route, index), "a route is for what leaves the box: names of targets only"
                )
            elif trouble := known.no_target(name):
                yield SettingsFault(("routes", route, index), trouble)


def _rules(rules: Any, known: KnownNames) -> Iterator[SettingsFault]:
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        for index, name in _texts(_table(rule).get("to")):
            if trouble := known.no_target(name, LOCAL):
                yield SettingsFault(("rules", number, "to", index), trouble)


def _aliases(aliases: Mapping[str, Any], known: KnownNames) -> Iterator[SettingsFault]:
    for alias, meaning in aliases.items():
        if alias in (AUTO, LOCAL, *known.targets) or alias.startswith(f"{LOCAL}/"):
            yield SettingsFault(("aliases", alias), f'"{alias}" is already a model\'s name: an alias cannot change it')
        if isinstance(meaning, str) and meaning and (trouble := known.no_model(meaning)):
            yield SettingsFault(("aliases", alias), trouble)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    """The texts of a list with their places; nothing of what is no list."""
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, str) and entry:
            yield index, entry
