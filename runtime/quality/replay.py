"""Recorded decisions made again under other settings, by the same `plan()`. Pure.

A record holds facts and no text. What the settings ask of the text beyond it (a new rule on keywords, a header or metadata, a
score nobody had computed) cannot be answered, and is counted as such instead of guessed. Certificates that a rule demanded
stay demanded.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from runtime.contract.pressure import Pressure
from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL, Target
from runtime.contract.usage import Usage
from runtime.life.kept import LIMITS, Kept, KeptEngine, limits_of, mark
from runtime.life.permitted import limited
from runtime.life.planning import IdleFleet
from runtime.money.cost import MICRO, cost
from runtime.record.decisions import Decision
from runtime.routing.facts.query import PromptText, RoutingQuery
from runtime.routing.plan.demotion import ALL_TASKS, NO_DEMOTIONS
from runtime.routing.plan.names import AUTO, Auto, Lent, Pinned, Unknown, lenders_of, resolve
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, RoutingPolicy, plan
from runtime.routing.plan.refusals import ENGINE_NOT_READY, QUEUE_FULL
from runtime.routing.plan.rules import demanded
from runtime.settings import Escalation, Rule, When

_LIMITS = {
    Reason.QUEUE_DEPTH: LIMITS.index("queue_limit"),
    Reason.KV_CACHE: LIMITS.index("kv_limit"),
    Reason.GPU: LIMITS.index("gpu_limit"),
    Reason.TTFT: LIMITS.index("ttft_ms"),
}
_ANY = When()
_ON_BOX = f"{LOCAL}/"


class Unanswerable(Exception):
    """The settings ask for something of the request that was not kept. The message names it."""


class _Lost(Mapping[str, str]):
    """Headers or metadata of which none was kept."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getitem__(self, key: str) -> str:
        raise Unanswerable(f"{self._name} of the request")

    def __iter__(self) -> Iterator[str]:
        raise Unanswerable(f"{self._name} of the request")

    def __len__(self) -> int:
        raise Unanswerable(f"{self._name} of the request")


class _LostText(PromptText):
    """The text of a request of which none was kept."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name in ("headers", "metadata"):
            return _Lost(name)
        raise Unanswerable("the text of the request")


def replayed(kept: Kept, policy: RoutingPolicy, box: IdleFleet) -> Plan:
    """The plan for a recorded request, with the targets of `box`. Raises Unanswerable."""
    query = RoutingQuery(kept.facts, _LostText(), kept.opinion)
    known = {"task": kept.task, "score": kept.score, "language": kept.language}
    query.__dict__.update({name: value for name, value in known.items() if value is not None})
    # (1) Rules whose condition was looked at then are known to hold or not.
    rules: list[Rule] = []
    for rule in policy.rules:
        name = mark(rule.when)
        if name not in kept.missed:
            rules.append(rule.model_copy(update={"when": _ANY}) if name in kept.held else rule)
    if more := demanded(query, rules) - kept.facts.hints.requires:
        query = query.demanding(more)
    # (2) The box as it was, with the targets as they are now. One without a key lent no account.
    directory = policy.directory
    if kept.absent:
        lenders = lenders_of(box.usable.values(), kept.absent)
        directory = dataclasses.replace(directory, lenders=lenders)
        policy = dataclasses.replace(policy, directory=directory)
    named = directory.auto if query.facts.model == AUTO else resolve(query.facts.model, directory)
    local = directory.local
    engine = kept.order == (local,) or kept.code in (QUEUE_FULL, ENGINE_NOT_READY)
    if isinstance(named, Unknown) and engine and local is not None:
        named = Pinned(local)  # an attached engine answers to names that it says itself: to this one it did
    first = named.first if isinstance(named, Auto) else named
    states = _targets(kept, box, first if isinstance(first, Lent) else None)
    state = None if kept.engine is None else _engine(kept.engine, kept.limits, policy.escalation, box.local)
    models = {name: LocalState(target) for name, target in box.models.items()}
    for name in kept.models.keys() & models.keys():
        models[name] = _engine(kept.models[name], kept.limits, policy.escalation, box.models[name])
    shift = kept.shift if policy.escalation.cloud_share else 0.0
    demoted = {ALL_TASKS: kept.demoted} if kept.demoted else NO_DEMOTIONS
    fleet = Fleet(state, states, kept.session, shift, demoted, models)
    made = plan(query, named, fleet, dataclasses.replace(policy, rules=tuple(rules)), 0.0)
    return (limited(made, kept.allowed) or made) if kept.allowed else made


def _targets(kept: Kept, box: IdleFleet, lent: Lent | None) -> dict[str, TargetState]:
    """The targets off the box, at their prices of that moment, behind their breakers and budgets as those were."""
    known = dict(box.usable)
    if lent is not None:
        known.setdefault(lent.target, box.lend(lent))
    states = {name: TargetState(target) for name, target in known.items()}
    for name in known.keys() & kept.targets.keys():
        then = kept.targets[name]
        states[name] = TargetState(then.priced(known[name]), ttft_s=then.ttft_s)
    for name, wait_s in kept.closed.items():
        if name in states:
            states[name] = structs.replace(states[name], available=False, why="its breaker was open", until=wait_s)
    for name, wait_s in kept.spent.items():
        if name in states:
            states[name] = structs.replace(states[name], spent=f"the budget of {name} was spent", renews_s=wait_s)
    gone = {name: (known[name], f"{name} had no key then") for name in kept.absent if name in known}
    for name, (target, why) in (gone | dict(box.absent)).items():
        # Nothing was known of it but its name and its certificates.
        bare = Target(name, target.provider, target.model, certified=target.certified)
        states[name] = TargetState(bare, available=False, why=why, absent=True)
    return states


def _engine(kept: KeptEngine, limits: tuple[float, ...], escalation: Escalation, local: Target) -> LocalState:
    """The engine's state under other thresholds."""
    capabilities = dataclasses.replace(local.capabilities, context_tokens=kept.context)
    ratios, over = dict(kept.ratios), kept.over
    if limits != limits_of(escalation):
        for reason, wanted in ((Reason.QUEUE_DEPTH, escalation.queue_depth), (Reason.KV_CACHE, escalation.kv_cache)):
            if wanted != "auto" and reason not in ratios and kept.ready:
                raise Unanswerable(f"the {reason.replace('_', ' ')} at that moment")
        now = limits_of(escalation)
        for reason, place in _LIMITS.items():
            if reason in ratios:
                ratios[reason] = ratios[reason] * limits[place] / now[place] if now[place] else 1.0
        crossed = [reason for reason, ratio in ratios.items() if ratio >= 1.0]
        over = max(crossed, key=lambda reason: (ratios[reason], reason)) if crossed else None
    pressure = Pressure(over, max(ratios.values(), default=0.0), f"{over} over its threshold" if over else "", ratios)
    price = None if kept.price is None else Price(*kept.price, cache_read=0.0, source="as it was then")
    return LocalState(
        dataclasses.replace(local, capabilities=capabilities, price=price or local.price),
        kept.ready,
        kept.starting,
        kept.given_up,
        kept.ready_in_s,
        pressure,
        kept.predicted_ttft_s,
        kept.wait_s,
        not kept.queued,
        kept.share,
        successor=kept.successor,
    )


class Moved(msgspec.Struct, frozen=True):
    """A request that would go elsewhere. before, after: the first candidate's label, None: refused."""

    id: str
    before: str | None
    after: str | None
    reason_before: str
    reason_after: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded traffic under two settings.

    decisions: looked at; unkept: of them, those of an older Hearth, without what a replay needs. unanswerable: how many ask
    for what was not kept, by what that is. Shares: of requests whose first choice leaves the box. Costs: dollars, of what has a
    price; unpriced: requests without one under the other settings. TTFT: median of the first choices, ms: the engine's as
    predicted at that moment, a cloud's as seen over the same records.
    """

    decisions: int
    replayed: int
    unkept: int
    unanswerable: dict[str, int]
    moved: tuple[Moved, ...]
    share_before: float | None
    share_after: float | None
    cost_usd_before: float
    cost_usd_after: float
    unpriced: int
    ttft_ms_before: float | None
    ttft_ms_after: float | None


def report(decisions: Iterable[Decision], policy: RoutingPolicy, box: IdleFleet) -> Report:
    """Replays every decision that holds what it takes."""
    every = list(decisions)
    seen = [(each.target, each.ttft_ms) for each in every if each.target and each.ttft_ms is not None]
    typical = {label: statistics.median([ms for other, ms in seen if other == label]) for label in dict(seen)}
    moved: list[Moved] = []
    unanswerable: Counter[str] = Counter()
    unkept = 0
    leaves: list[tuple[bool, bool]] = []
    costs: list[tuple[float, float | None]] = []
    waits: list[tuple[float, float]] = []
    for each in every:
        try:
            kept = msgspec.convert(each.kept, Kept)
            plan = replayed(kept, policy, box)
        except msgspec.ValidationError:
            unkept += 1
            continue
        except Unanswerable as why:
            unanswerable[str(why)] += 1
            continue
        before, first = kept.first, plan.candidates[0].target if plan.candidates else None
        same = (
            first is not None and first.local and kept.order[:1] == (first.name,)
        )  # whatever the engine calls its model
        after = before if same else first.label if first is not None else None
        if before != after:
            moved.append(Moved(each.id, before, after, kept.reason, plan.reason))
        if before is None or after is None or first is None:
            continue
        leaves.append((not before.startswith(_ON_BOX), not after.startswith(_ON_BOX)))
        costs.append((paid := each.cost_usd or 0.0, paid if after == each.target else _cost(each, first)))
        predicted = kept.engine.predicted_ttft_s * 1000 if kept.engine is not None else 0.0
        both = [predicted if label.startswith(_ON_BOX) else typical.get(label) for label in (before, after)]
        if both[0] is not None and both[1] is not None:
            waits.append((both[0], both[1]))
    return Report(
        decisions=len(every),
        replayed=len(every) - unkept - unanswerable.total(),
        unkept=unkept,
        unanswerable=dict(unanswerable),
        moved=tuple(moved),
        share_before=_mean([one for one, _ in leaves]),
        share_after=_mean([other for _, other in leaves]),
        cost_usd_before=round(sum(one for one, _ in costs), 6),
        cost_usd_after=round(sum(other or 0.0 for _, other in costs), 6),
        unpriced=sum(other is None for _, other in costs),
        ttft_ms_before=_median([one for one, _ in waits]),
        ttft_ms_after=_median([other for _, other in waits]),
    )


def _cost(decision: Decision, target: Target) -> float | None:
    """Dollars of a recorded answer's tokens on another target, nothing of the prompt cached. The box's own: 0 where unknown."""
    usage = Usage(prompt=decision.prompt_tokens, completion=decision.completion_tokens)
    found = cost(target, usage, decision.at)
    if found is None:
        return 0.0 if target.local else None
    return found / MICRO


def _mean(values: Sequence[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None
