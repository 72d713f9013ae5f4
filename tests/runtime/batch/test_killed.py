"""A batch whose server is killed twice in its middle: every line is answered once, and no answer is asked for again."""

from __future__ import annotations

import collections
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx
import openai
import pytest

from tests.fakes.engine_process import engine_process
from tests.runtime.cli.test_serve import Served, served

KILLS = (0.2, 0.6)  # shares of the lines that are answered when the server is killed
MOST_IN_FLIGHT = 7  # the lane's share of an engine that does not say how much it runs at a time
COUNTS = [50, pytest.param(500, marks=pytest.mark.slow)]
CHAT: Any = "/v1/chat/completions"


class Upstream(NamedTuple):
    """An engine of its own process, which outlives the killed servers."""

    url: str

    def asked(self) -> collections.Counter[str]:
        """How often each line's text was asked for."""
        state = httpx.get(f"{self.url}/_fake/state").json()
        bodies = [json.loads(each["body"]) for each in state["asked"] if each["path"] == CHAT]
        return collections.Counter(str(body["messages"][-1]["content"]) for body in bodies)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with engine_process(tokens=4, token_s=0.01) as port:
        yield Upstream(f"http://127.0.0.1:{port}")


def body(number: int) -> dict[str, Any]:
    return {"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": f"line {number}"}]}


class OpenAIBatch:
    """A batch by OpenAI's SDK."""

    def __init__(self, port: int) -> None:
        self._sdk = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")

    def begin(self, count: int) -> str:
        lines = [{"custom_id": str(n), "method": "POST", "url": CHAT, "body": body(n)} for n in range(count)]
        content = "\n".join(map(json.dumps, lines)).encode()
        file = self._sdk.files.create(file=("in.jsonl", content), purpose="batch")
        return self._sdk.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h").id

    def answered(self, id: str) -> int:
        counts = self._sdk.batches.retrieve(id).request_counts
        return counts.completed if counts else 0

    def ended(self, id: str) -> bool:
        return self._sdk.batches.retrieve(id).status == "completed"

    def answers(self, id: str) -> list[str]:
        """The ids of the answered lines, as the results have them."""
        batch = self._sdk.batches.retrieve(id)
        assert batch.output_file_id is not None and batch.error_file_id is None
        rows = [json.loads(each) for each in self._sdk.files.content(batch.output_file_id).text.splitlines()]
        assert all(row["response"]["body"]["choices"][0]["message"]["content"] for row in rows)
        return [row["custom_id"] for row in rows]


class AnthropicBatch:
    """A batch by Anthropic's SDK."""

    def __init__(self, port: int) -> None:
        self._sdk = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="none")

    def begin(self, count: int) -> str:
        requests: Any = [{"custom_id": str(n), "params": body(n)} for n in range(count)]
        return self._sdk.messages.batches.create(requests=requests).id

    def answered(self, id: str) -> int:
        return self._sdk.messages.batches.retrieve(id).request_counts.succeeded

    def ended(self, id: str) -> bool:
        return self._sdk.messages.batches.retrieve(id).processing_status == "ended"

    def answers(self, id: str) -> list[str]:
        """The ids of the answered lines, as the results have them."""
        rows = list(self._sdk.messages.batches.results(id))
        assert all(row.result.type == "succeeded" and row.result.message.content for row in rows)
        return [row.custom_id for row in rows]


def until(condition: Callable[[], bool], hearth: Served) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end and hearth.process.poll() is None, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("client", [OpenAIBatch, AnthropicBatch])
def test_every_line_is_answered_once_through_two_kills(
    tmp_path: Path, upstream: Upstream, client: type[OpenAIBatch | AnthropicBatch], count: int
) -> None:
    """SIGKILL leaves the lines that were under way to the next process, and those alone."""
    id = ""
    for share in KILLS:
        with served(tmp_path, f"{upstream.url}/v1") as hearth:
            hearth.until("ready:")
            batch = client(hearth.port)
            id = id or batch.begin(count)
            until(lambda: batch.answered(id) >= share * count, hearth)  # noqa: B023 - called within the turn
            hearth.process.kill()
            hearth.process.wait()
    with served(tmp_path, f"{upstream.url}/v1") as hearth:
        hearth.until("ready:")
        batch = client(hearth.port)
        assert batch.answered(id) < count, "it was killed too late to show anything"
        until(lambda: batch.ended(id), hearth)
        assert batch.answers(id) == [str(n) for n in range(count)]
        again = [text for text, times in upstream.asked().items() if text.startswith("line ") and times > 1]
        assert len(again) <= len(KILLS) * MOST_IN_FLIGHT
