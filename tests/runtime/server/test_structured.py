"""One `response_format` everywhere: a target that cannot keep a schema is told in words, checked, and asked once more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.targets import Capabilities
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import DONE, ROLE, Turn, chunk, cloud, engine_backend, whole

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
GOOD, BAD = '{"n": 1}', '{"n": "one"}'


def says(text: str) -> Turn:
    return Turn([ROLE, chunk(text), chunk(finish="stop"), DONE])


async def asked(folder: Path, turns: Sequence[Turn], *, stream: bool = False) -> tuple[Any, list[Any]]:
    """The answer of a target without schemas, and what it was asked."""
    plain = cloud("plain", *turns, capabilities=Capabilities(structured_output=False))
    async with opened(Setup(engine_backend((Turn([whole("x")]),)), [plain]), folder) as d:
        answer = await d.chat(model="plain", response_format=FORMAT, stream=stream)
        return answer, plain.lanes[0].hop.bodies


@pytest.mark.parametrize("stream", [True, False])
async def test_a_good_answer_is_given_and_the_weakening_said(tmp_path: Path, stream: bool) -> None:
    """The schema went as words; the header names what was weakened; a code fence around the answer is gone."""
    answer, sent = await asked(tmp_path, [says(f"```json\n{GOOD}\n```")], stream=stream)
    assert answer.headers["x-hearth-degraded"] == "response_format"
    text = answer.text if stream else answer.json()["choices"][0]["message"]["content"]
    assert ('"content":"{\\"n\\": 1}"' in text) if stream else (text == GOOD)
    assert any("JSON Schema" in str(message["content"]) for message in sent[0]["messages"])
    assert "json_schema" not in json.dumps(sent[0].get("response_format", {}))


async def test_a_bad_answer_is_asked_for_once_more(tmp_path: Path) -> None:
    """The repair carries the answer and what is wrong with it; the client sees the good one alone."""
    answer, sent = await asked(tmp_path, [says(BAD), says(GOOD)])
    assert answer.json()["choices"][0]["message"]["content"] == GOOD
    assert BAD in json.dumps(sent[1]["messages"][-2]["content"]).replace("\\", "") and "integer" in str(
        sent[1]["messages"][-1]
    )


async def test_what_stays_wrong_is_a_failure(tmp_path: Path) -> None:
    """Never an answer that pretends."""
    answer, sent = await asked(tmp_path, [says(BAD)])
    assert answer.status_code == 502 and "does not keep its format" in answer.text
    assert len(sent) == 2  # the answer, and the one more request


async def test_a_target_with_schemas_gets_the_clients_own_bytes(tmp_path: Path) -> None:
    """Nothing is translated where nothing is lacking."""
    able = cloud("able", Turn([whole(GOOD)]))
    async with opened(Setup(engine_backend((Turn([whole("x")]),)), [able]), tmp_path) as d:
        answer = await d.chat(model="able", response_format=FORMAT)
        assert answer.json() == json.loads(whole(GOOD)) and "x-hearth-degraded" not in answer.headers
    assert able.lanes[0].hop.bodies[0]["response_format"] == FORMAT


async def test_a_pattern_that_never_ends_is_a_failure_in_time(tmp_path: Path) -> None:
    """The answer counts as not checked; other requests are answered meanwhile, and there is no repair."""
    schema = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^(a+)+$"}}}
    evil = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    plain = cloud("plain", says('{"n": "' + "a" * 40 + '!"}'), capabilities=Capabilities(structured_output=False))
    async with opened(Setup(engine_backend((Turn([whole("x")]),)), [plain]), tmp_path) as d:
        hanging = asyncio.create_task(d.chat(model="plain", response_format=evil))
        await asyncio.sleep(0)
        assert (await d.chat(model="local")).status_code == 200
        assert not hanging.done()
        answer = await hanging
    assert answer.status_code == 502
    assert "could not be checked in time" in answer.text
    assert len(plain.lanes[0].hop.bodies) == 1
