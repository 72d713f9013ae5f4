"""Counting tokens as the work of a life: by the targets that count on the client's wire, else by the runtime's estimate."""

from __future__ import annotations

from msgspec.structs import replace

from runtime.dialects.anthropic_messages.counting import NAME, estimated
from runtime.dispatch.job import Head, Job, Outcome, Sink
from runtime.life.desk import Desk
from runtime.routing.plan.plan import Plan


async def count(desk: Desk, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
    """A `runtime.life.life.Work`. The first candidate decides who counts; a fallback that does not count is left out."""
    first = plan.candidates[0].target
    if NAME in first.dialects:
        able = tuple([each for each in plan.candidates if NAME in each.target.dialects])
        await desk.dispatcher.run(job, replace(plan, candidates=able), sink, outcome)
        return
    body = estimated(job.facts.prompt_tokens)
    outcome.target, outcome.reason = first, plan.reason
    words = plan.words if job.facts.hints.explain else ""
    await sink.start(Head(first, plan.reason, 0, len(body), plan.degraded, words))
    await sink.write(body)
    outcome.answered = True
