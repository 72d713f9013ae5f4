"""`POST /v1/responses`: an answer that may go on from one that is kept, and is kept itself unless the client says otherwise."""

from __future__ import annotations

import logging
import sqlite3

from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses.conversation import kept
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.life.desk import Desk
from runtime.server.answer import answer_body, body_of, invalid
from runtime.server.asgi import ClientRequest, Pairs
from runtime.wire.raw_body import BadBody, RawBody

PATH = "/v1/responses"
_log = logging.getLogger("hearth.server")


class Conversations:
    """The caller's id is the owner of what is kept."""

    def __init__(self, desk: Desk, dialect: ResponsesDialect, store: ResponseStore) -> None:
        self._desk = desk
        self._dialect = dialect
        self._store = store

    async def answer(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError for what is wrong before a plan stands."""
        own = await body_of(self._desk, request, self._dialect)
        owner = request.caller.id
        told: list[bytes] = []
        dialect = self._dialect.session(own, told.append)
        try:
            body = await self._store.resume(own, owner)
        except BadBody as error:
            raise invalid(error) from error
        if await answer_body(self._desk, request, dialect, extra, body) and told:
            await self._keep(own, told[-1], owner)

    async def _keep(self, own: RawBody, response: bytes, owner: str) -> None:
        """The answer was given: a disk that fails costs its memory, not the answer."""
        row = kept(own, response)
        if row is None:
            return
        try:
            await self._store.keep(row, owner)
        except sqlite3.Error as error:
            _log.warning("an answer could not be kept for previous_response_id: %s", error)
