"""`/v1/responses/{id}`: what is kept of an answer, given and forgotten. Whoever asks sees what is theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.dialects.openai_responses.conversation import deleted, missing
from runtime.record.responses import ResponseStore
from runtime.server.app import Page
from runtime.server.asgi import Pairs, Request

PATH = "/v1/responses/"

_JSON = (b"content-type", b"application/json")


class Responses:
    """owner: whose request it is, from its headers; "" where nobody is told apart."""

    def __init__(self, store: ResponseStore, owner: Callable[[Mapping[str, str]], str]) -> None:
        self._store = store
        self._owner = owner

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.get, ("DELETE", PATH): self.forget}

    async def get(self, request: Request, extra: Pairs) -> None:
        """Raises ApiError where nothing is kept under this id."""
        name = request.path.removeprefix(PATH)
        found = await self._store.response(name, self._owner(request.headers))
        if found is None:
            raise missing(name)
        await request.answer(200, found, (_JSON, *extra))

    async def forget(self, request: Request, extra: Pairs) -> None:
        """Raises ApiError where there is nothing to forget."""
        name = request.path.removeprefix(PATH)
        if not await self._store.forget(name, self._owner(request.headers)):
            raise missing(name)
        await request.answer(200, deleted(name), (_JSON, *extra))
