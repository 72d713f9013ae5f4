"""`/v1/responses/{id}` and below: what is kept of an answer, given and forgotten. Whoever asks sees what is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses import listing
from runtime.dialects.openai_responses.conversation import deleted, missing
from runtime.server.asgi import JSON, ClientRequest, Page, Pairs
from runtime.wire.api_error import ApiError

PATH = "/v1/responses/"
_INPUT, _CANCEL = "/input_items", "/cancel"


class Responses:
    """The caller's id is the owner of what is kept."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.get, ("DELETE", PATH): self.forget, ("POST", PATH): self.cancel}

    async def get(self, request: ClientRequest, extra: Pairs) -> None:
        """The response, or what it answered. Raises ApiError where nothing is kept under this id."""
        name = request.path.removeprefix(PATH)
        if name.endswith(_INPUT):
            await self._input(request, name.removesuffix(_INPUT), extra)
            return
        if _query(request).get("stream") == ["true"]:
            raise ApiError(
                400, "a kept answer is not told again as a stream: leave 'stream' out", "unsupported", "stream"
            )
        await request.answer(200, await self._kept(request, name), (JSON, *extra))

    async def forget(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError where there is nothing to forget."""
        name = request.path.removeprefix(PATH)
        if not await self._store.forget(name, request.caller.id):
            raise missing(name)
        await request.answer(200, deleted(name), (JSON, *extra))

    async def cancel(self, request: ClientRequest, extra: Pairs) -> None:
        """Raises ApiError always: what is kept is complete, for nothing is answered in the background."""
        name, known, rest = request.path.removeprefix(PATH).partition(_CANCEL)
        if not known or rest:
            raise ApiError(404, f"nothing is served at {request.path}", "not_found")
        await self._kept(request, name)
        raise ApiError(400, "Cannot cancel a synchronous response.", "invalid_request", "response_id")

    async def _input(self, request: ClientRequest, name: str, extra: Pairs) -> None:
        wanted = listing.window(request.scope["query_string"])
        items = await self._store.input(name, request.caller.id)
        if items is None:
            raise missing(name)
        await request.answer(200, listing.page(items, wanted), (JSON, *extra))

    async def _kept(self, request: ClientRequest, name: str) -> bytes:
        found = await self._store.response(name, request.caller.id)
        if found is None:
            raise missing(name)
        return found


def _query(request: ClientRequest) -> Mapping[str, list[str]]:
    return parse_qs(request.query)
