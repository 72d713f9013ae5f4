"""`/v1/responses` through the door: stateless, and continuing a stored response."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from pathlib import Path

import httpx
import openai
import pytest

from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.life.collected import Collected
from runtime.server.pages.conversations import Conversations, Storing
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, cloud, engine_backend, told


async def test_a_conversation_is_continued(tmp_path: Path) -> None:
    """The vendor's own client chains two turns; the engine gets the whole conversation."""
    local = engine_backend((Turn(told("Hello")), Turn(told("Again"))))
    async with opened(Setup(local), tmp_path) as d:
        client = openai.AsyncOpenAI(base_url=f"{d.url}/v1", api_key="mine", max_retries=0)
        first = await client.responses.create(model="local", input="hi")
        second = await client.responses.create(model="local", input="and?", previous_response_id=first.id)
        assert (first.output_text, second.output_text) == ("Hello", "Again")
        assert (await client.responses.retrieve(first.id)).output_text == "Hello"
        await client.responses.delete(first.id)
        assert (await d.client.get(f"/v1/responses/{first.id}")).status_code == 404
        await client.close()
    said = [(message["role"], message["content"]) for message in local.lanes[0].hop.bodies[1]["messages"]]
    assert [role for role, _ in said] == ["user", "assistant", "user"] and "Hello" in str(said[1])


async def test_requirements_are_inherited(tmp_path: Path) -> None:
    """A turn that continues one with `requires` stays where that one had to stay, even pinned; so does the turn after it."""
    local = engine_backend((Turn(told("Hello")), Turn(told("Again"))))
    first = cloud("first", Turn(told("cloud")))
    async with opened(Setup(local, [first]), tmp_path) as d:

        async def ask(**members: object) -> httpx.Response:
            return await d.client.post("/v1/responses", json={"input": "hi", **members})

        one = (await ask(model="local", hearth={"requires": ["hipaa"]})).json()["id"]
        two = (await ask(model="local", previous_response_id=one)).json()["id"]
        for previous in (one, two):
            refused = await ask(model="first", previous_response_id=previous)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_compliant_target")
        assert first.lanes[0].hop.calls == []
        assert (await ask(model="first")).status_code == 200


@pytest.mark.parametrize(
    ("members", "durable"),
    [({"store": True}, True), ({}, False), ({"store": True, "hearth": {"requires": ["zdr"]}}, False)],
)
async def test_the_disk_is_asked_for(tmp_path: Path, members: dict[str, object], durable: bool) -> None:
    """Every answer can be continued; only `store: true` without requirements writes one to disk."""
    path = tmp_path / "state" / "responses.sqlite3"
    store = ResponseStore(path, time.time)
    async with opened(Setup(engine_backend((Turn(told("Hello")), Turn(told("Again"))))), tmp_path) as d:
        page = Conversations(d.desk, ResponsesDialect(), store).answer
        d.app._pages = {**d.app._pages, ("POST", "/v1/responses"): page}
        body = {"model": "local", "input": "hi", **members}
        name = (await d.client.post("/v1/responses", json=body)).json()["id"]
        again = await d.client.post(
            "/v1/responses", json={"model": "local", "input": "x", "previous_response_id": name}
        )
        assert again.status_code == 200
    store.close()
    later = ResponseStore(path, time.time)
    assert (await later.response(name) is not None) is durable
    later.close()


async def test_store_false_stores_nothing(tmp_path: Path) -> None:
    """`store: false` stores nothing; an unknown predecessor and another key's response are refused."""
    local = engine_backend((Turn(told("Hello")),))
    async with opened(Setup(local), tmp_path) as d:
        body = {"model": "local", "input": "hi", "store": False}
        name = (await d.client.post("/v1/responses", json=body)).json()["id"]
        gone = await d.client.post("/v1/responses", json={"model": "local", "input": "x", "previous_response_id": name})
        assert gone.status_code == 400 and gone.json()["error"]["code"] == "previous_response_not_found"
        mine = await d.client.post(
            "/v1/responses", json={"model": "local", "input": "hi"}, headers={"x-api-key": "one"}
        )
        path = f"/v1/responses/{mine.json()['id']}"
        assert (await d.client.get(path, headers={"x-api-key": "one"})).status_code == 200
        assert (await d.client.get(path, headers={"x-api-key": "two"})).status_code == 404


async def test_the_responses_stream_is_read_by_the_sdk(tmp_path: Path) -> None:
    """Every event in its order, the text once."""
    local = engine_backend((Turn(told("Hello there")),))
    async with opened(Setup(local), tmp_path) as d:
        client = openai.AsyncOpenAI(base_url=f"{d.url}/v1", api_key="mine", max_retries=0)
        async with client.responses.stream(model="local", input="hi") as stream:
            texts = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        await client.close()
    assert "".join(texts) == final.output_text == "Hello there"


async def test_no_byte_passes_before_its_response_is_on_disk() -> None:
    """Who has the end of an answer finds it after a crash; a disk that does not answer holds it up for a moment only."""
    out, written = Collected(), Future[None]()
    sink = Storing(out, [written])
    assert not sink.write_now(b"end")
    sending = asyncio.create_task(sink.write(b"end"))
    await asyncio.sleep(0)
    assert out.body == b""
    written.set_result(None)
    await sending
    assert out.body == b"end"
    stuck = Storing(out, [Future[None]()], most_s=0.01)
    await stuck.write(b"ed")
    assert out.body == b"ended"
