"""`/v1/messages/count_tokens`: counted by the target that would answer, where it counts; estimated where it does not."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from runtime.contract.backend import Backend
from runtime.contract.failures import HopError
from runtime.contract.hop import HttpCall, error_page
from runtime.dialects.anthropic_messages import counting
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dispatch import errors
from runtime.routing.facts.facts import BadHint
from runtime.server.answering import Desk
from runtime.server.asgi import ClientRequest, Pairs
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_COUNTS = "anthropic_count_tokens"
_MOST_BYTES = 65536


class Counting:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def count(self, request: ClientRequest, extra: Pairs) -> None:
        desk = self._desk
        try:
            body = RawBody(await request.body(desk.max_body))
            counting.check(body)
            facts = desk.planner.facts(MESSAGES.name, body.data, request.headers)
        except BadBody as error:
            raise ApiError(400, str(error), "invalid_body", error.place) from error
        except BadHint as error:
            raise ApiError(400, str(error), "invalid_hint", error.place) from error
        plan = desk.planner.plan(facts, desk.fleet, request.arrived)
        if plan.refusal is not None:
            raise errors.of_refusal(plan.refusal)
        backend = desk.fleet.backend(plan.candidates[0].target)
        counted = counting.answer(facts.prompt_tokens)
        if MESSAGES.name in backend.target.dialects:
            counted = await self._asked(backend, body, request)
        await request.answer(200, counted, ((b"content-type", b"application/json"), *extra))

    async def _asked(self, backend: Backend, body: RawBody, request: ClientRequest) -> bytes:
        """What the target itself counts. Raises ApiError with its words."""
        lane, codec, times = backend.lanes[0], backend.codec, backend.target.timeouts
        headers = (("content-type", "application/json"), *codec.headers(request.headers))
        call = HttpCall(codec.path(_COUNTS), counting.passing(body, lane.model), headers)
        try:
            async with asyncio.timeout(times.first_token):
                reply = await lane.hop.open(call, connect_s=times.connect)
                try:
                    answer = await error_page(reply, _MOST_BYTES)
                finally:
                    reply.close()
        except (HopError, TimeoutError) as error:
            raise ApiError(502, f"{backend.target.label} did not count: {error}", "all_candidates_failed") from error
        if reply.status != HTTPStatus.OK:
            failure = codec.classify(reply.status, reply.headers, answer)
            raise ApiError(reply.status, failure.message, failure.code, None, failure.retry_after, answer)
        return answer
