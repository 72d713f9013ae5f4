"""Runs a plan: one candidate after another until one answers whole or the caller must be told.

    each_candidate   the plan's order, and a Retry-After that is waited out after all where nobody else could answer
    raced            one candidate's turn, with the next one's beside it where hedging is on
    repeated         one candidate, as often as the verdicts say
    paid             one attempt on a cloud, with room for it in the budget
    claimed          one attempt on one lane, counted by the fleet
    resumed          a committed answer that was cut, continued by the same model

Every request owns its run; nothing is shared but the fleet. Verdicts are `verdict.judge`'s, the state of targets is the
fleet's. Backends are taken from the fleet once, when the plan stands, so that a reload changes nothing for this request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import replace
from functools import partial

import msgspec

from runtime.contract.backend import Lane
from runtime.contract.failures import Disposition, Failure, Kind, forbidden
from runtime.contract.guard import missing
from runtime.contract.reasons import Reason
from runtime.dialects.meter import PartialAnswer
from runtime.dispatch import verdict
from runtime.dispatch.attempt import Attempt
from runtime.dispatch.hedge import Race
from runtime.dispatch.job import Effects, Head, Job, Outcome, Run, Sink, Turn
from runtime.dispatch.payment import charged, tier_of, unpaid
from runtime.dispatch.quotes import unquoting
from runtime.dispatch.verdict import Standing, Step
from runtime.fleet.fleet import LiveFleet
from runtime.money.budget import Shortfall
from runtime.record.decisions import OK
from runtime.routing.plan.plan import NO_TARGET, Plan
from runtime.settings import Retries

KEEP_ALIVE = b": the model is coming back\n\n"  # a comment: no client reads it, and no connection falls asleep
_KEEP_ALIVE_S = 1.0
_WAITED_FOR_ROOM = 0.25  # of the time that is left: the engine behind needs the rest
_BEFORE_RESUMING_S = 0.5
_GIVEN_UP = {
    Kind.UNSURE: Reason.CONFIDENCE,
    Kind.LATE: Reason.TTFT,
}  # failures for which the engine is left, and the reason


class Dispatcher:
    """retries: replaced whole on a reload."""

    def __init__(self, fleet: LiveFleet, retries: Retries, effects: Effects) -> None:
        self._fleet = fleet
        self._effects = effects
        self.retries = retries

    async def run(self, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
        """Ends with a whole answer relayed to the sink, or with `outcome.failure` set. Foreseen failures are not raised."""
        await Candidates(Run(job, plan, sink, outcome, self._fleet, self.retries, self._effects)).each_candidate()


class Candidates(msgspec.Struct, eq=False):
    """One request's way through its plan. `_winner` is the turn whose answer is committed; nothing else says so."""

    _run: Run
    _winner: Turn | None = None
    _race: Race | None = None

    async def each_candidate(self) -> None:
        """Takes the candidates in order until one of them answers or the caller must be told."""
        run = self._run
        outcome, clock, retries, deadline = run.outcome, run.effects.clock, run.retries, run.job.deadline
        left, reason = deque[Turn](), run.plan.reason
        for each in run.plan.candidates:
            left.append(Turn(run.fleet.backend(each.target.name), each.target, reason))
            reason = reason if each.target.peer else Reason.FALLBACK  # a peer that refuses is no failure
        if left[0].target.local:
            left[0].look, left[0].move = run.plan.look, run.plan.move
        longest = retries.honour_retry_after_up_to
        postponed: tuple[float, Turn] | None = None
        while left:
            turn = left.popleft()
            turn.last = not left
            hedged = retries.hedge_after and left and not run.plan.pinned
            if await (self._raced(turn, left) if hedged else self._repeated(turn, bool(left))):
                return
            if (turn.look or turn.move) is not None and self._given_up is not None:
                # Nobody else may answer either: then the engine's answer is better than none, however unsure or late.
                left.append(Turn(turn.backend, turn.target, Reason.FALLBACK))
            # A prompt too long for one window is too long for every smaller one; those of unknown size are asked.
            if outcome.failed and (window := verdict.outgrown(*outcome.failed[-1])) is not None:
                windows = [(each, each.target.capabilities.context_tokens) for each in left]
                left = deque([each for each, size in windows if size is None or size > window])
            wait = outcome.failure.retry_after if outcome.failure is not None else None
            if postponed is None and wait is not None and longest >= wait > retries.wait_here_up_to:
                postponed = (clock() + wait, turn)
            if not left and postponed is not None and postponed[0] < deadline:
                # Nobody else could answer: the Retry-After that was passed over is waited out after all, once.
                due, turn = postponed
                postponed = (deadline, turn)
                await run.effects.sleep(max(0.0, due - clock()))
                left.append(Turn(turn.backend, turn.target, turn.reason, turn.tries))

    @property
    def _given_up(self) -> Failure | None:
        """The failure for which the engine's answer was given up, if that was its early confidence or its delay."""
        return next((failure for _, failure in self._run.outcome.failed if failure.kind in _GIVEN_UP), None)

    async def _raced(self, turn: Turn, left: deque[Turn]) -> bool:
        """A turn with the next one beside it after `hedge_after` seconds without an answer."""
        self._race = Race(self._repeated)
        try:
            return await self._race.run(turn, left, self._run.retries.hedge_after, lambda: self._winner is not None)
        finally:
            self._race = None

    async def _repeated(self, turn: Turn, others: bool) -> bool:
        """Tries one candidate as often as the verdicts say. True when the request is over."""
        run = self._run
        outcome, effects = run.outcome, run.effects
        while True:
            turn.tries += 1
            failure = await (self._claimed if turn.target.local else self._paid)(turn)
            if failure is not None and self._winner is turn:
                failure = await self._resumed(turn, failure)
            if self._winner not in (None, turn):
                return False
            outcome.failure = failure
            if failure is None or self._winner is turn:
                return True
            if failure.kind is Kind.REJECTED and any(target is not turn.target for target, _ in outcome.failed):
                # What a fallback refuses may be its own limitation: it never hides why the first choice failed.
                failure = replace(failure, disposition=Disposition.NEXT_CANDIDATE)
            outcome.failed.append((turn.target, failure))
            left_s = run.job.deadline - effects.clock()
            step = verdict.judge(failure, Standing(turn.tries, others, left_s, effects.random()), run.retries)
            outcome.timed_out = left_s <= 0
            if step.step is not Step.HERE or outcome.timed_out or turn.target.peer:  # a peer is asked once
                return failure.disposition is Disposition.TELL_CALLER or outcome.timed_out
            await effects.sleep(step.wait_s)

    async def _claimed(
        self, turn: Turn, lane: Lane | None = None, job: Job | None = None, before: PartialAnswer | None = None
    ) -> Failure | None:
        """One attempt, on `lane` or the best ready one, with its claim on the target. job: the one that resumes `before`."""
        run = self._run
        # What the request demands is asked of every target again: a plan may be older than the demand.
        requires = run.job.facts.hints.requires
        if requires and not turn.target.on_box and (lacking := missing(requires, turn.target.certified)):
            return forbidden(f"{turn.target.name} is not certified for {' and '.join(sorted(lacking))}")
        lane = lane or run.fleet.lane(turn.backend, run.job.facts, turn.last_lane)
        if lane is None:
            return run.fleet.not_ready(turn.target)
        turn.last_lane = lane.name
        claim = run.fleet.claim(turn.target)
        if claim is None:
            return Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "its breaker is open")
        with claim:
            attempt = Attempt(run, turn, lane, partial(self._commit, turn), job=job, before=before)
            try:
                failure = await attempt.run()
            finally:
                if attempt.gate.open and (turn.meter is None or (attempt.meter is not None and attempt.meter.began)):
                    turn.meter = run.outcome.meter = attempt.meter
                    run.outcome.first_token = run.outcome.first_token or attempt.first_token
            claim.ended(failure if failure is None else unquoting(failure, run.job.body.data))
        return failure

    async def _paid(
        self, turn: Turn, lane: Lane | None = None, job: Job | None = None, before: PartialAnswer | None = None
    ) -> Failure | None:
        """`_claimed`, once the budget has room for it, and settled on the true cost of its exchanges however it ends."""
        run, target = self._run, turn.target
        budget, facts = run.fleet.budget, run.job.facts
        if budget is None or target.on_box:
            return await self._claimed(turn, lane, job, before)
        more, tier = before.tokens if before is not None else 0, tier_of(run.job.body.data)
        micro, most = run.fleet.expected_micro(target, facts, more, tier)
        booked = len(turn.booked)
        failure: Failure | None
        within = run.job.deadline - run.effects.clock()
        if budget.when_spent == "local" and any(each.target.local for each in run.plan.candidates):
            within *= _WAITED_FOR_ROOM
        async with budget.reserved(micro, budget.scopes(target.name, run.job.caller), within, most) as room:
            if isinstance(room, Shortfall):
                return unpaid(room, budget.when_spent)
            turn.room = room
            try:
                failure = await self._claimed(turn, lane, job, before)
            finally:
                turn.room, price = None, run.fleet.price_of(target)
                own, prompt = turn.booked[booked:], facts.prompt_tokens if micro else 0
                room.settle(sum([charged(each, price, prompt) for each in own]))
                for each in own:
                    if each.outcome == OK:
                        budget.answers.learn(each.target, each.completion_tokens // facts.n)
        return failure

    async def _commit(self, turn: Turn, attempt: Attempt, length: int | None) -> None:
        """The commit point. In a race the first one here wins and the others are called off."""
        if self._winner is not None:
            raise asyncio.CancelledError
        self._winner = turn
        if self._race is not None:
            self._race.won(turn)
        run, outcome = self._run, self._run.outcome
        reason, dropped = turn.reason, attempt.dropped
        if (run.plan.look or run.plan.move) is not None and (left := self._given_up) is not None:
            # It left for its confidence or its delay, or would have left and nobody else could answer.
            moved = _GIVEN_UP[left.kind]
            reason, dropped = (reason, (*dropped, NO_TARGET)) if turn.target.local else (moved, dropped)
            outcome.words = left.message if moved is Reason.TTFT else f"the engine began to answer, and {left.message}"
        if refused := [(each, why) for each, why in outcome.failed if each.peer and not turn.target.peer]:
            asked = "; ".join([f"{each.name}: {why.message}" for each, why in refused])
            outcome.words = f"{outcome.words or run.plan.words}; asked before: {asked}"
        if outcome.failed and turn.target.local and any(failure.kind is Kind.SPENT for _, failure in outcome.failed):
            reason, dropped = Reason.BUDGET, (*dropped, Reason.BUDGET)
        if turn.target.name in run.plan.demoted and Reason.QUALITY not in run.plan.degraded:
            dropped = (*dropped, Reason.QUALITY)  # the better ones failed, and this one failed its golden set
        if reason is Reason.FALLBACK:
            outcome.words = f"a fallback answered; first choice: {outcome.words or run.plan.words}"
        outcome.target, outcome.reason, outcome.dropped = turn.target, reason, dropped
        degraded = (*run.plan.degraded, *dropped)
        if turn.target.peer:  # it would have left the box, and it has
            degraded = tuple([each for each in degraded if each != NO_TARGET])
        words = outcome.words or run.plan.words if run.job.facts.hints.explain else ""
        await run.sink.start(Head(turn.target, reason, len(outcome.exchanges) + 1, length, degraded, words))
        turn.meter = outcome.meter = attempt.meter  # from here on, the tokens of a running request can be seen
        outcome.first_token = outcome.first_token or attempt.first_token

    async def _resumed(self, turn: Turn, failure: Failure) -> Failure | None:
        """The committed answer was cut: the same model continues it, on another replica or when the engine is back.

        None where it became whole; else the last failure. Only an answer that is nothing but text can be continued.
        """
        run = self._run
        job, effects, fleet = run.job, run.effects, run.fleet
        if turn.target.peer:  # the Hearth that answered is gone, and the same model is here
            turn = Turn(fleet.local, fleet.local.target, turn.reason, meter=turn.meter, booked=turn.booked)
        while effects.clock() < job.deadline:
            before = turn.meter.partial if turn.meter is not None and turn.target.capabilities.continues else None
            body = job.dialect.continuation(job.body, before) if before is not None else None
            lane = await self._lane_again(turn) if body is not None else None
            if before is None or body is None or lane is None or not fleet.allows(turn.target):
                return failure
            attempted = self._claimed if turn.target.local else self._paid
            latest = await attempted(turn, lane, msgspec.structs.replace(job, body=body), before)
            if latest is None:
                run.outcome.resumed = True
                return None
            failure = latest
            if not failure.counts_against and failure.kind is not Kind.BUSY:
                return failure  # a spent budget, a refusal: the next try would end alike
            await effects.sleep(_BEFORE_RESUMING_S)
        return failure

    async def _lane_again(self, turn: Turn) -> Lane | None:
        """A ready lane of the same model, awaited while the engine restarts; None when it will not be back in time."""
        run, engine = self._run, self._run.fleet.engine_of(turn.target.name)
        while run.effects.clock() < run.job.deadline:
            revision = engine.revision
            if turn.target.local and not turn.target.served and turn.backend.target.label != turn.target.label:
                return None  # another model is served now, and none continues what another began
            lane = run.fleet.lane(turn.backend, run.job.facts, turn.last_lane)
            if lane is not None:
                return lane
            if not run.fleet.coming_back(turn.target):
                return None
            await run.sink.write(KEEP_ALIVE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_ALIVE_S):
                    await engine.changed(revision)
        return None
