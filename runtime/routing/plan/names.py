"""Model names: the meaning of a request's `model` on this box.

    auto                          decides                       Auto
    local, local/NAME             the box's engine, pinned      Pinned
    a target's name or model id   that target, pinned           Pinned
    PROVIDER/MODEL                configured: that target       Pinned
                                  else a provider's account     Lent
    an alias                      the name it stands for
    anything else                 404, with the nearest names   Unknown

The first segment is the provider (`groq/openai/gpt-oss-120b`). Names are matched as written, then without regard to
case. `HEARTH_MODEL` and `[escalation] prefer` (`Auto.first`) move what `auto` does, not what `auto` is: such a plan keeps
its fallbacks.

A name that a client makes up reaches a response header and the upstream's request. It is taken as a model only if it is
printable ASCII of at most `LONGEST_NAME` characters; names from the settings are checked there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from runtime.contract.targets import LOCAL, Target
from runtime.routing.facts.facts import LONGEST_NAME

AUTO = "auto"

_ALIAS_STEPS = 8  # an alias of an alias of …; a ring ends here


@dataclass(frozen=True, slots=True)
class Pinned:
    """One target and no other. `target` is its name in the directory.

    served: the engine's id of a model it serves beside its first, an adapter say; None for the target's own.
    """

    target: str
    served: str | None = None


@dataclass(frozen=True, slots=True)
class Lent:
    """A model without settings, on the account of a configured target (`lender`, its name) of that provider."""

    provider: str
    model: str
    lender: str

    @property
    def target(self) -> str:
        """The name under which the fleet must carry it."""
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Auto:
    """Decide. first: the target to which a setting moves automatic traffic, None without one. by: that setting."""

    first: Pinned | Lent | None = None
    by: str = ""


_AUTO = Auto()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name without a meaning, with known names that look like it."""

    name: str
    nearest: tuple[str, ...] = ()


Named = Auto | Pinned | Lent | Unknown


@dataclass(frozen=True, slots=True)
class Directory:
    """Every name this box answers to. Built once per settings by `build`.

    order: names of the configured cloud targets as the settings list them.
    exact: a name as written -> the target's name. lenders: provider -> the target whose account it lends.
    offered: models that no setting names, by which a refusal can say who could. served: names of the engine's own models, as
    `build` takes them. adapters: target and id of each LoRA adapter.
    """

    local: str | None = None
    order: tuple[str, ...] = ()
    exact: Mapping[str, str] = field(default_factory=dict)
    lenders: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    auto: Auto = _AUTO
    offered: tuple[Target, ...] = ()
    served: Mapping[str, str | None] = field(default_factory=dict)
    adapters: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def known(self) -> tuple[str, ...]:
        """Names worth suggesting."""
        return (AUTO, *self.exact, *self.aliases)


def build(
    local: Target | None,
    targets: Iterable[Target],
    aliases: Mapping[str, str],
    *,
    served: Mapping[str, str | None] | None = None,
    absent: Iterable[str] = (),
    override: str | None = None,
    prefer: str = "",
    offered: Iterable[Target] = (),
    models: Sequence[tuple[str, Target]] = (),
    adapters: Mapping[str, str] | None = None,
) -> Directory:
    """The directory of a box.

    served: names that the engine answers to now -> the id to be sent, None for its first model's.
    models: local models beside the engine's own, each with its id, which is a name of it too where it is nothing else's.
    adapters: name of the local target of each LoRA adapter.
    absent: names of targets without a usable key; they are known, but lend nothing.
    override: the value of HEARTH_MODEL; prefer: that of the settings, where there is no override. Raises ValueError when
    it names nothing.
    """
    clouds = tuple(targets)
    directory = Directory(
        local=local.name if local else None,
        order=tuple(target.name for target in clouds),
        exact=_exact(local, clouds, tuple(served or ()), models, adapters or {}),
        lenders=lenders_of(clouds, frozenset(absent)),
        aliases=dict(aliases),
        offered=tuple(offered),
        served={name.lower(): each for name, each in (served or {}).items()} | dict(served or {}),
        adapters={spelt: (to, name) for name, to in (adapters or {}).items() for spelt in (name.lower(), name)},
    )
    wanted, by = (override, "HEARTH_MODEL") if override else (prefer, "escalation.prefer")
    if not wanted or wanted == AUTO:
        return directory
    meaning = resolve(wanted, directory)
    if isinstance(meaning, Pinned | Lent):
        return replace(directory, auto=Auto(meaning, by))
    near = isinstance(meaning, Unknown) and meaning.nearest
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(f"{by} names no model of this box: {wanted!r}{hint}")


def lenders_of(targets: Iterable[Target], absent: Collection[str]) -> dict[str, str]:
    """The target of each provider whose account is lent: the first that is not absent, by name."""
    lenders: dict[str, str] = {}
    for target in targets:
        if target.name not in absent:
            lenders.setdefault(target.provider, target.name)
    return lenders


def resolve(name: str, directory: Directory) -> Named:
    """The meaning of `name`. Costs a few dictionary look-ups unless it is unknown."""
    seen = name
    for _ in range(_ALIAS_STEPS):
        # (1) The decision itself.
        if seen == AUTO or seen.lower() == AUTO:
            return directory.auto
        # (2) A name of the settings.
        exact = directory.exact.get(seen) or directory.exact.get(seen.lower())
        if exact:
            bare = seen.removeprefix(f"{LOCAL}/")
            to, adapter = directory.adapters.get(bare) or directory.adapters.get(bare.lower()) or ("", None)
            if adapter is not None and to == exact:
                return Pinned(exact, adapter)
            bare = bare if exact == directory.local else ""
            return Pinned(exact, directory.served.get(bare) or directory.served.get(bare.lower()))
        # (3) An alias: the operator wrote it, which is more than a guess at a model of that provider.
        if seen in directory.aliases:
            seen = directory.aliases[seen]
            continue
        # (4) A model that is not configured, on its provider's account.
        provider, _, model = seen.partition("/")
        lender = directory.lenders.get(provider.lower())
        if lender is not None and model and seen.isascii() and seen.isprintable() and len(seen) <= LONGEST_NAME:
            return Lent(provider.lower(), model, lender)
        break
    # (5) Unknown. The nearest names are searched for short names alone: the search is quadratic.
    near = get_close_matches(name, directory.known, n=3, cutoff=0.5) if len(name) <= LONGEST_NAME else []
    return Unknown(name, tuple(near))


def _exact(
    local: Target | None,
    clouds: tuple[Target, ...],
    local_names: tuple[str, ...],
    models: Sequence[tuple[str, Target]],
    adapters: Mapping[str, str],
) -> dict[str, str]:
    """First come, first served: local names, target names, PROVIDER/MODEL, then bare model ids."""
    exact: dict[str, str] = {}

    def claim(target: str, *names: str) -> None:
        for name in names:
            exact.setdefault(name, target)
            exact.setdefault(name.lower(), target)

    bare = [name for name in (local.model, *local_names) if name] if local is not None else []
    if local is not None:
        claim(local.name, LOCAL, local.name, *[f"{LOCAL}/{name}" for name in bare])
    for _, target in models:
        claim(target.name, target.label, target.model)
    for name, to in adapters.items():
        claim(to, f"{LOCAL}/{name}")
    for target in clouds:
        claim(target.name, target.name)
    for target in clouds:
        claim(target.name, target.label)
    if local is not None:
        claim(local.name, *bare)
    for name, to in adapters.items():
        claim(to, name)
    for ident, target in models:
        claim(target.name, f"{LOCAL}/{ident}", ident)
    lending = {target.provider for target in clouds}
    for target in clouds:
        if target.model.partition("/")[0] not in lending or "/" not in target.model:
            claim(target.name, target.model)
    return exact
