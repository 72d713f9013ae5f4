"""Stored responses, as a client reads and deletes them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError

from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses.conversation import StoredResponse
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.server.pages.responses import Responses
from runtime.trust.keys import Keys
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, engine_backend, told

ANSWER = b'{"id":"resp_1","object":"response","output":[]}'


async def test_a_stored_response_is_read_and_deleted(tmp_path: Path) -> None:
    """Byte by byte; then it is gone, with the wire's own error."""
    store = ResponseStore(None, time.time)
    store.add(StoredResponse("resp_1", None, b"[]", ANSWER))
    kept = Responses(store)
    async with opened(Setup(engine_backend((Turn(),))), tmp_path) as door:
        door.app._pages = {**door.app._pages, **kept.table()}
        assert (await door.client.get("/v1/responses/resp_1", headers={"x-api-key": "b"})).status_code == 404
        assert (await door.client.get("/v1/responses/resp_1")).content == ANSWER
        gone = await door.client.delete("/v1/responses/resp_1")
        assert gone.json() == {"id": "resp_1", "object": "response", "deleted": True}
        for method in ("GET", "DELETE"):
            again = await door.client.request(method, "/v1/responses/resp_1")
            assert (again.status_code, json.loads(again.content)["error"]["param"]) == (404, "response_id")
    store.close()


async def test_the_pages_below_a_stored_response(tmp_path: Path) -> None:
    """Its input, a page at a time; it is not streamed again, and cannot be cancelled."""
    store = ResponseStore(None, time.time)
    items = b'[{"role":"user","content":"a"},{"role":"user","content":"b"}]'
    store.add(StoredResponse("resp_1", None, items, ANSWER), Keys(()).admit({"x-api-key": "k"}).id)
    kept = Responses(store)
    async with opened(Setup(engine_backend((Turn(),))), tmp_path) as door:
        door.app._pages = {**door.app._pages, **kept.table()}
        async with AsyncOpenAI(api_key="k", base_url=f"{door.url}/v1", max_retries=0) as client:
            told = [item.id async for item in client.responses.input_items.list("resp_1", limit=1)]
            assert told == ["item_1", "item_0"]
            for asked in (
                client.responses.cancel("resp_1"),
                client.responses.retrieve("resp_1", stream=True),
                client.responses.input_items.list("resp_1", limit=200),
            ):
                with pytest.raises(BadRequestError):
                    await asked
            for missing in (client.responses.cancel("resp_2"), client.responses.input_items.list("resp_2")):
                with pytest.raises(NotFoundError):
                    await missing
        assert (await door.client.post("/v1/responses/resp_1/odd")).status_code == 404
    store.close()


@asynccontextmanager
async def door_with(turn: Turn, folder: Path) -> AsyncIterator[AsyncOpenAI]:
    """The vendor's own client, at a door whose engine speaks chat alone."""
    async with opened(Setup(engine_backend((turn,))), folder) as door:
        door.app._dialects = {**door.app._dialects, "/v1/responses": RESPONSES}
        async with AsyncOpenAI(api_key="k", base_url=f"{door.url}/v1", max_retries=0) as client:
            yield client


async def test_the_vendors_client_is_answered_by_a_target_of_another_wire(tmp_path: Path) -> None:
    """Whole and streamed."""
    async with door_with(Turn(told("Hello there")), tmp_path) as client:
        whole = await client.responses.create(model="local", input="hi")
        assert (whole.output_text, whole.status) == ("Hello there", "completed")
        async with client.responses.stream(model="local", input="hi", instructions="Be brief.") as stream:
            final = await stream.get_final_response()
        assert final.output_text == "Hello there"
        assert final.usage is not None
        assert (final.usage.input_tokens, final.usage.output_tokens) == (7, 2)


async def test_a_cut_answer_raises_in_the_vendors_client(tmp_path: Path) -> None:
    """It is never shown as complete."""
    async with door_with(Turn(told("Hello there")[:2]), tmp_path) as client:
        seen = []
        with pytest.raises(APIError):
            async for event in await client.responses.create(model="local", input="hi", stream=True):
                seen.append(event.type)  # noqa: PERF401 (what was seen before it raised counts)
        assert "response.completed" not in seen


async def test_a_body_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """With the member at fault."""
    async with door_with(Turn(told("Hello there")), tmp_path) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.responses.create(model="local", input="hi", background=True)
        assert refused.value.param == "background"
        with pytest.raises(BadRequestError):
            odd: Any = [{"role": "user", "content": [{"type": "odd"}]}]
            await client.responses.create(model="local", input=odd)
