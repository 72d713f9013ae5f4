"""One attempt on one lane: asks, relays what is good, keeps the time-outs, and ends as a value.

An attempt is one exchange, and a second one where the answer did not keep the format it was asked for. Each exchange is
booked with its own usage and cost. Nothing reaches the client before the gate opens (the commit point). A failure, the
upstream's, one the meter finds, or an early confidence that is too low, ends the attempt as a `Failure`; only cancellation
is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from msgspec import structs

from runtime.contract.backend import Lane
from runtime.contract.codec import Unsupported
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.guard import Cargo, Way
from runtime.contract.hop import Reply, error_page
from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.dialects.format import CheckedMeter, repair
from runtime.dialects.meter import Meter, PartialAnswer, StreamMeter
from runtime.dialects.openai_chat.early_tokens import EarlyTokens
from runtime.dialects.tool_results import holds_results
from runtime.dispatch.alarm import Alarm
from runtime.dispatch.aside import aside
from runtime.dispatch.asking import Asked, passed, passes, stays, translated
from runtime.dispatch.gate import GOOD, WAIT, Gate, Ruling
from runtime.dispatch.job import Job, Run, Turn
from runtime.dispatch.payment import tier_of
from runtime.dispatch.quotes import unquoting
from runtime.money.cost import MICRO, cost
from runtime.record.decisions import CANCELLED, OK, Exchange, milliseconds
from runtime.routing.confidence import EarlyLook
from runtime.routing.plan.waiting import LateMove
from runtime.wire.raw_body import BadBody

_CORRECTION = 200  # tokens of the words on what is wrong with an answer
_BROKEN = "internal_error"  # the outcome of an exchange that a fault of this program ended


class Attempt:
    """One attempt of a turn. commit: called at the commit point with the length of a whole answer, None for a stream.

    before: the partial answer that this attempt resumes. first_token: when its first content came, monotonic.
    """

    __slots__ = (
        "_clock",
        "_commit",
        "_job",
        "_lane",
        "_late",
        "_ledger",
        "_patience",
        "_run",
        "_status",
        "_stream",
        "_timer",
        "_turn",
        "_work",
        "before",
        "dropped",
        "first_token",
        "gate",
        "meter",
    )

    def __init__(
        self,
        run: Run,
        turn: Turn,
        lane: Lane,
        commit: Callable[[Attempt, int | None], Awaitable[None]],
        *,
        job: Job | None = None,
        before: PartialAnswer | None = None,
    ) -> None:
        self._run = run
        self._turn = turn
        self._lane = lane
        self._job = job or run.job
        self._commit = commit
        self._clock = run.effects.clock
        self._ledger = run.fleet.ledger(lane)
        self._status: int | None = None
        self._stream = self._job.dialect.streams(self._job.body)  # the client wants a stream
        self.gate = Gate(self._job.whole or not self._stream, open=before is not None)
        self.before = before
        self._late: Failure | None = None
        self._timer: asyncio.TimerHandle | None = None  # of the next look at a request that waits
        self.dropped: tuple[str, ...] = ()
        self.first_token: float | None = None
        self.meter: Meter | None = None

    async def run(self) -> Failure | None:
        """None if the answer was whole and has been relayed."""
        passing = passes(self._job, self._turn.target)
        look = self._turn.look is not None and self.before is None and not holds_results(self._job.body)
        started = self._clock()
        failure: Failure | None
        try:
            if self._turn.target.local and self._job.facts.media and self._job.facts.hints.requires:
                stays(self._job)
            if look and passing and not self._stream:
                # Its first tokens are seen in a stream alone. What cannot be translated is not looked at.
                with contextlib.suppress(Unsupported):
                    return await self._exchange(await self._translated(look=True))
            if passing:
                turn, pinned = self._turn, self._run.plan.pinned
                model, codec, look = turn.target.served or self._lane.model, turn.backend.codec, look and self._stream
                asked = passed(self._job, turn.target, codec, model, self.before, pinned=pinned, look=look)
            else:
                asked = await self._translated(look=look)
        except HopError as error:
            failure = error.failure
        except TimeoutError:
            failure = _silent(self._left)
        except Unsupported as error:
            failure = Failure(Kind.REJECTED, Disposition.NEXT_CANDIDATE, str(error), 400, code="unsupported")
        except BadBody as error:
            failure = Failure(Kind.REJECTED, Disposition.TELL_CALLER, str(error), 400, code="invalid_body")
        else:
            failure = await self._exchange(asked)
            meter = asked.meter
            if isinstance(meter, CheckedMeter) and meter.violation is not None and self._pays_again(meter.tokens):
                # The one more request: the answer given back with what is wrong with it.
                better = repair(meter.request, meter.text, meter.violation)
                again = translated(self._job, self._target, self._turn.backend.codec, better)
                failure = await self._exchange(again)
            return failure
        self._book(started, failure.kind, failure)
        return failure

    def _pays_again(self, tokens: int) -> bool:
        """True if the budget has room for one more exchange, whose prompt holds so many tokens of an answer too."""
        room, fleet = self._turn.room, self._run.fleet
        if room is None or fleet.budget is None:
            return True
        more, tier = tokens + _CORRECTION, tier_of(self._job.body.data)
        return fleet.budget.grow(room, fleet.expected_micro(self._turn.target, self._job.facts, more, tier)[0])

    async def _translated(self, *, look: bool) -> Asked:
        """The call in the target's wire. Raises Unsupported, BadBody; HopError, TimeoutError while media are settled."""
        job, backend, target = self._job, self._turn.backend, self._turn.target
        size = len(job.body.raw)
        request = await aside(partial(job.dialect.read_request, job.body), size)
        fetching = self._run.effects.fetching
        async with asyncio.timeout(self._left):
            if fetching is not None:
                request = await fetching.settled(request, target.capabilities, self._cargo)
            if backend.uploads is not None:
                request = await backend.uploads.settled(request, self._cargo, connect_s=target.timeouts.connect)
        return await aside(partial(translated, job, self._target, backend.codec, request, look=look), size)

    @property
    def _cargo(self) -> Cargo:
        """The label of all that leaves for this request."""
        return Cargo(Way.MODEL, self._job.id, self._job.facts.hints.requires)

    @property
    def _left(self) -> float:
        """Seconds this attempt may still take."""
        return max(0.0, min(self._job.deadline - self._clock(), self._turn.target.timeouts.total))

    @property
    def _target(self) -> Target:
        """The target, under the model id of this lane."""
        return replace(self._turn.target, model=self._turn.target.served or self._lane.model)

    async def _exchange(self, asked: Asked) -> Failure | None:
        """One request upstream and its answer, relayed and booked."""
        meter, early, streamed = asked.meter, asked.early, asked.streamed
        self.meter, self.dropped, self._status = meter, asked.dropped, None
        if early is not None and self._turn.look is not None:
            self.gate.look = partial(_looked, self._turn.look, early)
        job, ledger, started = self._job, self._ledger, self._clock()
        facts = job.facts
        fresh = facts.prompt_tokens - int(facts.prompt_tokens * ledger.cached.get(facts.prefix, 0.0))
        waits = ledger.backlog_s(fresh, started) if streamed else 0.0
        result, failure = _BROKEN, None
        try:
            batch = facts.hints.priority == "batch"
            taken = ledger.claim(
                fresh, facts.max_tokens, self._clock, whole=not streamed, prefix=facts.prefix, batch=batch
            )
            with taken as work:
                self._work = work
                failure = await self._relayed(asked, waits, started)
                if failure is None:
                    work.tokens(meter.tokens, self._clock())
                    work.done(meter.usage)
            result = failure.kind if failure else OK
        except asyncio.CancelledError:
            result = CANCELLED
            raise
        finally:
            self._book(started, result, failure)
        return failure

    async def _relayed(self, asked: Asked, waits: float, started: float) -> Failure | None:
        times, left, meter = self._turn.target.timeouts, self._left, asked.meter
        # The engine's time to a first token runs from its predicted start of service. Of a whole answer of the engine nothing
        # is heard until its end; a cloud's that cannot be streamed is no generation, and its head comes soon.
        bound = asked.streamed or not self._turn.target.local
        self._patience = min(left, waits + times.first_token) if bound else left
        loop = asyncio.get_running_loop()
        now = loop.time()
        # Who has nobody else to ask waits as long as the engine works on what was sent before.
        waits_on = self._turn.target.local and bound and (self._turn.last or self.before is not None)
        try:
            with Alarm(loop, now + self._patience, partial(self._queued, now + left) if waits_on else None) as alarm:
                if self._turn.move is not None and asked.streamed and self.before is None:
                    self._timer = loop.call_later(self._turn.move.first_s, self._look_again, self._turn.move, alarm)
                away = not self._turn.target.on_box
                call = structs.replace(asked.call, cargo=self._cargo) if away else asked.call
                trace = self._run.effects.trace
                if trace is not None and (self._turn.target.local or trace.everywhere):
                    since = milliseconds(started - self._job.arrived)
                    own = trace.headers(self._job.id, self._job.headers, since)
                    call = structs.replace(call, headers=(*call.headers, *own))
                reply = await self._lane.hop.open(call, connect_s=times.connect)
                try:
                    failure = await self._read(reply, asked, alarm, now + left)
                finally:
                    reply.close()
        except TimeoutError:
            failure = self._late if self._late is not None and self.first_token is None else _silent(self._patience)
        except HopError as error:
            failure = error.failure
        finally:
            if self._timer is not None:
                self._timer.cancel()
        # Once every choice has its finish reason, nothing is cut off but the closing mark: the answer is whole without it.
        if failure is not None and not (meter.finished and meter.failure is None):
            return failure
        if isinstance(meter, CheckedMeter):
            await meter.check()
        rest = meter.end()
        if (failure := meter.failure) is not None:
            # An error in place of an answer, or inside one: its own words say what kind of failure it is.
            typed = failure.kind is Kind.BROKEN_STREAM and failure.body
            return self._turn.backend.codec.classify(HTTPStatus.OK, {}, failure.body) if typed else failure
        ruling = self.gate.ruling(meter, ended=True)
        if isinstance(ruling, Failure):
            return ruling
        if rest or not self.gate.open:
            await self._let_through(None if self._stream else self.gate.size + len(rest), rest)
        self._run.outcome.answered = True  # its closing mark has gone out
        return None

    def _queued(self, end: float) -> float | None:
        """The loop time, at most `end`, to which the limit of a first token moves while the request is in a queue and not in
        silence: `first_token` after the engine was last seen to work on what was sent before.
        """
        if self.first_token is not None:
            return None
        now, loop_now, target = self._clock(), asyncio.get_running_loop().time(), self._turn.target
        until = self._ledger.queued_until(self._work, self._run.fleet.heard_at(target, self._lane), now)
        more = min(until + target.timeouts.first_token - now, end - loop_now)
        self._patience += max(0.0, more)
        return loop_now + more

    def _look_again(self, move: LateMove, alarm: Alarm) -> None:
        """Ends a request that still waits for its first token if the next candidate would be sooner; else looks again later."""
        if self.first_token is not None or self._late is not None:
            return
        now, loop = self._clock(), asyncio.get_running_loop()
        waited_s, left_s = now - self._job.arrived, self._ledger.remaining_s(self._work, now)
        if move.leaves(waited_s, left_s):
            words = f"no first token after {waited_s:.2f} s, the next candidate needs {move.there_s:.2f} s"
            self._late = Failure(Kind.LATE, Disposition.NEXT_CANDIDATE, words)
            self._work.given_up(left_s, now)
            alarm.move(loop.time())
        else:
            self._timer = loop.call_later(move.again_s, self._look_again, move, alarm)

    async def _read(self, reply: Reply, asked: Asked, alarm: Alarm, end: float) -> Failure | None:
        """Relays what arrives until the end of the reply or a failure of the meter. Returns an error status's failure, and
        the gate's. end: loop time.
        """
        codec, meter, early = self._turn.backend.codec, asked.meter, asked.early
        self._status = reply.status
        if reply.status != HTTPStatus.OK:
            return codec.classify(reply.status, reply.headers, await error_page(reply))
        loop, idle, gate = asyncio.get_running_loop(), self._turn.target.timeouts.idle, self.gate
        now, write_now = loop.time, self._run.sink.write_now
        ruling: Ruling = WAIT
        if renewed := not (asked.streamed or self._turn.target.local):
            self._patience = idle
            alarm.move(min(end, now() + idle))

        def take(piece: bytes) -> bool:
            """One piece. True if it is dealt with and more is wanted; after the commit point the task sleeps meanwhile."""
            nonlocal ruling
            out = meter.feed(piece if early is None else early.feed(piece))
            if self.first_token is None and meter.began:
                self.first_token, self._patience = self._clock(), idle
                self._work.first_token(self.first_token)
                if not self._turn.target.local:
                    self._ledger.ttft.learn(self.first_token - self._work.admitted)
            if out and not (gate.open and write_now(out)):
                ruling = gate.hold(out, meter)
            elif gate.look is not None:
                ruling = gate.ruling(meter)  # an answer that is wanted whole gives no bytes before its end
            if renewed or self.first_token is not None:
                alarm.move(min(end, now() + idle))
            return ruling is WAIT and not meter.done and meter.failure is None

        ended = False
        while not ended and ruling is WAIT and not meter.done and meter.failure is None:
            if early is None or gate.look is None:
                ended = await reply.relay(take)
            elif (in_time := await self._early(reply, take, early)) is not None:
                ended = in_time
            else:
                ruling = gate.ruling(meter)  # on the tokens that came in time
            if ruling is GOOD:
                # A client that reads slowly is no reason to give the model up: no time-out runs while writing.
                alarm.move(None)
                await self._let_through(None)
                alarm.move(min(end, now() + idle))
                ruling = WAIT
        if meter.done and meter.failure is None and gate.open and isinstance(meter, StreamMeter):
            self._run.outcome.answered = True  # such a meter passes the closing mark on as it comes
        return ruling if isinstance(ruling, Failure) else None

    async def _early(self, reply: Reply, take: Callable[[bytes], bool], early: EarlyTokens) -> bool | None:
        """`Reply.relay`, for as long as the first tokens may be waited for; None once that time is over."""
        loop, look = asyncio.get_running_loop(), self._turn.look
        assert look is not None
        until: float | None = None

        def timed(piece: bytes) -> bool:
            nonlocal until
            more = take(piece)
            if until is None and early.tokens:
                until = loop.time() + look.wait_s
            window.move(until if self.gate.look is not None else None)
            return more

        try:
            with Alarm(loop, None) as window:
                return await reply.relay(timed)
        except TimeoutError:
            early.closed = True
            return None

    async def _let_through(self, length: int | None, rest: bytes = b"") -> None:
        """Commits the answer where that is still to be done, and writes what was held and the rest.

        length: of a whole answer; None for a stream.
        """
        if not self.gate.open:
            await self._commit(self, length)
        await self._run.sink.write(self.gate.release() + rest)

    def _book(self, started: float, result: str, failure: Failure | None) -> None:
        """One row in the record: the exchange with its times, its end, its usage and its cost."""
        job, target, meter, first = self._job, self._turn.target, self.meter, self.first_token
        broke_off = failure is not None or result == CANCELLED
        if broke_off and meter is not None and not (meter.finished or meter.failure or isinstance(meter, CheckedMeter)):
            meter.end()  # some readers report counts late: those that came before the cut are reported now
        before = self.before.tokens if self.before is not None else 0
        usage = meter.usage if meter is not None else None
        if usage is not None and before:
            # The meter counts the resumed answer as one, for the client; the upstream read the first part as prompt.
            written = max(0, usage.completion - before)
            usage = structs.replace(usage, prompt=usage.prompt + before, completion=written)
        estimated = False
        if (
            meter is not None
            and meter.began
            and (usage is None or (not meter.finished and usage.completion < meter.tokens))
        ):
            # The upstream was cut before it had counted: the answer by its pieces, the prompt by our estimate.
            estimated = True
            usage = structs.replace(usage or Usage(job.facts.prompt_tokens + before), completion=meter.tokens)
        now, micro = self._clock(), None
        if target.price is not None:
            at = self._run.effects.wall() - (now - started)
            tier = tier_of(job.body.data, self.dropped, "" if usage is None else usage.tier)
            micro = cost(target, usage, at, tier)
        self._run.outcome.exchanges.append(
            Exchange(
                target=target.label,
                lane=self._lane.name,
                started_ms=milliseconds(started - job.arrived),
                ended_ms=milliseconds(now - job.arrived),
                outcome=result,
                first_token_ms=None if first is None or first < started else milliseconds(first - job.arrived),
                status=self._status,
                message=unquoting(failure, job.body.data).message if failure else "",
                retry_after=failure.retry_after if failure else None,
                prompt_tokens=usage.prompt if usage else 0,
                completion_tokens=usage.completion if usage else 0,
                cached_tokens=usage.cached if usage else 0,
                reasoning_tokens=usage.reasoning if usage else 0,
                cost_usd=None if micro is None else micro / MICRO,
                estimated=estimated,
                price_date=target.price.date or None if target.price else None,
                searches=usage.searches if usage else 0,
            )
        )
        self._turn.booked.append(self._run.outcome.exchanges[-1])


def _looked(look: EarlyLook, early: EarlyTokens, meter: Meter, ended: bool) -> Ruling:
    """The ruling on an answer by its first tokens, once they are there. One without any is not judged by them."""
    if not (early.closed or meter.finished or ended):
        return WAIT
    sure = look.map.confidence(early.tokens, meter.finish)
    if sure is None or sure >= look.least:
        return GOOD
    words = f"its early confidence is {sure:.2f} after {len(early.tokens)} tokens, the threshold is {look.least:g}"
    return Failure(Kind.UNSURE, Disposition.NEXT_CANDIDATE, words)


def _silent(after_s: float) -> Failure:
    return Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, f"nothing came for {after_s:.3g} s")
