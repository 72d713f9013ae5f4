"""The life of a generating request: body, facts, plan, dispatch, settlement. One per request, one record each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.contract.reasons import Reason
from runtime.dialects.seam import Dialect
from runtime.dispatch import errors
from runtime.dispatch.dispatcher import Dispatcher
from runtime.dispatch.job import Head, Job, Outcome
from runtime.fleet.fleet import LiveFleet
from runtime.life.planning import Planner
from runtime.record.decisions import Considered, Decision, DecisionIds
from runtime.record.metrics import Metrics
from runtime.record.store import Store
from runtime.routing.facts.facts import BadHint, Facts
from runtime.routing.plan.plan import Candidate, Plan, Rejected
from runtime.server.asgi import ClientGone, ClientRequest, Pairs
from runtime.server.presence import Presence
from runtime.server.sink import ClientSink
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_LATEST = 10  # decisions kept at hand for the status
_RESUMED = ("resumed",)
CLIENT_GONE = 499  # nginx's number for a client that hung up


@dataclass(slots=True)
class Desk:
    """What answering needs. `planner`, `total_s` and `max_body` change with the settings, between two requests."""

    planner: Planner
    dispatcher: Dispatcher
    fleet: LiveFleet
    store: Store
    metrics: Metrics
    ids: DecisionIds
    clock: Callable[[], float]  # monotonic
    wall: Callable[[], float]
    total_s: float
    max_body: int
    draining: bool = False
    latest: deque[Decision] = field(default_factory=lambda: deque(maxlen=_LATEST))


async def answer(desk: Desk, request: ClientRequest, dialect: Dialect, extra: Pairs) -> None:
    """Answers one request in the client's dialect. Raises ApiError for what is wrong before a plan stands."""
    await answer_body(desk, request, dialect, extra, await body_of(desk, request, dialect))


async def body_of(desk: Desk, request: ClientRequest, dialect: Dialect) -> RawBody:
    """The request's body, fit for the dialect. Raises ApiError."""
    if desk.draining:
        raise ApiError(503, "this server is shutting down", "shutting_down", retry_after=5.0)
    try:
        body = RawBody(await request.body(desk.max_body))
        dialect.check(body)
    except BadBody as error:
        raise invalid(error) from error
    return body


async def answer_body(desk: Desk, request: ClientRequest, dialect: Dialect, extra: Pairs, body: RawBody) -> bool:
    """Answers a body that was read. True where the answer was whole. Raises ApiError before a plan stands."""
    try:
        facts = desk.planner.facts(dialect.name, body.data, request.headers)
    except BadHint as error:
        raise ApiError(400, str(error), "invalid_hint", error.place) from error
    return await _Life(desk, request, dialect, extra, body, facts).run()


def invalid(error: BadBody) -> ApiError:
    return ApiError(400, str(error), "invalid_body", error.place)


class _Life:
    def __init__(
        self, desk: Desk, request: ClientRequest, dialect: Dialect, extra: Pairs, body: RawBody, facts: Facts
    ) -> None:
        self._desk = desk
        self._request = request
        self._dialect = dialect
        self._extra = extra
        self._facts = facts
        self._body = body
        self._plan = desk.planner.plan(facts, desk.fleet, request.arrived)
        self._at = desk.wall() - (desk.clock() - request.arrived)

    async def run(self) -> bool:
        """True where the answer was whole."""
        if self._plan.refusal is not None:
            await self._refuse(errors.of_refusal(self._plan.refusal), Outcome())
            return False
        sink = ClientSink(self._request, self._headers)
        outcome = Outcome()
        presence = Presence(self._request.receive)
        try:
            with presence:
                await self._desk.dispatcher.run(self._job(), self._plan, sink, outcome)
                if not sink.started:
                    await self._refuse(self._error(outcome), outcome)
                    return False
                await sink.close(self._last_words(outcome))
                self._settle(outcome, 200 if outcome.answered else 502)
        except asyncio.CancelledError:
            if presence.gone:
                self._settle(outcome, CLIENT_GONE)
                raise ClientGone from None
            await self._break_off(sink, outcome)
            return False
        return outcome.answered

    def _error(self, outcome: Outcome) -> ApiError:
        busy_for = self._desk.fleet.busy_for()
        return errors.of_outcome(outcome, self._dialect.name, busy_for, pinned=self._plan.pinned)

    def _job(self) -> Job:
        arrived, facts = self._request.arrived, self._facts
        return Job(
            self._request.id,
            self._dialect,
            self._body,
            facts.prompt_tokens,
            facts.max_tokens,
            facts.hints.delivery == "whole",
            arrived,
            arrived + self._desk.total_s,
            self._request.headers,
            facts.structured,
        )

    def _last_words(self, outcome: Outcome) -> bytes:
        """What a cut stream ends with: an error in the client's dialect, never its closing mark."""
        if outcome.failure is None or outcome.target is None:
            return b""
        return self._dialect.error_event(errors.cut(outcome.failure, outcome.target))

    async def _break_off(self, sink: ClientSink, outcome: Outcome) -> None:
        """The server itself ends this answer: the drain's deadline has passed."""
        error = ApiError(503, "this server was shut down before the answer was complete", "shutting_down", None, 5.0)
        if sink.started:
            await sink.close(self._dialect.error_event(error))
            self._settle(outcome, error.status)
        else:
            await self._refuse(error, outcome)

    async def _refuse(self, error: ApiError, outcome: Outcome) -> None:
        self._settle(outcome, error.status)
        headers = [
            *self._extra,
            *error.headers,
            (b"x-hearth-decision", self._request.id.encode()),
            (b"x-hearth-reason", self._plan.reason.encode()),
            (b"x-hearth-attempts", str(len(outcome.attempts)).encode()),
        ]
        await self._request.answer(
            error.status, self._dialect.error_body(error), ((b"content-type", b"application/json"), *headers)
        )

    def _headers(self, head: Head) -> Pairs:
        headers = [
            *self._extra,
            (b"x-hearth-decision", self._request.id.encode()),
            (b"x-hearth-target", head.target.label.encode()),
            (b"x-hearth-attempts", str(head.attempts).encode()),
            (b"x-hearth-reason", head.reason.encode()),
        ]
        if degraded := (*self._plan.degraded, *head.dropped):
            headers.append((b"x-hearth-degraded", ",".join(degraded).encode()))
        return headers

    def _settle(self, outcome: Outcome, status: int) -> None:
        """One record, the counters, and what the answer teaches about tokens."""
        desk, facts, plan = self._desk, self._facts, self._plan
        now = desk.clock()
        task, score = facts.told
        meter = outcome.meter
        usage = meter.usage if meter is not None else None
        if usage is not None and not facts.media:
            desk.planner.learn(facts, usage.prompt)
        reason = outcome.reason or plan.reason
        decision = Decision(
            id=self._request.id,
            at=self._at,
            dialect=facts.dialect,
            model=facts.model,
            target=outcome.target.label if outcome.target else None,
            reason=reason,
            words=_words(plan, reason),
            degraded=(*plan.degraded, *outcome.dropped, *_RESUMED[: outcome.resumed]),
            considered=_considered(plan, desk.fleet),
            attempts=tuple(outcome.attempts),
            prompt_tokens=usage.prompt if usage else 0,
            completion_tokens=usage.completion if usage else meter.tokens if meter else 0,
            cached_tokens=usage.cached if usage else 0,
            reasoning_tokens=usage.reasoning if usage else 0,
            estimated_tokens=facts.prompt_tokens,
            score=score,
            task=task,
            stream=facts.stream,
            status=status,
            ttft_ms=_ms(outcome.first_token - self._request.arrived) if outcome.first_token else None,
            total_ms=_ms(now - self._request.arrived),
            requires=tuple(sorted(facts.hints.requires)) if facts.hints.requires else (),
            session=facts.hints.session,
            cost_usd=desk.fleet.cost(outcome.target, usage),
            advice=plan.advice or None,
            finish=meter.finish if meter else None,
        )
        desk.store.add(decision)
        desk.latest.appendleft(decision)
        desk.metrics.settled(decision)


def _words(plan: Plan, reason: Reason) -> str:
    return f"a fallback answered; first choice: {plan.words}" if reason is Reason.FALLBACK else plan.words


def _considered(plan: Plan, fleet: LiveFleet) -> tuple[Considered, ...]:
    every: tuple[Candidate | Rejected, ...] = (*plan.candidates, *plan.considered)
    return tuple([Considered(fleet.target(item.target).label, item.reason, item.words) for item in every])


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
