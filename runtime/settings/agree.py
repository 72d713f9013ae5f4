"""Agreement between keys of different sections: names that must exist, an address that needs keys. Pure.

Reads the parsed file, so that these faults are found even where others keep it from being a `Document`; values of the
wrong type are skipped here, because the validator reports them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv6Address, ip_address
from typing import Any

from runtime.settings.environment import API_KEY
from runtime.settings.faults import SettingsFault, dotted
from runtime.settings.model import AUTO, LOCAL
from runtime.settings.places import Key
from runtime.settings.sections.engine import EngineSettings, LocalModel
from runtime.settings.sections.server import Server
from runtime.settings.spelling import nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_MODEL_NAME = 40  # it is part of a socket's path, of which a kernel takes 107 bytes
MODEL_OVERRIDE: Key = ("model_override",)
_MODEL_KEYS = (("escalation", "prefer"), ("budget", "baseline"), ("quality", "judge"))


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names a reference may have. providers: None leaves them unchecked."""

    targets: Collection[str]
    providers: Collection[str] | None = None

    def no_target(self, name: str, *also: str) -> str | None:
        """A sentence if a name is neither a target nor one of `also`, else None."""
        names = [*self.targets, *also]
        if name in (self.providers or ()):
            return None  # a provider that has no target here yet: nothing goes there (`read` warns)
        hint = nearest(name, names) or f": there is no [targets.{name}]"
        return None if name in names else f'"{name}" is no target{hint}'

    def no_provider(self, name: str) -> str | None:
        """A sentence if a name is no provider, else None."""
        if self.providers is None or name in self.providers:
            return None
        all_of_them = ", ".join(sorted(self.providers))
        return f'unknown provider "{name}"' + (nearest(name, self.providers) or f": one of {all_of_them}")

    def no_model(self, name: str) -> str | None:
        """A sentence if a name is not `auto`, `local`, `local/NAME`, PROVIDER/MODEL or a target, else None."""
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
    tree: Mapping[str, Any], providers: Collection[str] | None, override: str | None, *, created: bool = False
) -> Iterator[SettingsFault]:
    """Every fault between keys of a parsed file. override: what HEARTH_MODEL names. created: there are created keys."""
    known = KnownNames(list(_table(tree.get("targets"))), providers)
    server = _table(tree.get("server"))
    host, keyed = server.get("host", Server().host), server.get("keys") or server.get("admin_keys") or created
    if isinstance(host, str) and lets_strangers_in(host, socket=server.get("socket"), keyed=keyed):
        advice = (
            f'set server.keys = ["env:{API_KEY}"] and give {API_KEY} a value, create a key with `hearth keys create NAME`, '
            'or listen on "127.0.0.1"'
        )
        yield SettingsFault(("server", "host"), f'"{host}" lets other machines in, and no key is set: {advice}')
    for name, target in _table(tree.get("targets")).items():
        if name in (AUTO, LOCAL):
            words = f'"{name}" is a name of Hearth\'s own: call the target something else'
            yield SettingsFault(("targets", name), words)
        elif not _NAME.fullmatch(name):
            yield SettingsFault(("targets", name), 'a target\'s name is letters, digits, ".", "_" and "-" only')
        provider = _table(target).get("provider")
        if isinstance(provider, str) and provider and (trouble := known.no_provider(provider)):
            yield SettingsFault(("targets", name, "provider"), trouble)
    yield from _local_models(tree)
    for section, key in _MODEL_KEYS:
        named = _table(tree.get(section)).get(key)
        if isinstance(named, str) and named and (trouble := known.no_model(named)):
            yield SettingsFault((section, key), trouble)
    if fault := _judged_by_an_arm(tree):
        yield SettingsFault(("quality", "judge"), fault)
    yield from _references(tree, known)
    if override and (trouble := known.no_model(override)):
        yield SettingsFault(MODEL_OVERRIDE, trouble)


def _local_models(tree: Mapping[str, Any]) -> Iterator[SettingsFault]:
    """Faults in [models.NAME]: names that mean something else already, and more of a GPU than there is."""
    models, engine = _table(tree.get("models")), _table(tree.get("engine"))
    own = str(engine.get("model") or EngineSettings().model).lower()
    own = own.rstrip("/").rpartition("/")[2] if own.startswith(("/", "./", "../", "~")) else own
    taken = {own: "the engine's own model, which is local/NAME already"}
    taken |= {name.lower(): f"the target {name}" for name in _table(tree.get("targets"))}
    taken |= {name.lower(): f"the alias {name}" for name in _table(tree.get("aliases"))}
    shares: dict[str, Fraction] = {}
    adapted: list[tuple[Key, Mapping[str, Any]]] = [(("engine",), engine)]
    adapted += [(("models", name), _table(table)) for name, table in models.items()]
    for name, table in models.items():
        if name.lower() in (AUTO, LOCAL) or not _NAME.fullmatch(name) or len(name) > _LONGEST_MODEL_NAME:
            words = f'letters, digits, ".", "_" and "-" only, at most {_LONGEST_MODEL_NAME}, and not auto or local'
            yield SettingsFault(("models", name), f"a model's name is {words}")
        elif other := taken.get(name.lower()):
            yield SettingsFault(("models", name), f'"{name}" is also {other}: give one of them another name')
        taken[name.lower()] = f"models.{name}"
        gpus, share = _table(table).get("gpus"), _table(table).get("share", LocalModel.model_fields["share"].default)
        stays = _table(table).get("load", "always") == "always"
        listed = set(map(str, gpus)) if isinstance(gpus, list) and stays else set[str]()
        for gpu in listed if isinstance(share, int | float) and 0 < share <= 1 else ():
            before = shares.get(gpu, Fraction())
            shares[gpu] = before + Fraction(repr(float(share)))
            if shares[gpu] > 1 >= before:
                words = f"the models that are always on GPU {gpu} have shares of {float(shares[gpu]):g} together"
                yield SettingsFault(("models", name, "share"), f"{words}: more than all of it")
    for place, table in adapted:
        for name in _table(table.get("adapters")):
            if name.lower() in (AUTO, LOCAL) or not _NAME.fullmatch(name):
                words = 'an adapter\'s name is letters, digits, ".", "_" and "-" only, and not auto or local'
                yield SettingsFault((*place, "adapters", name), words)
            elif other := taken.get(name.lower()):
                words = f'"{name}" is also {other}: give one of them another name'
                yield SettingsFault((*place, "adapters", name), words)
            taken.setdefault(name.lower(), f"the adapter {dotted((*place, 'adapters', name))}")


def on_this_machine(host: str) -> bool:
    """True if an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def lets_strangers_in(host: str, *, socket: object, keyed: object) -> bool:
    """True if other machines reach the server and no key is asked for. Only local users reach a Unix socket."""
    return bool(host) and not socket and not keyed and not on_this_machine(host)


def _judged_by_an_arm(tree: Mapping[str, Any]) -> str | None:
    """A sentence if the judge is one of the models that answer, by alias, name or provider; else None."""
    judge, aliases = _table(tree.get("quality")).get("judge"), _table(tree.get("aliases"))
    if not isinstance(judge, str) or not judge:
        return None
    targets = {name: _table(each) for name, each in _table(tree.get("targets")).items()}
    named = aliases.get(judge, judge)
    own = next((name for name, each in targets.items() if named in (name, _label(each))), None)
    label = _label(targets[own]) if own is not None else str(named)
    routes, rules = _table(tree.get("routes")), tree.get("rules")
    listed = [name for names in routes.values() for _, name in _texts(names)]
    listed += [
        name for rule in (rules if isinstance(rules, list) else ()) for _, name in _texts(_table(rule).get("to"))
    ]
    # Clients are answered by what an alias means, and by what is preferred.
    more = (*aliases.values(), _table(tree.get("escalation")).get("prefer"))
    listed += [each for each in more if isinstance(each, str)]
    arms = dict.fromkeys([*listed, *(targets if not routes.get("default") else ())])
    if label.partition("/")[0] in (LOCAL, AUTO):
        return f'"{judge}" would judge its own answers'
    for name in arms:
        arm = _label(targets[name]) if name in targets else name
        if name == own or arm == label:
            return f'"{judge}" is the target {name}, which answers itself: name another, and list in routes.default who answers'
        if arm.partition("/")[0] == label.partition("/")[0]:
            return f'"{judge}" is of the same provider as {name}, whose answers it would judge'
    return None


def _label(target: Mapping[str, Any]) -> str:
    return f"{target.get('provider', '')}/{target.get('model', '')}"


def _references(tree: Mapping[str, Any], known: KnownNames) -> Iterator[SettingsFault]:
    """Faults in the names that routes, rules and aliases use."""
    for route, names in _table(tree.get("routes")).items():
        for index, name in _texts(names):
            if name == LOCAL:
                local = "a route is for what leaves the box: names of targets only"
                yield SettingsFault(("routes", route, index), local)
            elif trouble := known.no_target(name):
                yield SettingsFault(("routes", route, index), trouble)
    rules = tree.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        for index, name in _texts(_table(rule).get("to")):
            models = [f"{LOCAL}/{each}" for each in _table(tree.get("models"))]
            if trouble := known.no_target(name, LOCAL, *models):
                yield SettingsFault(("rules", number, "to", index), trouble)
    for alias, meaning in _table(tree.get("aliases")).items():
        if alias in (AUTO, LOCAL, *known.targets) or alias.startswith(f"{LOCAL}/"):
            taken = f'"{alias}" is already a model\'s name: an alias cannot change it'
            yield SettingsFault(("aliases", alias), taken)
        if isinstance(meaning, str) and meaning and (trouble := known.no_model(meaning)):
            yield SettingsFault(("aliases", alias), trouble)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    """The texts of a list with their indices; nothing for a value of another type."""
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, str) and entry:
            yield index, entry
