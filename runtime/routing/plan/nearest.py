"""The nearest things that would have changed a decision: one input is moved at a time, and the plan is made again.

A move has a distance from 0 (it would have happened with a little less) to 1 and more (it takes another box or request). For
explanations alone: a decision never costs this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runtime.contract.pressure import CALM, Pressure
from runtime.contract.reasons import Reason
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.demotion import NO_DEMOTIONS
from runtime.routing.plan.names import Auto, Named
from runtime.routing.plan.picture import Fleet
from runtime.routing.plan.plan import EXTRACTION, Plan, RoutingPolicy, plan

_FURTHER = 1.0  # distance of what takes another state of the box


class Inputs(NamedTuple):
    """All that a plan is made from."""

    query: RoutingQuery
    named: Named
    fleet: Fleet
    policy: RoutingPolicy
    now: float

    def plan(self) -> Plan:
        return plan(*self)


class Move(NamedTuple):
    """One input moved. words: the input as it would be, and as it is."""

    words: str
    distance: float
    inputs: Inputs


class Change(msgspec.Struct, frozen=True):
    """The effect of a move. target: the label of the one asked first, None where the request would be refused."""

    words: str
    target: str | None
    reason: Reason


def nearest(inputs: Inputs, made: Plan, most: int = 2) -> tuple[Change, ...]:
    """The nearest moves after which somebody else would be asked first, nearest first."""
    found: list[Change] = []
    asked = _first(made)
    moves = (*moved_request(inputs, made), *moved_box(inputs, made), *moved_settings(inputs, made))
    for move in sorted(moves, key=lambda move: move.distance):
        other = move.inputs.plan()
        if _first(other) != asked:
            found.append(Change(move.words, _first(other), other.reason))
        if len(found) == most:
            break
    return tuple(found)


def _first(made: Plan) -> str | None:
    return made.candidates[0].target.label if made.candidates else None


def moved_request(inputs: Inputs, made: Plan) -> Iterator[Move]:
    """Another score, length, task, demand or hurry."""
    query, escalation, fleet = inputs.query, inputs.policy.escalation, inputs.fleet
    facts, hints, limit = query.facts, query.facts.hints, escalation.context_tokens
    # (1) The score, to its threshold or just below.
    threshold, score = escalation.threshold(query.task, fleet.shift), query.score
    if query.task != EXTRACTION and threshold < 1:
        other, words = (
            (threshold, f"{threshold:g}") if score < threshold else (threshold - 1e-4, f"below {threshold:g}")
        )
        moved = inputs._replace(query=_query(query, score=other))
        yield Move(
            f"a score of {words} (it is {score:.2f})".replace("of below", "below"), abs(threshold - score), moved
        )
    # (2) The local model's opinion, where it is asked for one.
    if made.undecided or query.opinion is not None:
        for opinion, words in ((1.0, "hard"), (0.0, "easy")):
            moved = inputs._replace(query=_query(query, opinion=opinion))
            yield Move(f"the local model finding it {words}", 0.01, moved)
    # (3) The length, over or under its threshold.
    tokens = limit if facts.prompt_tokens > limit else limit + 1
    distance = 1 - min(tokens, facts.prompt_tokens) / max(tokens, facts.prompt_tokens, 1)
    moved = inputs._replace(query=_query(query, replace(facts, prompt_tokens=tokens)))
    yield Move(f"{tokens} prompt tokens (about {facts.prompt_tokens})", distance, moved)
    # (4) Each task that the settings name.
    by_task = escalation.complexity if isinstance(escalation.complexity, dict) else {}
    tasks = (*escalation.tasks, *(rule.when.task or "" for rule in inputs.policy.rules), *by_task, "code", EXTRACTION)
    for at, task in enumerate(dict.fromkeys(tasks)):
        if task not in ("", "default", query.task):
            moved = inputs._replace(query=_query(query, task=task))
            yield Move(f"the task {task} (it is {query.task})", 0.6 + at / 100, moved)
    # (5) The caller's own demands.
    predicted = fleet.local.predicted_ttft_s * 1000 if fleet.local else 0.0
    if hints.requires:
        moved = inputs._replace(
            query=_query(query, replace(facts, hints=dataclasses.replace(hints, requires=frozenset())))
        )
        yield Move(f"no demand for {', '.join(sorted(hints.requires))}", 0.5, moved)
    if made.reason is Reason.TTFT or (predicted and hints.ttft_ms is None):
        wanted = None if hints.ttft_ms is not None else predicted - 1
        moved = inputs._replace(query=_query(query, replace(facts, hints=dataclasses.replace(hints, ttft_ms=wanted))))
        yield Move(
            f"a wanted first token in {wanted:.0f} ms" if wanted else "no wanted time to first token", 0.8, moved
        )


def moved_box(inputs: Inputs, made: Plan) -> Iterator[Move]:
    """Another load, another state of the engine or of a target."""
    fleet, local = inputs.fleet, inputs.fleet.local
    # (1) The load, to a threshold or away from all.
    if local is not None:
        over, ratios = local.pressure.over, local.pressure.ratios or {Reason.QUEUE_DEPTH: 0.0}
        if over is not None:
            words, distance = (
                f"a load below its thresholds ({local.pressure.words})",
                1 - 1 / max(1.0, local.pressure.ratio),
            )
            yield Move(words, distance, inputs._replace(fleet=replace(fleet, local=replace(local, pressure=CALM))))
        for reason, ratio in ratios.items() if over is None else ():
            full = replace(local, pressure=Pressure(reason, 1.0, f"{reason} at its threshold"))
            words = f"{reason} at its threshold (it is at {ratio:.0%} of it)"
            yield Move(words, _FURTHER - min(1.0, ratio), inputs._replace(fleet=replace(fleet, local=full)))
        # (2) The engine, up or down.
        ready = 0 if local.replicas_ready else 1
        words, distance = ("a ready engine", 0.3) if ready else ("an engine that is down", _FURTHER + 0.2)
        moved = inputs._replace(fleet=replace(fleet, local=replace(local, replicas_ready=ready)))
        yield Move(words, distance, moved)
    # (3) Each target, available or not.
    for name, state in fleet.targets.items():
        first = bool(made.candidates) and made.candidates[0].target.name == name
        if state.available and not first and not state.spent:
            continue
        if state.spent:
            paid = inputs._replace(fleet=replace(fleet, targets={**fleet.targets, name: replace(state, spent="")}))
            yield Move(f"room in the budget for {name} ({state.spent})", 0.4, paid)
            continue
        words = f"{name} not available" if first else f"{name} available ({state.why})"
        changed = replace(state, available=not first, absent=False, why=words)
        moved = inputs._replace(fleet=replace(fleet, targets={**fleet.targets, name: changed}))
        yield Move(words, _FURTHER + 0.1 if first else 0.4, moved)

    # (4) No demotion.
    if made.demoted or made.reason is Reason.QUALITY:
        yield Move("no target demoted", 0.5, inputs._replace(fleet=replace(fleet, demoted=NO_DEMOTIONS)))


def moved_settings(inputs: Inputs, made: Plan) -> Iterator[Move]:
    """Another mode, no rule, no override, no pin."""
    policy, named = inputs.policy, inputs.named
    if not isinstance(named, Auto):
        yield Move("the model auto", 0.5, inputs._replace(named=policy.directory.auto))
    elif named.first is not None:
        yield Move(f"nothing in {named.by}", 0.5, inputs._replace(named=Auto()))
    if policy.escalation.mode != "act":
        acting = policy.escalation.model_copy(update={"mode": "act"})
        words = f'mode = "act" (it is "{policy.escalation.mode}")'
        yield Move(words, 0.3, inputs._replace(policy=dataclasses.replace(policy, escalation=acting)))
    if made.reason is Reason.RULE:
        yield Move("no rules", 0.5, inputs._replace(policy=dataclasses.replace(policy, rules=())))


def _query(
    query: RoutingQuery, facts: Facts | None = None, opinion: float | None = None, **read: object
) -> RoutingQuery:
    """A request with other facts or another opinion, or with a task or a score other than its text has."""
    moved = query.changed(facts=facts, opinion=opinion)
    moved.__dict__.update({"task": query.task, "score": query.score, **read})
    return moved
