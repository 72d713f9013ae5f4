"""`POST /v1/responses`: an answer that may continue a stored response, and is stored unless the client says otherwise."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from runtime.contract.targets import FLEET
from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses.conversation import NOT_FOUND, previous_of, stored_response
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dispatch.aside import LARGE
from runtime.dispatch.job import Head, Job, Outcome, Sink
from runtime.life.desk import Desk
from runtime.life.life import generate
from runtime.routing.facts.facts import Within
from runtime.routing.plan.plan import Plan
from runtime.server.answer import answer_body, body_of, invalid
from runtime.server.asgi import ClientRequest, Pairs
from runtime.server.forwarding import elsewhere, reads
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody

PATH = "/v1/responses"


class Storing:
    """A `runtime.dispatch.job.Sink` before another: no byte passes while a response is being written to disk.

    So a client that has the end of an answer finds it again, even if the process is killed in that moment. A disk that does not
    answer within `most_s` does not keep the answer from its client.
    """

    __slots__ = ("_inner", "_most_s", "_writing")

    def __init__(self, inner: Sink, writing: list[Future[None]], most_s: float = 1.0) -> None:
        self._inner, self._writing, self._most_s = inner, writing, most_s

    @property
    def gone(self) -> bool:
        return self._inner.gone

    async def start(self, head: Head) -> None:
        await self._inner.start(head)

    async def write(self, data: bytes) -> None:
        while self._writing:
            await asyncio.wait([asyncio.wrap_future(self._writing.pop())], timeout=self._most_s)
        await self._inner.write(data)

    def write_now(self, data: bytes) -> bool:
        return not self._writing and self._inner.write_now(data)


class Conversations:
    """Stored responses belong to the id of the caller."""

    def __init__(self, desk: Desk, dialect: ResponsesDialect, store: ResponseStore) -> None:
        self._desk = desk
        self._dialect = dialect
        self._store = store

    async def answer(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError for what is wrong before there is a plan.

        Certificates that an earlier turn demanded are demanded of this one, too, as if its client had repeated them. The
        response is stored before its last bytes are sent, so that a client's next turn finds it.
        """
        own = await body_of(self._desk, request, self._dialect)
        if len(own.raw) >= LARGE:
            await asyncio.sleep(0)  # reading a large body was a turn of the loop; what follows is another
        owner = request.caller.id
        try:
            body, kept, inherited, continued = await self._store.resume(own, owner)
        except BadBody as error:
            raise invalid(error) from error
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            raise elsewhere(error, str(previous_of(own)), own.raw) from error
        reads(request, inherited)
        required, chain = inherited, continued or request.id
        writing: list[Future[None]] = []

        async def noting(desk: Desk, job: Job, plan: Plan, sink: Sink, outcome: Outcome) -> None:
            nonlocal required
            required = job.facts.hints.requires  # of the request, its conversation and the rules
            await generate(desk, job, plan, Storing(sink, writing), outcome)
            if not continued and outcome.target is not None and desk.fleet.clouds.backends:
                # The first turn of a chain. The client may also go on without one: then its beginning names it.
                usage = outcome.meter.usage if outcome.meter is not None else None
                desk.fleet.prefixes.answered(Within(owner, chain).chained, outcome.target, usage, desk.clock())

        def store(response: bytes) -> None:
            # What another Hearth sent is that one's to store.
            stored = None if owner == FLEET else stored_response(kept, response, required, chain)
            if stored is not None and (written := self._store.add(stored, owner)) is not None:
                writing.append(written)

        dialect = self._dialect.session(own, store)
        await answer_body(self._desk, request, dialect, extra, body, requires=inherited, chain=continued, work=noting)
