"""Runs a plan: one candidate after another until one answers whole or the caller must be told.

A loop without shared state: every request owns its outcome. Verdicts are `verdict.judge`'s, states of targets the breakers'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runtime.contract.backend import Backend, Lane
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.targets import Target
from runtime.dispatch import verdict
from runtime.dispatch.attempt import Attempt
from runtime.dispatch.job import Head, Job, Outcome, Sink
from runtime.dispatch.live import LiveFleet
from runtime.dispatch.verdict import Standing, Step
from runtime.record import decisions
from runtime.routing.plan import Candidate, Plan
from runtime.routing.reasons import Reason
from runtime.settings import Retries


@dataclass(frozen=True, slots=True)
class Effects:
    """The window on the world. clock: monotonic seconds. random: [0, 1)."""

    clock: Callable[[], float]
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class _Turn:
    """One candidate's turn: its place in the plan and what it has cost so far."""

    candidate: Candidate
    backend: Backend
    reason: Reason
    tries: int = 0
    last_lane: str = ""


class Dispatcher:
    def __init__(self, fleet: LiveFleet, retries: Retries, effects: Effects) -> None:
        self._fleet = fleet
        self._effects = effects
        self.retries = retries

    async def run(self, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
        """Ends with a whole answer relayed to the sink, or with `outcome.failure` set. Raises nothing but cancellation.

        The outcome is the caller's, so that a cancelled request can be accounted for too.
        """
        left = deque(plan.candidates)
        asked_to_wait: tuple[float, Candidate] | None = None
        while left:
            candidate = left.popleft()
            turn = _Turn(candidate, self._fleet.backend(candidate.target), self._reason(plan, candidate))
            if await self._take(turn, bool(left), job, sink, outcome):
                return
            assert outcome.failure is not None
            if (wait := outcome.failure.retry_after) is not None and asked_to_wait is None and self._can_wait(wait):
                asked_to_wait = (self._effects.clock() + wait, candidate)
            if not left and asked_to_wait is not None and asked_to_wait[0] < job.deadline:
                # Nobody else could answer: the Retry-After that was passed over is waited out after all.
                due, candidate = asked_to_wait
                asked_to_wait = (job.deadline, candidate)
                await self._effects.sleep(max(0.0, due - self._effects.clock()))
                left.append(candidate)

    def _can_wait(self, wait_s: float) -> bool:
        return self.retries.wait_here_up_to < wait_s <= self.retries.honour_retry_after_up_to

    @staticmethod
    def _reason(plan: Plan, candidate: Candidate) -> Reason:
        first = candidate.target == plan.candidates[0].target
        return plan.reason if first else Reason.FALLBACK

    async def _take(self, turn: _Turn, others: bool, job: Job, sink: Sink, outcome: Outcome) -> bool:
        """Tries one candidate as often as the verdicts say. True when the request is over."""
        while True:
            turn.tries += 1
            failure = await self._try(turn, job, sink, outcome)
            outcome.failure = failure
            if failure is None or outcome.committed:
                return True
            outcome.failed.append((turn.backend.target, failure))
            left_s = job.deadline - self._effects.clock()
            step = verdict.judge(failure, Standing(turn.tries, others, left_s, self._effects.random()), self.retries)
            outcome.timed_out = left_s <= 0
            if step.step is Step.TELL and (failure.disposition is Disposition.TELL_CALLER or not others):
                return failure.disposition is Disposition.TELL_CALLER or outcome.timed_out
            if step.step is Step.NEXT or outcome.timed_out:
                return outcome.timed_out
            await self._effects.sleep(step.wait_s)

    async def _try(self, turn: _Turn, job: Job, sink: Sink, outcome: Outcome) -> Failure | None:
        target = turn.backend.target
        lane = self._fleet.lane(turn.backend, job.prompt_tokens, turn.last_lane)
        if lane is None:
            return self._fleet.not_ready(target)
        turn.last_lane = lane.name
        if not self._fleet.begin(target):
            return Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "its breaker is open")
        attempt = self._attempt(turn, lane, job, sink, outcome)
        started = self._effects.clock()
        failure: Failure | None = Failure(Kind.SILENT, Disposition.TELL_CALLER, "the client went away")
        cancelled = True
        try:
            failure = await attempt.run()
            cancelled = False
        finally:
            self._settle(target, lane, job, attempt, started, None if cancelled else (failure,), outcome)
        return failure

    def _attempt(self, turn: _Turn, lane: Lane, job: Job, sink: Sink, outcome: Outcome) -> Attempt:
        target = turn.backend.target

        async def begin(length: int | None) -> None:
            outcome.committed = True
            outcome.target, outcome.reason = target, turn.reason
            await sink.start(Head(target, turn.reason, len(outcome.attempts) + 1, length))

        return Attempt(
            job,
            turn.backend,
            lane,
            self._fleet.ledger(lane),
            self._effects.clock,
            self._fleet.service_in(lane, job.prompt_tokens),
            begin,
            sink.write,
        )

    def _settle(
        self,
        target: Target,
        lane: Lane,
        job: Job,
        attempt: Attempt,
        started: float,
        ended: tuple[Failure | None] | None,
        outcome: Outcome,
    ) -> None:
        """Books one attempt: the breaker learns, the record gets its row. `ended` is None for a cancelled attempt."""
        now = self._effects.clock()
        failure = ended[0] if ended else None
        self._fleet.settle(target, failure, cancelled=ended is None, now=now)
        if attempt.committed or (failure is None and ended is not None):
            outcome.meter, outcome.first_token = attempt.meter, attempt.first_token
        outcome.attempts.append(
            decisions.Attempt(
                target=target.label,
                lane=lane.name,
                started_ms=_ms(started - job.arrived),
                ended_ms=_ms(now - job.arrived),
                outcome=decisions.CANCELLED if ended is None else failure.kind if failure else decisions.OK,
                first_token_ms=None if attempt.first_token is None else _ms(attempt.first_token - job.arrived),
                status=attempt.status,
                message=failure.message if failure else "",
                retry_after=failure.retry_after if failure else None,
            )
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
