"""The configured targets made callable: facts from the catalogue and the settings, accounts, the policy over them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cloud import backend as cloud
from cloud.client import CloudClient
from cloud.offers import KNOWN, offer
from local_models.backend import idle_target
from local_models.facts.catalogue import known_as
from runtime.compose.adapters import adapters_of
from runtime.compose.engine import engine_spec
from runtime.compose.models import idle_models, tasks_of
from runtime.contract.backend import Backend
from runtime.contract.guard import Guard
from runtime.contract.targets import LOCAL, Target
from runtime.fleet.fleet import Clouds
from runtime.life.kept import limits_of, mark
from runtime.life.planning import IdleFleet, IdlePlanner, Planner
from runtime.routing.confidence import ConfidenceMap
from runtime.routing.plan import names
from runtime.routing.plan.names import Lent
from runtime.routing.plan.plan import RoutingPolicy
from runtime.settings import Settings, TargetSettings

_RETIRES_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Configured:
    """A configured target, and the account it is called on."""

    target: Target
    account: cloud.Account


class Targets(NamedTuple):
    """The targets that can be called, and those that cannot with the reason, by name."""

    usable: dict[str, Configured]
    absent: dict[str, tuple[Target, str]]


def targets(settings: Settings, *, keyless: bool = False) -> Targets:
    """keyless: a target without a key counts as usable, because nothing is called."""
    usable: dict[str, Configured] = {}
    absent: dict[str, tuple[Target, str]] = {}
    for name, wanted in settings.targets.items():
        why = _why_absent(name, wanted, {} if keyless else settings.absent)
        if why is None:
            usable[name] = _configured(name, wanted, settings)
        else:
            absent[name] = (Target(name, wanted.provider, wanted.model, certified=frozenset(wanted.certified)), why)
    return Targets(usable, absent)


def _why_absent(name: str, wanted: TargetSettings, without_key: Mapping[str, str]) -> str | None:
    if wanted.region and not wanted.base_url and wanted.region not in (known := offer(wanted.provider).regions):
        there = f"it has {', '.join(known)}" if known else "none is chosen by an address"
        return f"{wanted.provider} has no region {wanted.region!r}: {there}"
    return without_key.get(name)


def _configured(name: str, wanted: TargetSettings, settings: Settings) -> Configured:
    account = cloud.Account(
        wanted.provider,
        wanted.base_url,
        wanted.key.value if wanted.key is not None else None,
        frozenset(wanted.certified),
        wanted.api_version,
        settings.timeouts_of(name),
        name,
        wanted.region or "",
    )
    plain = cloud.plain_capabilities(
        wanted.provider, wanted.model, own_server=not cloud.is_vendors(wanted.provider, wanted.base_url)
    )
    price = wanted.price.contract if wanted.price is not None else None
    return Configured(cloud.facts(name, account, wanted.model, wanted.capabilities(plain), price), account)


def clouds(known: Targets, client: CloudClient, guard: Guard) -> Clouds:
    """Everything off the box, made callable. guard: is shown all that is about to leave."""

    def now() -> datetime:
        return datetime.now(UTC)

    def lend(lent: Lent) -> Backend:
        account = known.usable[lent.lender].account
        return cloud.connect(client, cloud.facts(lent.target, account, lent.model, None, None), account, guard, now)

    backends = {
        name: cloud.connect(client, each.target, each.account, guard, now) for name, each in known.usable.items()
    }
    return Clouds(backends, known.absent, lend)


def policy(
    settings: Settings,
    local: Target,
    known: Targets,
    served: Mapping[str, str | None] | None = None,
    adapters: Mapping[str, str] | None = None,
) -> RoutingPolicy:
    """served: names that the engine answers to now. adapters: the local target of each that is loaded; None: as the settings
    have them. Raises ValueError where HEARTH_MODEL or
    `prefer` names nothing of this box."""
    usable, absent = known
    every = [usable[name].target if name in usable else absent[name][0] for name in settings.targets]
    offered = cloud.offered({each.account.provider: each.account for each in reversed(usable.values())})
    directory = names.build(
        local,
        every,
        settings.aliases,
        served=served,
        absent=tuple(absent),
        override=settings.model_override,
        prefer=settings.escalation.prefer,
        offered=offered,
        models=[(known_as(settings.models[each.model].model), each) for each in idle_models(settings).values()],
        adapters={name: to for name, (to, _) in adapters_of(settings).items()} if adapters is None else adapters,
    )
    return RoutingPolicy(
        settings.escalation,
        settings.rules,
        settings.routes,
        directory,
        batch_leaves=settings.batch.escalate,
        when_spent=settings.budget.when_spent,
        marks=tuple([mark(rule.when) for rule in settings.rules]),
        limits=limits_of(settings.escalation),
        tasks=tasks_of(settings),
        beyond={f"{LOCAL}/{name}": each.complexity for name, each in settings.models.items() if each.complexity < 1},
    )


def retiring(settings: Settings, today: date) -> list[str]:
    """A sentence for every configured model that its provider ends soon, or has ended."""
    lines = []
    for name, wanted in settings.targets.items():
        known = cloud.plain_capabilities(wanted.provider, wanted.model, own_server=False)
        if known.retires_on is not None and known.retires_on <= today + _RETIRES_SOON:
            verb = "was retired" if known.retires_on < today else "will be retired"
            lines.append(
                f"target {name}: {wanted.model} {verb} by its provider on {known.retires_on}: "
                f"hearth eval compare {name} {wanted.provider}/MODEL puts its successor beside it"
            )
    return lines


def certificates(settings: Settings) -> dict[str, frozenset[str]]:
    """The certificates in force, by target name, those of an attached engine under "local"."""
    held = {name: frozenset(each.certified) for name, each in settings.targets.items()}
    return {**held, LOCAL: frozenset(settings.engine.certified)}


def unoffered(settings: Settings) -> list[str]:
    """A sentence for every certificate that the settings claim of a provider and that its documents do not offer."""
    lines = []
    for name, wanted in settings.targets.items():
        if wanted.base_url is not None:
            continue  # a server of one's own: nobody else knows what holds there
        known = offer(wanted.provider)
        for claimed in sorted((KNOWN & set(wanted.certified)) - known.offers):
            documents = " and ".join(known.sources)
            words = f"{wanted.provider} offers no {claimed!r} that this version knows of ({documents})"
            lines.append(f"targets.{name}.certified: {words}: check your contract")
    return lines


def leaving(settings: Settings) -> list[str]:
    """A sentence on the prompts that leave for their score; none where none can."""
    escalation, routes = settings.escalation, settings.routes
    order = (*routes.complex, *(routes.default or settings.targets))
    usable = [name for name in dict.fromkeys(order) if name in settings.usable_targets]
    limits = escalation.complexity
    by_task = limits if isinstance(limits, Mapping) else {"default": limits}
    shown = ", ".join(f"{limit:g}" if task == "default" else f"{limit:g} for {task}" for task, limit in by_task.items())
    if not usable or escalation.mode != "act" or all(limit >= 1 for limit in by_task.values()):
        return []
    moved = f", moved to hold a cloud share of {escalation.cloud_share:g}," if escalation.cloud_share else ""
    return [
        f"a prompt that scores {shown} or more{moved} leaves for {usable[0]}; escalation.complexity = 1 keeps it here"
    ]


def offline_planner(
    settings: Settings,
    clock: Callable[[], float] = time.monotonic,
    confidence: Mapping[str, ConfidenceMap] | None = None,
    *,
    keyless: bool = False,
) -> IdlePlanner:
    """Decides as a runtime on an idle box would. Opens no socket, starts nothing.

    confidence: the maps of its models. keyless: a target without a key counts as usable: for records, which know who had none.
    """
    local = idle_target(
        engine_spec(settings, Path()), frozenset(settings.engine.certified), settings.timeouts_of("local")
    )
    known = targets(settings, keyless=keyless)
    accounts = {name: each.account for name, each in known.usable.items()}

    def lend(lent: Lent) -> Target:
        return cloud.facts(lent.target, accounts[lent.lender], lent.model, None, None)

    usable = {name: each.target for name, each in known.usable.items()}
    fleet = IdleFleet(local, usable, known.absent, lend, idle_models(settings))
    return IdlePlanner(Planner(replace(policy(settings, local, known), confidence=confidence or {})), fleet, clock)
