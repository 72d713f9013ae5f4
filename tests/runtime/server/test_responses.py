"""What is kept of answers of the responses wire, as a client asks for it and has it forgotten."""

from __future__ import annotations

import json
import time
from pathlib import Path

from runtime.dialects.openai_responses.conversation import Kept
from runtime.record.responses import ResponseStore
from runtime.server.responses import Responses
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, engine_backend

ANSWER = b'{"id":"resp_1","object":"response","output":[]}'


async def test_a_kept_response_is_given_and_forgotten(tmp_path: Path) -> None:
    """Byte by byte; then it is gone, in the wire's own words."""
    store = ResponseStore(None, time.time)
    await store.keep(Kept("resp_1", None, (), ANSWER))
    kept = Responses(store, lambda headers: headers.get("x-owner", ""))
    async with opened(Setup(engine_backend((Turn(),))), tmp_path) as door:
        door.app._pages = {**door.app._pages, **kept.table()}
        assert (await door.client.get("/v1/responses/resp_1", headers={"x-owner": "b"})).status_code == 404
        assert (await door.client.get("/v1/responses/resp_1")).content == ANSWER
        gone = await door.client.delete("/v1/responses/resp_1")
        assert gone.json() == {"id": "resp_1", "object": "response", "deleted": True}
        for method in ("GET", "DELETE"):
            told = await door.client.request(method, "/v1/responses/resp_1")
            assert (told.status_code, json.loads(told.content)["error"]["param"]) == (404, "response_id")
    store.close()
