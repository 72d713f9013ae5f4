"""`POST /v1/messages/count_tokens`."""

from __future__ import annotations

from runtime.dialects.anthropic_messages.counting import COUNT_TOKENS
from runtime.life.count import count
from runtime.life.desk import Desk
from runtime.server.answer import answer_body, body_of
from runtime.server.asgi import ClientRequest, Pairs


class Counting:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def count(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError for a body or hint that cannot be read."""
        body = await body_of(self._desk, request, COUNT_TOKENS)
        await answer_body(self._desk, request, COUNT_TOKENS, extra, body, work=count)
