"""The end of a request: its decision record, and the error its caller is to show."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec
from msgspec import structs

from runtime.contract.reasons import Reason
from runtime.contract.usage import Usage
from runtime.dispatch.job import Outcome
from runtime.life.ask import Ask
from runtime.life.kept import Kept, KeptEngine, KeptTarget, limits_of
from runtime.money.cost import MICRO, cost
from runtime.record.decisions import Considered, Decision, milliseconds
from runtime.record.traces.context import PARENT, parent_of
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.demotion import of_task
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.picture import LocalState
from runtime.routing.plan.plan import NO_TARGET, Candidate, Plan, Rejected
from runtime.routing.plan.rules import matches
from runtime.wire.api_error import ApiError


class Settled(msgspec.Struct, frozen=True):
    """error: None where the whole answer went to the sink."""

    decision: Decision
    error: ApiError | None


class Known(NamedTuple):
    """The findings on a request before it was carried out; None where a fault came before them."""

    query: RoutingQuery | None = None
    plan: Plan | None = None
    kept: Kept | None = None
    personal: frozenset[str] = frozenset()


def decision_of(ask: Ask, known: Known, outcome: Outcome, status: int, times: tuple[float, float]) -> Decision:
    """The record of a request. times: unix seconds of arrival, total ms.

    Tokens and dollars are sums over all exchanges, those of failed and repeated attempts included; dollars also of the
    question to the local model.
    """
    query, plan, kept, kinds = known
    facts, headers = (query.facts if query is not None else None), ask.headers
    exchanges, meter = outcome.exchanges, outcome.meter
    paid = (*exchanges, outcome.judged) if outcome.judged is not None else exchanges
    costs = [round(each.cost_usd * MICRO) for each in paid if each.cost_usd is not None]
    reason = outcome.reason or (plan.reason if plan is not None else Reason.DEFAULT)
    away = NO_TARGET if outcome.target is not None and outcome.target.peer else None  # it left the box, to a peer
    weakened = tuple([each for each in plan.degraded if each != away]) if plan is not None else ()
    return Decision(
        id=ask.id,
        at=times[0],
        dialect=ask.dialect.name,
        model=facts.model if facts is not None else "",
        target=outcome.target.label if outcome.target else None,
        reason=reason,
        words=outcome.words or (plan.words if plan is not None else ""),
        degraded=(*weakened, *outcome.dropped, *(("resumed",) if outcome.resumed else ())),
        considered=considered(plan, outcome, times[0]),
        attempts=tuple(exchanges),
        prompt_tokens=sum([each.prompt_tokens for each in exchanges]),
        completion_tokens=sum([each.completion_tokens for each in exchanges]),
        cached_tokens=sum([each.cached_tokens for each in exchanges]),
        reasoning_tokens=sum([each.reasoning_tokens for each in exchanges]),
        estimated_tokens=facts.prompt_tokens if facts is not None else 0,
        score=kept.score if kept is not None else None,
        task=kept.task if kept is not None else None,
        stream=facts.stream if facts is not None else False,
        status=status,
        ttft_ms=milliseconds(outcome.first_token - ask.arrived) if outcome.first_token else None,
        total_ms=times[1],
        requires=tuple(sorted(facts.hints.requires if facts is not None else ask.requires | ask.caller.requires)),
        session=facts.hints.session if facts is not None else None,
        cost_usd=sum(costs) / MICRO if costs else None,
        advice=(plan.advice or None) if plan is not None else None,
        finish=meter.finish if meter else None,
        caller=ask.caller.id,
        kept=kept,
        personal=tuple(sorted(kinds)),
        judged=outcome.judged,
        trace=parent_of(headers[PARENT]) if PARENT in headers else "",
        origin=ask.origin,
    )


def considered(plan: Plan | None, outcome: Outcome, at: float) -> tuple[Considered, ...]:
    """Every target of the plan, and what the answer's tokens would have cost where it did not come from. at: unix seconds."""
    planned: tuple[Candidate | Rejected, ...] = (*plan.candidates, *plan.considered) if plan is not None else ()
    used = outcome.meter.usage if outcome.meter is not None else None
    if used is not None:  # what is cached at one target is not at another
        used = Usage(used.prompt, used.completion, reasoning=used.reasoning)
    places = []
    for each in planned:
        micro = cost(each.target, used, at) if each.target is not outcome.target else None
        dollars = None if micro is None else micro / MICRO
        places.append(Considered(each.target.label, each.reason, each.words, dollars))
    return tuple(places)


def kept_of(inputs: Inputs, plan: Plan, allowed: Collection[str] = ()) -> Kept:
    """The kept part of a decision. allowed: the targets that the caller's key allows, as patterns; empty: all."""
    query, fleet, policy, now = inputs.query, inputs.fleet, inputs.policy, inputs.now
    facts = structs.replace(query.facts, prefix=0, session=0, restricted=0)  # hashes: of text, or of this process alone
    # What the decision read of the rules: each that demands something, and the others up to the first that places it.
    held: list[str] = []
    missed: list[str] = []
    absent: list[str] = []
    placed, weighs = False, fleet.session is not None or policy.escalation.wait_usd_per_s > 0
    for name, rule in zip(policy.marks, policy.rules, strict=False):
        if rule.requires or not placed:
            holds = matches(query, rule.when)
            (held if holds else missed).append(name)
            placed = placed or (holds and bool(rule.to))
    closed: dict[str, float] = {}
    for name, state in fleet.targets.items():
        if state.absent:
            absent.append(name)
        elif not state.available:
            closed[name] = round((state.until or now) - now, 1)
    here = [each.target for each in plan.candidates if not each.target.peer]  # peers are no part of the decision
    return Kept(
        facts,
        plan.reason,
        tuple([each.name for each in here]),
        here[0].label if here else None,
        plan.refusal.code if plan.refusal is not None else "",
        *query.already_read,
        query.opinion,
        query.__dict__.get("language"),
        None if fleet.local is None else kept_engine(fleet.local, weighs=weighs),
        closed,
        policy.limits or limits_of(policy.escalation),
        tuple(held),
        tuple(missed),
        fleet.session,
        {
            name: KeptTarget.of(each.target, each.ttft_s, facts.prompt_tokens)
            for name, each in fleet.targets.items()
            if not each.absent
        }
        if weighs or facts.hints.max_cost_usd is not None
        else {},
        fleet.shift,
        of_task(fleet.demoted, query.task) if fleet.demoted and not plan.pinned else {},
        {name: round(each.renews_s or 0.0, 1) for name, each in fleet.targets.items() if each.spent},
        {name: kept_engine(each, weighs=weighs) for name, each in fleet.models.items()},
        tuple(sorted(allowed)),
        tuple(absent),
    )


def kept_engine(state: LocalState, *, weighs: bool) -> KeptEngine:
    """The kept part of the state of the engine, or of a model beside its own. weighs: its price was weighed."""
    price = state.target.price if weighs else None
    return KeptEngine(
        state.replicas_ready,
        state.starting,
        state.given_up,
        state.ready_in_s,
        state.pressure.over,
        state.pressure.ratios,
        state.predicted_ttft_s,
        state.wait_s,
        state.target.capabilities.context_tokens,
        None if price is None else (price.input, price.output),
        state.share,
        not state.alone,
        state.successor,
    )
