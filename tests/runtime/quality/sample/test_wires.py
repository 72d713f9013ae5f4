"""The sample on every wire of clients and of vendors: kept as asked and answered, and put to another model as it came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.quality.judge.asking import Questions, WeekPurse
from runtime.quality.sample.file import SampledAnswer
from runtime.quality.sample.sample import Sample
from runtime.settings import SampleSettings
from tests.fakes.box import Box, asked
from tests.fakes.upstream import Turn, engine_backend
from tests.fakes.wires import CHAT, GENERATE, MESSAGES, Wire

TEXT, SYSTEM = "What is the capital of France?", "Be brief."
SAID, OTHER = "It is Paris.", "Paris, says the other."
TURNS = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good morning."},
    {"role": "user", "content": TEXT},
]
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", {"messages": [{"role": "system", "content": SYSTEM}, *TURNS]}),
    "anthropic_messages": ("/v1/messages", {"max_tokens": 50, "system": SYSTEM, "messages": TURNS}),
    "openai_responses": ("/v1/responses", {"instructions": SYSTEM, "input": TURNS, "store": False}),
}


async def sampled(folder: Path, wire: str, vendor: Wire, *, stream: bool) -> tuple[SampledAnswer, Box]:
    """A request of a client's wire, answered by a model of a vendor's, as the sample kept it."""
    others = [each.target(f"arm-{each.name}", each.told(OTHER)) for each in (CHAT, MESSAGES, GENERATE)]
    box = Box(engine_backend((Turn(),)), [vendor.target("first", vendor.told(SAID)), *others])
    box.desk.sample = sample = Sample(folder, SampleSettings(keep=True, share=1.0), lambda: 1.0)
    path, body = ASKED[wire]
    answer = await asked(box.app(), path, {"model": "first", "stream": stream, **body})
    assert answer.status == 200, answer.body
    sample.close()
    (row,) = sample.rows()
    sample.forget()
    return row, box


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ASKED)
async def test_each_wire_is_kept_and_asked_again(wire: str, stream: bool, tmp_path: Path) -> None:
    """By three vendors' wires: the text, the request, and the whole conversation at three other models."""
    for vendor in (CHAT, MESSAGES, GENERATE):
        row, box = await sampled(tmp_path, wire, vendor, stream=stream)
        assert (row.wire, row.target, row.text, row.tools) == (wire, "vendor/first-model", SAID, ())
        assert row.body == {"model": "first", "stream": stream, **ASKED[wire][1]}
        assert row.completion_tokens == 2
        questions = Questions(box.desk, WeekPurse(1.0))
        for arm in box.clouds[1:]:
            assert await questions.answered(arm.target.name, arm.target, row.body, wire=row.wire) == OTHER
            (body,) = arm.lanes[0].hop.bodies
            seen = json.dumps(body)
            assert all(seen.count(each) == 1 for each in (TEXT, SYSTEM, "Hello", "Good morning.")), seen
