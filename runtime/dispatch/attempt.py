"""One exchange with one lane: opens it, relays what is good, keeps the time-outs, ends as a value.

Nothing reaches the client before the first content is good (the commit point). A failure, foreign or found by the meter,
ends the attempt as a `Failure`; only cancellation is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus

import msgspec

from runtime.contract.backend import Backend, Lane
from runtime.contract.codec import Unsupported
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import Reply, error_page
from runtime.contract.targets import Target
from runtime.dialects import structured
from runtime.dialects.checked import CheckedMeter
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dispatch.alarm import Alarm
from runtime.dispatch.asking import Asked, passed, passes, translated
from runtime.dispatch.job import Job
from runtime.load.ledger import Ledger
from runtime.media.fetching import Fetching
from runtime.wire.raw_body import BadBody

_AFTER_FINISH_S = 1.0  # for usage and the closing mark, once every choice has its finish reason


class Attempt(msgspec.Struct):
    """One exchange.

    begin: called at the commit point with the length of a whole answer (None for a stream) and the names of the parameters
    that were dropped; write: what follows. before: this attempt goes on with an answer that was cut.
    """

    job: Job
    backend: Backend
    target: Target  # as it was when the attempt began
    lane: Lane
    ledger: Ledger
    clock: Callable[[], float]
    begin: Callable[[int | None, tuple[str, ...]], Awaitable[None]]
    write: Callable[[bytes], Awaitable[None]]
    meter: Meter | None = None
    first_token: float | None = None
    status: int | None = None
    committed: bool = False
    held: list[bytes] = []
    before: PartialAnswer | None = None
    dropped: tuple[str, ...] = ()  # parameters the target could not be given
    fetching: Fetching | None = None  # what the client gave by address, for a target that takes no addresses
    streams: bool = False  # the client wants a stream
    passes: bool = False  # bytes pass through; else they are translated, and come as a stream whatever the client wants
    service_in_s: float = 0.0  # predicted wait until the lane begins to serve this request

    def __post_init__(self) -> None:
        self.streams = self.job.dialect.streams(self.job.body)
        self.passes = passes(self.job, self.target)

    async def run(self) -> Failure | None:
        """None when the answer was whole and has been relayed."""
        job, ledger, now = self.job, self.ledger, self.clock()
        if self.streamed_upstream:
            self.service_in_s = ledger.backlog_s(job.prompt_tokens, now)
        ledger.admit(job.id, job.prompt_tokens, job.expected_output, now, whole=not self.streamed_upstream)
        try:
            return await self._run()
        finally:
            meter = self.meter
            usage = meter.usage if meter is not None else None
            if meter is not None and meter.tokens:
                ledger.tokens(job.id, meter.tokens, self.clock())
            ledger.finish(job.id, self.clock(), usage)

    async def _run(self) -> Failure | None:
        try:
            asked = await self._asked()
        except HopError as error:
            return error.failure
        except TimeoutError:
            return _silent(self._left)
        except Unsupported as error:
            return Failure(Kind.REJECTED, Disposition.NEXT_CANDIDATE, str(error), 400, code="unsupported")
        except BadBody as error:
            return Failure(Kind.REJECTED, Disposition.TELL_CALLER, str(error), 400, code="invalid_body")
        failure = await self._exchange(asked)
        meter = asked.meter
        if isinstance(meter, CheckedMeter) and meter.fault is not None:
            # The one more request: the answer given back with what is wrong with it.
            better = structured.repair(meter.request, meter.text, meter.fault)
            failure = await self._exchange(translated(self.job, self._aimed, self.backend.codec, better))
        return failure

    async def _asked(self) -> Asked:
        """What goes upstream. Raises Unsupported, BadBody; HopError, TimeoutError while media come in or go up."""
        job, backend = self.job, self.backend
        if self.passes:
            return passed(job, self.target, backend.codec, self.lane.model, self.before)
        request = job.dialect.read_request(job.body)
        async with asyncio.timeout(self._left):
            if self.fetching is not None:
                request = await self.fetching.settled(request, self.target.capabilities)
            if backend.uploads is not None:
                request = await backend.uploads.settled(request, connect_s=self.target.timeouts.connect)
        return translated(job, self._aimed, backend.codec, request)

    @property
    def _left(self) -> float:
        """Seconds this attempt may still take."""
        return max(0.0, min(self.job.deadline - self.clock(), self.target.timeouts.total))

    @property
    def _aimed(self) -> Target:
        """The target, by the model id of this lane."""
        return replace(self.target, model=self.lane.model)

    async def _exchange(self, asked: Asked) -> Failure | None:
        call, meter, self.dropped = asked
        self.meter = meter
        times = self.target.timeouts
        loop = asyncio.get_running_loop()
        now = loop.time()
        left = self._left
        first = min(left, self.service_in_s + times.first_token) if self.streamed_upstream else left
        patience = _Patience(now + first, now + left, times.idle)
        try:
            with Alarm(loop, patience.first) as alarm:
                reply = await self.lane.hop.open(call, connect_s=times.connect)
                try:
                    return await self._read(reply, meter, alarm, patience, loop)
                finally:
                    reply.close()
        except TimeoutError:
            failure = _silent(first if self.first_token is None else times.idle)
        except HopError as error:
            failure = error.failure
        # Every choice had its finish reason: only the closing mark is missing, and the answer is whole without it.
        return await self._finish(meter) if meter.finished else failure

    @property
    def streamed_upstream(self) -> bool:
        return self.streams or not self.passes

    async def _read(
        self, reply: Reply, meter: Meter, alarm: Alarm, patience: _Patience, loop: asyncio.AbstractEventLoop
    ) -> Failure | None:
        self.status = reply.status
        if reply.status != HTTPStatus.OK:
            body = await error_page(reply)
            return self.backend.codec.classify(reply.status, reply.headers, body)
        now = loop.time
        while not meter.done and meter.failure is None and (piece := await reply.chunk()):
            out = meter.feed(piece)
            if self.first_token is None and meter.began:
                self.first_token = self.clock()
                self.ledger.first_token(self.job.id, self.first_token)
            if out:
                # A client that reads slowly is no reason to give the model up: no time-out runs while writing.
                alarm.move(None)
                await self._forward(out)
                alarm.move(patience.until(now(), self.first_token is not None, meter.finished))
            elif self.first_token is not None:
                alarm.move(patience.until(now(), True, meter.finished))
        if meter.failure is not None:
            return self._judged(meter.failure)
        return await self._finish(meter)

    def _judged(self, failure: Failure) -> Failure:
        """An error told inside the stream is the wire's to judge; what the meter found wrong stands."""
        told = failure.kind is Kind.BROKEN_STREAM and failure.body
        return self.backend.codec.classify(HTTPStatus.OK, {}, failure.body) if told else failure

    async def _forward(self, out: bytes) -> None:
        """Writes what is good, or holds it: before the first content, and where a whole answer is wanted, to the end."""
        if self.committed:
            await self.write(out)
            return
        self.held.append(out)
        if self.first_token is not None and not self.job.whole:
            await self._commit(None)

    async def _commit(self, length: int | None) -> None:
        self.committed = True
        await self.begin(length, self.dropped)
        await self.write(b"".join(self.held))
        self.held.clear()

    async def _finish(self, meter: Meter) -> Failure | None:
        """The upstream has said all: settles what is owed, or finds that the answer is not whole."""
        owed = b"" if meter.done else meter.end()
        if meter.failure is not None:
            return meter.failure
        if self.committed:
            if owed:
                await self.write(owed)
            return None
        self.held.append(owed)
        await self._commit(None if self.streams else sum(map(len, self.held)))
        return None


class _Patience(msgspec.Struct, frozen=True, gc=False):
    """Until when the next bytes are waited for. Loop times; `idle` in seconds."""

    first: float
    end: float
    idle: float

    def until(self, now: float, begun: bool, finished: bool) -> float:
        if not begun:
            return self.first
        return min(self.end, now + (_AFTER_FINISH_S if finished else self.idle))


def _silent(after_s: float) -> Failure:
    return Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, f"nothing came for {after_s:.3g} s")
