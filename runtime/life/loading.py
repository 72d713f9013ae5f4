"""A request that only one local model could answer waits, within its deadline, until that is loaded or its exchange is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress

from msgspec.structs import replace

from runtime.contract.failures import Kind
from runtime.contract.targets import LOCAL
from runtime.dispatch.job import Job, Outcome
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.permitted import permitted
from runtime.routing.plan.names import Pinned, resolve
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.plan import Plan

_MARGIN_S = 1.0  # an answer that could not begin before the deadline is not waited for
_LOST = frozenset({Kind.DOWN, Kind.BROKEN_STREAM, Kind.GARBLED})  # an engine that was unloaded meanwhile


async def when_loaded(desk: Desk, ask: Ask, inputs: Inputs, plan: Plan) -> tuple[Inputs, Plan]:
    """The plan once `plan.loads` is ready, or the refusal as it stands when waiting has become useless or too long.

    A plan that has other candidates is left as it is, and the model is loaded for later requests.
    """
    if permitted(ask.caller, inputs.query.facts, plan, None)[1] is not None:
        return inputs, plan
    if plan.refusal is None:
        model = desk.fleet.models[plan.loads]
        model.house.missed(model.name)
        return inputs, plan
    await _ready(desk, plan.loads, ask.arrived + desk.total_s)
    inputs = desk.planner.inputs(inputs.query, desk.fleet, desk.clock(), caller=ask.caller.id)
    return inputs, inputs.plan()


async def asked_again(
    desk: Desk, job: Job, plan: Plan, outcome: Outcome, carry_out: Callable[[Plan], Awaitable[None]]
) -> None:
    """Carries a plan out again whose one local model was unloaded, or exchanged for another, before it began to answer, when
    that is loaded again.

    A request that names the engine and not its model is answered by the model that took the place.
    """
    fleet, name = desk.fleet, plan.candidates[0].target.name
    while (
        outcome.target is None
        and not outcome.timed_out
        and len(plan.candidates) == 1
        and (name in fleet.models or (plan.pinned and name == LOCAL and fleet.engine.exchanging))
        and outcome.failure is not None
        and outcome.failure.kind in _LOST
        and not any(lane.ready for lane in fleet.backend(name).lanes)
        and await _ready(desk, name, job.deadline)
    ):
        first, target = plan.candidates[0], fleet.backend(name).target
        if target.label != first.target.label:
            if resolve(job.facts.model, desk.planner.policy.directory) != Pinned(name):
                return
            plan = replace(plan, candidates=(replace(first, target=target),))
        await carry_out(plan)


async def _ready(desk: Desk, name: str, deadline: float) -> bool:
    """True when a local target is ready; False when waiting has become useless or too long."""
    fleet, engine = desk.fleet, desk.fleet.engine
    model = fleet.models.get(name)
    lanes = (fleet.local if model is None else model.backend).lanes
    with nullcontext() if model is None else model.house.wanted(model.name):
        while True:
            revision = engine.revision
            if any(lane.ready for lane in lanes):
                return True
            useless = not engine.exchanging if model is None else bool(model.why_not)
            left = deadline - desk.clock() - _MARGIN_S
            if useless or left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await (engine.changed(revision) if model is None else model.house.changed())
