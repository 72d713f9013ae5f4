"""Log probabilities through the door, from a target of another wire to OpenAI's own client; refused where there are none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from runtime.contract.targets import Capabilities
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import Turn, engine_backend, told
from tests.fakes.wires import GENERATE


def piece(text: str, **more: object) -> bytes:
    result = {
        "chosenCandidates": [{"token": text, "logProbability": -0.25}],
        "topCandidates": [
            {"candidates": [{"token": text, "logProbability": -0.25}, {"token": "x", "logProbability": -2}]}
        ],
    }
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "logprobsResult": result, **more}
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\r\n\r\n"


@asynccontextmanager
async def client(folder: Path, can: Capabilities) -> AsyncIterator[AsyncOpenAI]:
    turn = Turn([piece("Hel"), piece("lo", finishReason="STOP")])
    target = GENERATE.target("cloud", turn, capabilities=can)
    async with (
        opened(Setup(engine_backend((Turn(told("x")),)), [target]), folder) as door,
        AsyncOpenAI(api_key="k", base_url=f"{door.url}/v1", max_retries=0) as client,
    ):
        yield client


async def test_a_chat_client_gets_them(tmp_path: Path) -> None:
    """Streamed and whole alike, each token with the rivals that were asked for."""
    async with client(tmp_path, Capabilities()) as asking:
        more: dict[str, Any] = {
            "model": "cloud",
            "messages": [{"role": "user", "content": "hi"}],
            "logprobs": True,
            "top_logprobs": 2,
        }
        whole = await asking.chat.completions.create(**more)
        content = whole.choices[0].logprobs.content
        assert [(each.token, each.logprob, [top.token for top in each.top_logprobs]) for each in content] == [
            ("Hel", -0.25, ["Hel", "x"]),
            ("lo", -0.25, ["lo", "x"]),
        ]
        async with asking.chat.completions.stream(**more) as stream:
            streamed = await stream.get_final_completion()
        logprobs = streamed.choices[0].logprobs
        assert logprobs is not None and logprobs.content == content


async def test_a_responses_client_gets_them(tmp_path: Path) -> None:
    """In the part of the text."""
    async with client(tmp_path, Capabilities()) as asking:
        said = await asking.responses.create(model="cloud", input="hi", include=["message.output_text.logprobs"])
        told: dict[str, Any] = said.output[0].to_dict()
        assert [each["token"] for each in told["content"][0]["logprobs"]] == ["Hel", "lo"]


async def test_a_target_without_them_is_not_asked(tmp_path: Path) -> None:
    """It is what the request is about: 400."""
    async with client(tmp_path, Capabilities(logprobs=False)) as asking:
        with pytest.raises(BadRequestError, match="log probabilities"):
            await asking.responses.create(model="cloud", input="hi", include=["message.output_text.logprobs"])
        with pytest.raises(BadRequestError, match="log probabilities"):
            await asking.chat.completions.create(
                model="cloud", messages=[{"role": "user", "content": "hi"}], logprobs=True
            )
