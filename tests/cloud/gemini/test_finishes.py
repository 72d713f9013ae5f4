"""Content after a first finish reaches every client, streamed and whole, and ends once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract.messages import Request
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.translating import TranslatingMeter
from runtime.wire.raw_body import RawBody
from tests.cloud.gemini.recorded import codec

ASKED: dict[Any, dict[str, Any]] = {
    CHAT: {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]},
    MESSAGES: {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": "auto", "input": "Hi"},
}


def event(text: str, finish: str | None, count: int) -> bytes:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}} | ({"finishReason": finish} if finish else {})
    return (
        b"data: "
        + json.dumps({"candidates": [candidate], "usageMetadata": {"candidatesTokenCount": count}}).encode()
        + b"\r\n\r\n"
    )


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", ASKED, ids=lambda each: each.name)
@pytest.mark.parametrize("middle", ["STOP", None])
def test_an_answer_that_finishes_twice(dialect: Any, stream: bool, middle: str | None) -> None:
    """STOP in the first, the second or each chunk: the text is whole, the last reason and usage hold, and it ends once."""
    request: Request = dialect.read_request(RawBody(json.dumps(ASKED[dialect] | {"stream": stream}).encode()))
    meter = TranslatingMeter(codec().decoder(request), dialect.write_answer(request))
    written = b"".join(
        map(meter.feed, (event("hel", "STOP", 1), event("lo ", middle, 2), event("you", "MAX_TOKENS", 3)))
    )
    assert meter.failure is None and meter.finished
    written += meter.end()
    assert meter.failure is None and meter.done
    assert all(piece in written for piece in ((b"hel", b"lo ", b"you") if stream else (b"hel",)))
    assert meter.finish == "length" and meter.usage is not None and meter.usage.completion == 3
    endings = {"openai_chat": b'"finish_reason":"length"', "anthropic_messages": b'"stop_reason":"max_tokens"'}
    assert written.count(endings.get(dialect.name, b'"reason":"max_output_tokens"')) == 1
    assert b'"finish_reason":"stop"' not in written and b'"end_turn"' not in written
