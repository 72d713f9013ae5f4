"""The life of a request: facts, plan, dispatch, settlement. It knows no door, so that anybody can ask.

There is a floor under it: whatever raises, one decision is recorded, every claim has been given back by the `with` it was
taken in, and the caller gets an error to show in the client's dialect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial

from msgspec import structs

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.reasons import Reason
from runtime.dispatch import errors
from runtime.dispatch.aside import LARGE, aside
from runtime.dispatch.job import Job, Outcome, Sink
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.loading import asked_again, when_loaded
from runtime.life.opinion import with_opinion
from runtime.life.permitted import permitted
from runtime.life.screening import leaves, screened
from runtime.life.settled import Known, Settled, decision_of, kept_of
from runtime.record.decisions import Decision, milliseconds
from runtime.routing.facts.facts import Within
from runtime.routing.facts.hints import BadHint
from runtime.routing.plan.plan import Plan
from runtime.routing.plan.plan import plan as plan_of
from runtime.trust.stack import stack_of
from runtime.wire.api_error import ApiError

Work = Callable[[Desk, Job, Plan, Sink, Outcome], Awaitable[None]]
"""Carries a plan out: the whole answer goes to the sink and `outcome.answered` is set, or `outcome.failure` is."""

_WAITING = 0.5  # of the time that a request may take: batch work waits so long for room
_SHUT_DOWN = "this server was shut down before the answer was complete"
CLIENT_GONE = 499  # nginx's number for a client that hung up
_log = logging.getLogger("hearth.life")


async def generate(desk: Desk, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
    """The usual work: an answer from the first candidate that gives one. Batch work of the engine waits for its room."""
    first = plan.candidates[0].target
    if job.facts.hints.priority != "batch" or not first.local:
        await desk.dispatcher.run(job, plan, sink, outcome)
        return
    async with desk.batch_room.place(_WAITING * (job.deadline - desk.clock()), first.name) as taken:
        if taken:
            await desk.dispatcher.run(job, plan, sink, outcome)
            return
    outcome.failure = Failure(Kind.BUSY, Disposition.NEXT_CANDIDATE, "other requests left no room for batch work")
    outcome.failed.append((first, outcome.failure))


async def live(desk: Desk, ask: Ask, sink: Sink, work: Work = generate) -> Settled:
    """Runs a request to its end. The answer has gone to the sink, or the error in what is returned is the caller's to show.

    Raises ApiError for a hint that cannot be read (nothing was decided), and CancelledError where the reader is gone.
    """
    outcome, known, kinds = Outcome(), Known(), frozenset[str]()
    error: ApiError | None
    try:
        within, demanded = Within(ask.caller.id, ask.chain), ask.requires | ask.caller.requires
        reading = partial(desk.planner.read, ask.dialect.name, ask.body.data, ask.headers, demanded, within)
        known = Known(query := reading() if len(ask.body.raw) < LARGE else await aside(reading, len(ask.body.raw)))
        if query.facts.hints.requires and query.facts.restricted:
            desk.planner.remember(query.facts)
        inputs = desk.planner.inputs(query, desk.fleet, ask.arrived, caller=ask.caller.id)
        plan = plan_of(*inputs)
        if plan.loads:
            inputs, plan = await when_loaded(desk, ask, inputs, plan)
        if plan.undecided:
            inputs = await with_opinion(desk, ask, inputs, outcome)
            plan = plan_of(*inputs)
        if desk.privacy.detect != "off" and leaves(desk.privacy, plan):
            inputs, kinds = await screened(desk, ask, inputs)
            query, plan = inputs.query, plan_of(*inputs)
        own, plan = plan, plan if desk.peers is None else desk.peers(plan, query.facts, ask.caller.id)
        error = errors.of_refusal(plan.refusal) if plan.refusal is not None else None
        if ask.caller.models or ask.caller.targets or ask.caller.priorities:
            plan, error = permitted(ask.caller, query.facts, plan, error)
        known = Known(query, plan, kept_of(inputs, plan if own.refusal is None else own, ask.caller.targets), kinds)
        if error is None:
            deadline, whole, who = ask.arrived + desk.total_s, query.facts.hints.delivery == "whole", ask.caller.id
            job = Job(ask.id, ask.dialect, ask.body, ask.headers, query.facts, ask.arrived, deadline, whole, who)
            desk.running[ask.id] = job, plan, outcome, asyncio.current_task()
            with desk.fleet.shares.held(who) if who and plan.candidates[0].target.local else nullcontext():
                await work(desk, job, plan, sink, outcome)
                if outcome.target is None and (desk.fleet.models or desk.fleet.engine.exchanging):
                    await asked_again(desk, job, plan, outcome, lambda plan: work(desk, job, plan, sink, outcome))
            error = None if outcome.answered else _error_of(desk, ask, plan, outcome)
    except BadHint as wrong:
        raise ApiError(400, str(wrong), "invalid_hint", wrong.place) from wrong
    except asyncio.CancelledError:
        if sink.gone:
            _settle(desk, ask, known, outcome, 200 if outcome.answered else CLIENT_GONE)
            raise
        # An operator ended this answer, or the drain's deadline has passed.
        error = outcome.cancelled or ApiError(503, _SHUT_DOWN, "shutting_down", None, 5.0)
    except Exception as fault:  # noqa: BLE001 - the floor: every request ends with an answer and a record
        _log.error("decision %s failed on a fault of this program\n%s", ask.id, stack_of(fault))
        error = ApiError(500, f"a fault of this server ended the request; its log names {ask.id}", "internal_error")
    error = None if outcome.answered else error  # the caller has its whole answer, whatever failed behind it
    return Settled(_settle(desk, ask, known, outcome, error.status if error else 200), error)


def _error_of(desk: Desk, ask: Ask, plan: Plan, outcome: Outcome) -> ApiError | None:
    """The error of a request without a whole answer: of every failed attempt, or of an answer that broke off."""
    if outcome.target is None:
        spent = plan.words if plan.reason is Reason.BUDGET and plan.degraded else ""
        return errors.of_outcome(outcome, ask.dialect.name, desk.fleet.room_in(), pinned=plan.pinned, spent=spent)
    assert outcome.failure is not None
    return errors.cut(outcome.failure, outcome.target)


def _settle(desk: Desk, ask: Ask, known: Known, outcome: Outcome, status: int) -> Decision:
    """One record, the counters, and what the answer teaches about tokens and caches. Never raises."""
    desk.running.pop(ask.id, None)
    times = (0.0, 0.0)
    try:
        took = desk.clock() - ask.arrived
        times = (desk.wall() - took, milliseconds(took))
        decision = decision_of(ask, known, outcome, status, times)
    except Exception as fault:  # noqa: BLE001 - a record that cannot be made in full is made of what is certain
        _log.error("the record of decision %s is incomplete\n%s", ask.id, stack_of(fault))
        decision = Decision(
            id=ask.id,
            at=times[0],
            dialect=ask.dialect.name,
            model="",
            reason=Reason.DEFAULT,
            status=status,
            total_ms=times[1],
        )
    if desk.store_away_s is not None and (away_s := desk.store_away_s()) is not None:
        decision = structs.replace(decision, store_away_s=round(away_s, 1))

    def learn(_: Decision) -> None:
        usage, query = outcome.meter.usage if outcome.meter is not None else None, known.query
        if usage is not None and query is not None and not query.facts.media:
            desk.planner.tokens.learn(query.facts.plain, usage.prompt)
        if known.plan is not None and known.plan.free and known.plan.candidates:
            desk.fleet.cloud_share.count(not (outcome.target or known.plan.candidates[0].target).local)
        # A conversation moves only where there is a target to move to.
        if (
            query is not None
            and query.facts.session
            and outcome.answered
            and (desk.fleet.clouds.backends or desk.fleet.models)
            and not ask.origin
        ):
            assert outcome.target is not None
            desk.fleet.prefixes.answered(query.facts.session, outcome.target, usage, desk.clock())

    for listener in (learn, *(desk.evaluated if ask.origin else desk.settled)):
        try:
            listener(decision)
        except Exception as fault:  # noqa: BLE001 - one listener's fault must not cost the others their decision
            _log.error("decision %s was not taken by %r\n%s", ask.id, listener, stack_of(fault))
    return decision
