"""A request that only a local model could answer waits until that is loaded, within its deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from runtime.contract.failures import Kind
from runtime.dispatch.job import Job, Outcome
from runtime.fleet.models import LocalModelTarget
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.permitted import permitted
from runtime.routing.plan.nearest import Inputs
from runtime.routing.plan.plan import Plan

_MARGIN_S = 1.0  # an answer that could not begin before the deadline is not waited for
_LOST = frozenset({Kind.DOWN, Kind.BROKEN_STREAM, Kind.GARBLED})  # an engine that was unloaded meanwhile


async def when_loaded(desk: Desk, ask: Ask, inputs: Inputs, plan: Plan) -> tuple[Inputs, Plan]:
    """The plan once `plan.loads` is ready, or the refusal as it stands when waiting has become useless or too long.

    A plan that has other candidates is left as it is, and the model is loaded for later requests.
    """
    model = desk.fleet.models[plan.loads]
    if permitted(ask.caller, inputs.query.facts, plan, None)[1] is not None:
        return inputs, plan
    if plan.refusal is None:
        model.house.missed(model.name)
        return inputs, plan
    await _ready(desk, model, ask.arrived + desk.total_s)
    inputs = desk.planner.inputs(inputs.query, desk.fleet, desk.clock(), caller=ask.caller.id)
    return inputs, inputs.plan()


async def asked_again(
    desk: Desk, job: Job, plan: Plan, outcome: Outcome, carry_out: Callable[[], Awaitable[None]]
) -> None:
    """Carries a plan out again whose one local model was unloaded before it began to answer, when that is loaded again."""
    while (
        outcome.target is None
        and not outcome.timed_out
        and len(plan.candidates) == 1
        and (model := desk.fleet.models.get(plan.candidates[0].target.name)) is not None
        and outcome.failure is not None
        and outcome.failure.kind in _LOST
        and not any(lane.ready for lane in model.backend.lanes)
        and await _ready(desk, model, job.deadline)
    ):
        await carry_out()


async def _ready(desk: Desk, model: LocalModelTarget, deadline: float) -> bool:
    """True when a model is loaded; False when waiting has become useless or too long."""
    with model.house.wanted(model.name):
        while not (ready := any(lane.ready for lane in model.backend.lanes)) and not model.why_not:
            left = deadline - desk.clock() - _MARGIN_S
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await model.house.changed()
        return ready
