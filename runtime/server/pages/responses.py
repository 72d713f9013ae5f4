"""`/v1/responses/{id}` and below: reading and deleting a stored response. A caller sees its own responses only."""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec

from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses import listing
from runtime.dialects.openai_responses.conversation import deleted, missing
from runtime.server.asgi import JSON, ClientRequest, Page, Pairs
from runtime.server.forwarding import reads
from runtime.server.item_search import ID, ITEMS, MOST_IDS, SentItems
from runtime.wire.api_error import ApiError
from runtime.wire.window import window

PATH = "/v1/responses/"
_INPUT, _CANCEL = "/input_items", "/cancel"
_LISTED, _MOST_LISTED = 20, 100  # input items of a page


class Responses:
    """Stored responses belong to the id of the caller."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.get, ("DELETE", PATH): self.forget, ("POST", PATH): self.cancel}

    async def get(self, request: ClientRequest, extra: Pairs) -> None:
        """The response, a page of its input items, or the items that another Hearth asks for by their ids.

        Raises ApiError if nothing is stored under this id.
        """
        name, owner = request.path.removeprefix(PATH), request.caller.id
        if name == ITEMS and request.link:
            ids = parse_qs(request.query).get(ID, [])[:MOST_IDS]
            found = await self._store.items(ids, owner)
            reads(request, found.requires)
            sent = SentItems({id: msgspec.Raw(item) for id, item in found.items.items()}, sorted(found.requires))
            await request.answer(200, msgspec.json.encode(sent), (JSON, *extra))
            return
        if name.endswith(_INPUT):
            name = name.removesuffix(_INPUT)
            reads(request, self._store.requires_of(name, owner))
            wanted = window(request.query, _LISTED, _MOST_LISTED)
            items = await self._store.input(name, owner)
            if items is None:
                raise missing(name)
            await request.answer(200, listing.page(items, wanted), (JSON, *extra))
            return
        if parse_qs(request.query).get("stream") == ["true"]:
            raise ApiError(400, "a stored response is not streamed again: leave 'stream' out", "unsupported", "stream")
        reads(request, self._store.requires_of(name, owner))
        await request.answer(200, await self._stored(name, owner), (JSON, *extra))

    async def forget(self, request: ClientRequest, extra: Pairs) -> None:
        """Deletes the response. Raises ApiError if nothing is stored under this id."""
        name = request.path.removeprefix(PATH)
        if not await self._store.forget(name, request.caller.id):
            raise missing(name)
        await request.answer(200, deleted(name), (JSON, *extra))

    async def cancel(self, request: ClientRequest, extra: Pairs) -> None:
        """Always raises ApiError: a stored response is complete, because no request runs in the background."""
        name, known, rest = request.path.removeprefix(PATH).partition(_CANCEL)
        if not known or rest:
            raise ApiError(404, f"nothing is served at {request.path}", "not_found")
        await self._stored(name, request.caller.id)
        raise ApiError(400, "Cannot cancel a synchronous response.", "invalid_request", "response_id")

    async def _stored(self, name: str, owner: str) -> bytes:
        found = await self._store.response(name, owner)
        if found is None:
            raise missing(name)
        return found
