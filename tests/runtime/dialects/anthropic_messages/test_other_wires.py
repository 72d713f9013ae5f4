"""Recorded streams of other wires, written in this one: the vendor's SDK reads the same from stream and whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.gemini.codec import GeminiCodec
from runtime.contract.codec import Decoder
from runtime.contract.messages import Message, Request, Role, Text
from runtime.dialects.anthropic_messages.dialect import AnthropicMessages
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.translating import TranslatingMeter
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.anthropic_messages import sdk
from tests.runtime.dialects.anthropic_messages.test_write_answer import check_order

ASK = Message(Role.USER, (Text("Hi"),))


def _ids() -> Callable[[], str]:
    count = itertools.count()
    return lambda: f"call_{next(count)}"


def _chat() -> Decoder:
    return ChatAnswerReader(_ids())


def _gemini() -> Decoder:
    return GeminiCodec(draw=_ids()).decoder(Request("m", (ASK,)))


def streams(shared: Path) -> Iterator[tuple[str, Callable[[], Decoder], bytes]]:
    """Name, decoder and bytes of each recorded stream of a wire that can be translated."""
    places = {
        "openai": _chat,
        "groq": _chat,
        "deepseek": _chat,
        "openrouter": _chat,
        "gemini": _gemini,
        "vertex": _gemini,
    }
    for folder, decoder in places.items():
        for file in sorted((shared / "recordings" / folder).glob("*.json")):
            for number, each in enumerate(json.loads(file.read_text())["interactions"]):
                text = each["response"].get("text") or ""
                url = each["request"]["url"]
                known = "/chat/completions" in url if decoder is _chat else ":streamGenerateContent" in url
                if known and each["response"]["status"] == 200 and text.startswith("data:"):
                    yield f"{file.stem}#{number}", decoder, text.encode()


def written(decoder: Decoder, stream: bytes, *, streamed: bool) -> bytes | None:
    """The answer in this wire; None if the recording itself is a failure."""
    writer = AnthropicMessages(_ids()).write_answer(Request("m", (ASK,), stream=streamed))
    meter = TranslatingMeter(decoder, writer)
    out = b"".join(meter.feed(stream[at : at + 500]) for at in range(0, len(stream), 500)) + meter.end()
    return out if meter.failure is None else None


def test_streams_of_other_wires_are_answers_of_this_one(shared: Path) -> None:
    """Every event is well-formed, both forms say the same, and what they say can be handed back."""
    seen = failed = 0
    for name, decoder, stream in streams(shared):
        seen += 1
        body = written(decoder(), stream, streamed=True)
        if body is None:
            failed += 1
            continue
        check_order(sdk.check_events(body))
        whole = written(decoder(), stream, streamed=False) or b""
        message = sdk.check_message(whole)
        assert {**sdk.streamed(body), "id": ""} == {**sdk.whole(whole), "id": ""}, name
        turn = {"role": "assistant", "content": message["content"]}
        asked = {"model": "m", "max_tokens": 9, "messages": [turn]}
        AnthropicMessages().read_request(RawBody(json.dumps(asked).encode()))
    if not seen:
        pytest.skip("no streams of other wires are among the recordings")
    assert failed <= seen / 10
