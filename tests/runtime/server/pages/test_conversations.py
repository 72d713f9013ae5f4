"""`/v1/responses` through the door: stateless, and going on from an answer that is kept."""

from __future__ import annotations

from pathlib import Path

import openai

from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, engine_backend, told


async def test_an_answer_goes_on_from_the_one_before(tmp_path: Path) -> None:
    """The vendor's own client chains two turns; the engine is told the whole conversation."""
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


async def test_what_is_not_to_be_stored_is_not(tmp_path: Path) -> None:
    """`store: false` keeps nothing; an unknown predecessor is told, and another key's answer is nobody's."""
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
