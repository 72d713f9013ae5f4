"""Runs a plan: one candidate after another until one answers whole or the caller must be told.

A loop without shared state: every request owns its outcome. Verdicts are `verdict.judge`'s, states of targets the breakers'.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec
from msgspec import structs

from runtime.contract.backend import Backend, Lane
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.dialects.meter import PartialAnswer
from runtime.dispatch import verdict
from runtime.dispatch.attempt import Attempt
from runtime.dispatch.job import Head, Job, Outcome, Sink
from runtime.dispatch.verdict import Standing, Step
from runtime.fleet.fleet import LiveFleet
from runtime.media.fetching import Fetching
from runtime.record import decisions
from runtime.routing.plan.plan import Candidate, Plan
from runtime.settings import Retries

KEEP_ALIVE = b": the model is coming back\n\n"  # a comment: no client reads it, and no connection falls asleep
_LOOK_AGAIN_S = 1.0
_BEFORE_GOING_ON_S = 0.5


@dataclass(frozen=True, slots=True)
class Effects:
    """The window on the world. clock: monotonic seconds. random: [0, 1). fetching: media by address."""

    clock: Callable[[], float]
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    fetching: Fetching | None = None


class _Turn(msgspec.Struct, eq=False):
    """One candidate's turn: its place in the plan and what it has cost so far."""

    backend: Backend
    target: Target  # as it was when the turn came
    reason: Reason
    tries: int = 0
    last_lane: str = ""
    attempt: Attempt | None = None


class Dispatcher:
    def __init__(self, fleet: LiveFleet, retries: Retries, effects: Effects) -> None:
        self._fleet = fleet
        self._effects = effects
        self.retries = retries

    async def run(self, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
        """Ends with a whole answer relayed to the sink, or with `outcome.failure` set. Raises nothing but cancellation.

        The outcome is the caller's, so that a cancelled request can be accounted for too.
        """
        run = _Run(self._fleet, self._effects, self.retries, job, plan, sink, outcome)
        try:
            await run.go()
        finally:
            if run.winner is not None:
                run.winner.attempt = None  # they hold each other: a circle the collector would have to find


class _Run(msgspec.Struct):
    """One request's way through its plan."""

    fleet: LiveFleet
    effects: Effects
    retries: Retries
    job: Job
    plan: Plan
    sink: Sink
    outcome: Outcome
    winner: _Turn | None = None  # whose answer is committed
    racing: dict[_Turn, asyncio.Task[bool]] = {}

    async def go(self) -> None:
        left = deque(self.plan.candidates)
        put_off: tuple[float, Candidate] | None = None
        while left:
            candidate = left.popleft()
            if await self._first_to_answer(candidate, left):
                return
            assert self.outcome.failure is not None
            wait = self.outcome.failure.retry_after
            if wait is not None and put_off is None and self._may_wait(wait):
                put_off = (self.effects.clock() + wait, candidate)
            if not left and put_off is not None and put_off[0] < self.job.deadline:
                # Nobody else could answer: the Retry-After that was passed over is waited out after all.
                due, candidate = put_off
                put_off = (self.job.deadline, candidate)
                await self.effects.sleep(max(0.0, due - self.effects.clock()))
                left.append(candidate)

    def _may_wait(self, wait_s: float) -> bool:
        return self.retries.wait_here_up_to < wait_s <= self.retries.honour_retry_after_up_to

    def _turn(self, candidate: Candidate) -> _Turn:
        first = candidate.target == self.plan.candidates[0].target
        backend = self.fleet.backend(candidate.target)
        return _Turn(backend, backend.target, self.plan.reason if first else Reason.FALLBACK)

    # Hedging

    async def _first_to_answer(self, candidate: Candidate, left: deque[Candidate]) -> bool:
        """One candidate's turn; where hedging is on and nothing has come for a while, the next one's beside it."""
        turn = self._turn(candidate)
        if not self.retries.hedge_after or not left or self.plan.pinned:
            return await self._take(turn, bool(left))
        try:
            first = self._race(turn)
            await asyncio.wait({first}, timeout=self.retries.hedge_after)
            if not first.done() and self.winner is None:
                self._race(self._turn(left.popleft()))
            return await self._race_over()
        finally:
            await self._call_off()

    def _race(self, turn: _Turn) -> asyncio.Task[bool]:
        self.racing[turn] = task = asyncio.create_task(self._take(turn, True))
        return task

    async def _race_over(self) -> bool:
        running = set(self.racing.values())
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if any(not task.cancelled() and task.result() for task in done):
                return True
        return False

    async def _call_off(self) -> None:
        """Ends whatever still runs: the loser's connection is closed, its slot is free."""
        for task in self.racing.values():
            task.cancel()
        await asyncio.gather(*self.racing.values(), return_exceptions=True)
        self.racing.clear()

    # One candidate

    async def _take(self, turn: _Turn, others: bool) -> bool:
        """Tries one candidate as often as the verdicts say. True when the request is over."""
        while True:
            turn.tries += 1
            failure = await self._try(turn)
            if failure is not None and self.winner is turn:
                failure = await self._go_on(turn, failure)
            if self.winner not in (None, turn):
                return False
            self.outcome.failure = failure
            if failure is None or self.winner is turn:
                return True
            failure = self._as_told(turn, failure)
            self.outcome.failed.append((turn.target, failure))
            left_s = self.job.deadline - self.effects.clock()
            step = verdict.judge(failure, Standing(turn.tries, others, left_s, self.effects.random()), self.retries)
            self.outcome.timed_out = left_s <= 0
            if step.step is not Step.HERE or self.outcome.timed_out:
                return failure.disposition is Disposition.TELL_CALLER or self.outcome.timed_out
            await self.effects.sleep(step.wait_s)

    def _as_told(self, turn: _Turn, failure: Failure) -> Failure:
        """What a fallback refuses may be its own limitation: it never hides why the first choice failed."""
        fallback = any(target is not turn.target for target, _ in self.outcome.failed)
        if fallback and failure.kind is Kind.REJECTED:
            return replace(failure, disposition=Disposition.NEXT_CANDIDATE)
        return failure

    async def _try(self, turn: _Turn) -> Failure | None:
        lane = self.fleet.lane(turn.backend, self.job.prompt_tokens, turn.last_lane)
        if lane is None:
            return self.fleet.not_ready(turn.target)
        turn.last_lane = lane.name
        if not self.fleet.begin(turn.target):
            return Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "its breaker is open")
        return await self._run(turn, self._attempt(turn, lane))

    def _attempt(self, turn: _Turn, lane: Lane) -> Attempt:
        async def begin(length: int | None, dropped: tuple[str, ...]) -> None:
            await self._commit(turn, length, dropped)

        job, fleet = self.job, self.fleet
        return Attempt(
            job,
            turn.backend,
            turn.target,
            lane,
            fleet.ledger(lane),
            self.effects.clock,
            begin,
            self.sink.write,
            fetching=self.effects.fetching,
        )

    async def _commit(self, turn: _Turn, length: int | None, dropped: tuple[str, ...]) -> None:
        """The commit point. In a race the first one here wins and the others are called off."""
        if self.winner is not None:
            raise asyncio.CancelledError
        self.winner = turn
        for other, task in self.racing.items():
            if other is not turn:
                task.cancel()
        outcome = self.outcome
        outcome.committed, outcome.target, outcome.reason, outcome.dropped = True, turn.target, turn.reason, dropped
        await self.sink.start(Head(turn.target, turn.reason, len(outcome.attempts) + 1, length, dropped))

    async def _run(self, turn: _Turn, attempt: Attempt) -> Failure | None:
        turn.attempt = attempt
        started = self.effects.clock()
        try:
            failure = await attempt.run()
        except asyncio.CancelledError:
            self._settle(attempt, started, None, cancelled=True)
            raise
        self._settle(attempt, started, failure, cancelled=False)
        return failure

    # Going on after a cut

    async def _go_on(self, turn: _Turn, failure: Failure) -> Failure | None:
        """The committed answer broke off: the same model goes on with it, on another replica or when it is back."""
        while (job := self._continued(turn)) is not None:
            lane = await self._lane_again(turn)
            if lane is None:
                return failure
            before, turn.last_lane = turn.attempt, lane.name
            attempt = structs.replace(self._attempt(turn, lane), job=job, committed=True, before=self._said(turn))
            if not self.fleet.begin(turn.target):
                return failure
            going = await self._run(turn, attempt)
            if attempt.meter is None or not attempt.meter.began:
                turn.attempt = before
            if going is None:
                self.outcome.resumed = True
                return None
            failure = going
            await self.effects.sleep(_BEFORE_GOING_ON_S)
        return failure

    def _said(self, turn: _Turn) -> PartialAnswer | None:
        meter = turn.attempt.meter if turn.attempt is not None else None
        return meter.partial if meter is not None else None

    def _continued(self, turn: _Turn) -> Job | None:
        """The job that goes on, where the model can, the answer was nothing but text, and there is time."""
        said = self._said(turn)
        if said is None or not turn.target.capabilities.continues or self.effects.clock() >= self.job.deadline:
            return None
        body = self.job.dialect.continuation(self.job.body, said)
        return None if body is None else structs.replace(self.job, body=body)

    async def _lane_again(self, turn: _Turn) -> Lane | None:
        """A ready lane of the same model, waited for while the engine restarts; None when it will not be back in time."""
        while self.effects.clock() < self.job.deadline:
            lane = self.fleet.lane(turn.backend, self.job.prompt_tokens, turn.last_lane)
            if lane is not None:
                return lane
            if not self.fleet.coming_back(turn.target):
                return None
            await self.sink.write(KEEP_ALIVE)
            await self.effects.sleep(_LOOK_AGAIN_S)
        return None

    # Books

    def _settle(self, attempt: Attempt, started: float, failure: Failure | None, *, cancelled: bool) -> None:
        """Books one attempt: the breaker learns, the record gets its row."""
        now, arrived, target = self.effects.clock(), self.job.arrived, attempt.target
        self.fleet.settle(target, failure, cancelled=cancelled, now=now)
        if attempt.committed:
            self.outcome.meter = attempt.meter
            self.outcome.first_token = self.outcome.first_token or attempt.first_token
        self.outcome.attempts.append(
            decisions.Attempt(
                target=target.label,
                lane=attempt.lane.name,
                started_ms=_ms(started - arrived),
                ended_ms=_ms(now - arrived),
                outcome=decisions.CANCELLED if cancelled else failure.kind if failure else decisions.OK,
                first_token_ms=None if attempt.first_token is None else _ms(attempt.first_token - arrived),
                status=attempt.status,
                message=failure.message if failure else "",
                retry_after=failure.retry_after if failure else None,
            )
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
