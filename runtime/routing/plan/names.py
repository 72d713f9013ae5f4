"""Model names: what the `model` of a request means on this box.

    auto                          decides                       Auto
    local, local/NAME             the box's engine, pinned      Pinned
    a target's name or model id   that target, pinned           Pinned
    PROVIDER/MODEL                configured: that target       Pinned
                                  else a provider's account     Lent
    an alias                      whatever it stands for
    anything else                 404, with the nearest names   Unknown

The first segment is the provider (`groq/openai/gpt-oss-120b`). Names are matched as written, then without regard to
case. `HEARTH_MODEL` (`Auto.first`) moves what `auto` does, not what `auto` is: such a plan keeps its fallbacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from runtime.contract.targets import LOCAL, Target

AUTO = "auto"

_ALIAS_STEPS = 8  # an alias of an alias of …; a ring ends here


@dataclass(frozen=True, slots=True)
class Pinned:
    """One target and no other. `target` is its name in the directory."""

    target: str


@dataclass(frozen=True, slots=True)
class Lent:
    """A model nobody configured, on the account of a configured target (`lender`, its name) of that provider."""

    provider: str
    model: str
    lender: str

    @property
    def target(self) -> str:
        """The name under which the fleet must carry it."""
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Auto:
    """Decide. `first`: where `HEARTH_MODEL` moves automatic traffic, None where it is not set."""

    first: Pinned | Lent | None = None


_AUTO = Auto()


@dataclass(frozen=True, slots=True)
class Unknown:
    name: str
    nearest: tuple[str, ...] = ()


Named = Auto | Pinned | Lent | Unknown


@dataclass(frozen=True, slots=True)
class Directory:
    """Every name this box answers to. Built once per settings by `build`.

    order: names of the configured cloud targets as the settings list them.
    exact: a name as written -> the target's name. lenders: provider -> the target whose account it lends.
    """

    local: str | None = None
    order: tuple[str, ...] = ()
    exact: Mapping[str, str] = field(default_factory=dict)
    lenders: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    auto: Auto = _AUTO

    @property
    def known(self) -> tuple[str, ...]:
        """Names worth suggesting."""
        return (AUTO, *self.exact, *self.aliases)


def build(
    local: Target | None,
    targets: Iterable[Target],
    aliases: Mapping[str, str],
    *,
    local_names: Iterable[str] = (),
    absent: Iterable[str] = (),
    override: str | None = None,
) -> Directory:
    """The directory of a box.

    local_names: other names of the engine's model (its catalogue name, its id in `/v1/models`, its folder).
    absent: names of targets without a usable key; they are known, but lend nothing.
    override: the value of HEARTH_MODEL. Raises ValueError when it names nothing.
    """
    clouds = tuple(targets)
    without = frozenset(absent)
    directory = Directory(
        local=local.name if local else None,
        order=tuple(target.name for target in clouds),
        exact=_exact(local, clouds, tuple(local_names)),
        lenders=_lenders(target for target in clouds if target.name not in without),
        aliases=dict(aliases),
    )
    return _overridden(directory, override) if override and override != AUTO else directory


def resolve(name: str, directory: Directory) -> Named:
    """What `name` means. Costs a few dictionary look-ups unless it is unknown."""
    seen = name
    for _ in range(_ALIAS_STEPS):
        meaning = _direct(seen, directory)
        if meaning is not None:
            return meaning
        if seen not in directory.aliases:
            break
        seen = directory.aliases[seen]
    return Unknown(name, tuple(get_close_matches(name, directory.known, n=3, cutoff=0.5)))


def _direct(name: str, directory: Directory) -> Named | None:
    if name == AUTO or name.lower() == AUTO:
        return directory.auto
    exact = directory.exact.get(name) or directory.exact.get(name.lower())
    if exact:
        return Pinned(exact)
    provider, _, model = name.partition("/")
    lender = directory.lenders.get(provider.lower())
    # An alias the operator wrote is more than a guess at a model of that provider.
    if lender is None or not model or name in directory.aliases:
        return None
    return Lent(provider.lower(), model, lender)


def _exact(local: Target | None, clouds: tuple[Target, ...], local_names: tuple[str, ...]) -> dict[str, str]:
    """First come, first served: local names, target names, PROVIDER/MODEL, then bare model ids."""
    exact: dict[str, str] = {}
    if local is not None:
        mine = [name for name in (local.model, *local_names) if name]
        _claim(exact, local.name, [LOCAL, local.name, *(f"{LOCAL}/{name}" for name in mine)])
    for target in clouds:
        _claim(exact, target.name, [target.name])
    for target in clouds:
        _claim(exact, target.name, [target.label])
    if local is not None:
        _claim(exact, local.name, mine)
    lending = {target.provider for target in clouds}
    for target in clouds:
        if target.model.partition("/")[0] not in lending or "/" not in target.model:
            _claim(exact, target.name, [target.model])
    return exact


def _claim(exact: dict[str, str], target: str, names: Iterable[str]) -> None:
    for name in names:
        exact.setdefault(name, target)
        exact.setdefault(name.lower(), target)


def _lenders(clouds: Iterable[Target]) -> dict[str, str]:
    lenders: dict[str, str] = {}
    for target in clouds:
        lenders.setdefault(target.provider, target.name)
    return lenders


def _overridden(directory: Directory, override: str) -> Directory:
    meaning = resolve(override, directory)
    if not isinstance(meaning, Pinned | Lent):
        near = (
            f"; did you mean {', '.join(meaning.nearest)}?" if isinstance(meaning, Unknown) and meaning.nearest else ""
        )
        raise ValueError(f"HEARTH_MODEL names no model of this box: {override!r}{near}")
    return Directory(
        directory.local, directory.order, directory.exact, directory.lenders, directory.aliases, Auto(meaning)
    )
