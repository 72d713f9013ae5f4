"""A generating request at the door: its body, the life of its ask, and the answer or the error in the client's dialect."""

from __future__ import annotations

import asyncio

from runtime.dialects.seam import Dialect
from runtime.life.allowance import expected_tokens, limited_tokens
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.life import Work, generate, live
from runtime.life.settled import Settled
from runtime.server.asgi import JSON, ClientGone, ClientRequest, Pairs
from runtime.server.presence import Presence
from runtime.server.rate_limits import reserve_tokens
from runtime.server.sink import ClientSink
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody


async def body_of(desk: Desk, request: ClientRequest, dialect: Dialect) -> RawBody:
    """The request's body, checked by the dialect. Raises ApiError."""
    if desk.draining:
        raise ApiError(503, "this server is shutting down", "shutting_down", retry_after=5.0)
    try:
        body = RawBody(await request.body(desk.max_body))
        dialect.check(body)
    except BadBody as error:
        raise invalid(error) from error
    return body


async def answer_body(
    desk: Desk,
    request: ClientRequest,
    dialect: Dialect,
    extra: Pairs,
    body: RawBody,
    *,
    requires: frozenset[str] = frozenset(),
    chain: str = "",
    work: Work = generate,
) -> bool:
    """Answers a body that was read. True if the answer was whole. Raises ApiError for a hint that cannot be read.

    requires: certificates inherited from a conversation. chain: its name. work: how the plan is carried out.
    """
    ask = Ask(request.id, dialect, body, request.headers, request.arrived, request.caller, requires, chain)
    if request.caller.limits is not None and limited_tokens(ask) and isinstance(extra, list):
        tokens = expected_tokens(desk, ask)
        if desk.limiter.shared:
            await desk.limiter.ready(request.caller, tokens)
        reserve_tokens(desk.limiter, request, extra, desk.wall(), tokens)
    sink = ClientSink(request, extra, desk.delivers)
    tap = desk.sample.tap(ask, sink) if desk.sample is not None else None
    try:
        with Presence(request.receive, sink):
            settled = await live(desk, ask, tap or sink, work)
            error = settled.error
            if request.started:
                # A cut stream ends with an error in the client's dialect, never with its closing mark.
                await sink.close(dialect.error_event(error) if error is not None else b"")
            elif error is not None:
                await request.answer(error.status, dialect.error_body(error), (*extra, *_explained(settled, error)))
            if desk.sample is not None and tap is not None and error is None:
                desk.sample.offer(tap, settled.decision)
    except asyncio.CancelledError:
        if sink.gone:
            raise ClientGone from None
        raise
    return error is None


def invalid(error: BadBody) -> ApiError:
    return ApiError(400, str(error), "invalid_body", error.place)


def _explained(settled: Settled, error: ApiError) -> Pairs:
    decision = settled.decision
    return (
        JSON,
        *error.headers,
        (b"x-hearth-decision", decision.id.encode()),
        (b"x-hearth-reason", decision.reason.encode()),
        (b"x-hearth-attempts", str(len(decision.attempts)).encode()),
    )
