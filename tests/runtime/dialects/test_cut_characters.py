"""Characters that a server cut between two events: forwarded as they are on the same wire, joined where they are translated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contract.messages import Message, Request, Role, Text
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.meter import Meter
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.openai_responses.read_answer import ResponsesAnswerReader
from runtime.dialects.seam import Dialect
from runtime.dialects.translating import TranslatingMeter
from runtime.wire import sse
from runtime.wire.cut_characters import CutCharacters, mended
from runtime.wire.raw_body import RawBody

HALVES = [
    (rb"a\ud83d", rb"\ude00b", "a\U0001f600b"),
    (rb"caf\uD83E", rb"\uDD16", "caf\U0001f916"),
    (b"a\xf0\x9f", b"\x98\x80b", "a\U0001f600b"),
    (b"gr\xc3", b"\xbc\xc3\x9fe", "gr\xfc\xdfe"),
]


def chat(*pieces: bytes) -> bytes:
    texts = (b'{"choices":[{"index":0,"delta":{"content":"' + each + b'"},"finish_reason":null}]}' for each in pieces)
    last = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    return b"".join(map(sse.encode, (*texts, last, b"[DONE]")))


def messages(*pieces: bytes) -> bytes:
    def named(name: str, members: bytes) -> bytes:
        return sse.encode(b'{"type":"' + name.encode() + b'"' + members + b"}", name.encode())

    return b"".join(
        [
            named("message_start", b',"message":{"id":"m","role":"assistant","content":[],"usage":{"input_tokens":1}}'),
            named("content_block_start", b',"index":0,"content_block":{"type":"text","text":""}'),
            *(
                named("content_block_delta", b',"index":0,"delta":{"type":"text_delta","text":"' + each + b'"}')
                for each in pieces
            ),
            named("content_block_stop", b',"index":0'),
            named("message_delta", b',"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}'),
            named("message_stop", b""),
        ]
    )


def responses(*pieces: bytes) -> bytes:
    texts = (
        b'{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"' + each + b'"}'
        for each in pieces
    )
    last = b'{"type":"response.completed","response":{"id":"r","status":"completed","output":[],"usage":null}}'
    return b"".join(map(sse.encode, (*texts, last)))


def passing(wire: str) -> Meter:
    ask: dict[str, Any] = {"model": "m", "stream": True, "max_tokens": 9, "messages": [], "input": "x"}
    dialects: dict[str, Dialect] = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
    return dialects[wire].passing(RawBody(json.dumps(ask).encode()), "m").meter


@pytest.mark.parametrize(("first", "second", "text"), HALVES)
@pytest.mark.parametrize(("wire", "stream"), [("chat", chat), ("messages", messages), ("responses", responses)])
def test_halves_pass_through_as_they_are(wire: str, stream: Any, first: bytes, second: bytes, text: str) -> None:
    """Every byte is forwarded, and the answer is whole."""
    meter, sent = passing(wire), stream(first, second)
    assert meter.feed(sent) + meter.end() == sent
    assert (meter.failure, meter.done) == (None, True)


@pytest.mark.parametrize(("first", "second", "text"), HALVES)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_halves_are_joined_for_another_wire(wire: str, streamed: bool, first: bytes, second: bytes, text: str) -> None:
    """The client gets the whole character."""
    reader = ChatAnswerReader() if wire == "chat" else ResponsesAnswerReader()
    request = Request("m", (Message(Role.USER, (Text("x"),)),), stream=streamed)
    meter = TranslatingMeter(reader, MESSAGES.write_answer(request))
    written = meter.feed((chat if wire == "chat" else responses)(first, second)) + meter.end()
    assert meter.failure is None
    if not streamed:
        assert json.loads(written)["content"] == [{"type": "text", "text": text}]
        return
    events = [json.loads(line[6:]) for line in written.splitlines() if line.startswith(b"data: ")]
    assert "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta") == text


@pytest.mark.parametrize("text", [rb"cut off \ud83d", b"cut off \xf0\x9f"])
def test_a_whole_answer_that_ends_in_half_a_character_passes(text: bytes) -> None:
    """As a model's limit of tokens cuts it; every byte is forwarded."""
    body = b'{"choices":[{"index":0,"message":{"content":"' + text + b'"},"finish_reason":"length"}]}'
    meter = CHAT.passing(RawBody(b'{"model":"m","messages":[]}'), "m").meter
    assert meter.feed(body) + meter.end() == body
    assert meter.failure is None


def test_a_half_without_its_other_is_replaced() -> None:
    """By U+FFFD; an escaped backslash before a `u` is no escape."""
    joined = CutCharacters()
    assert joined.joined(rb'{"a":"\ude00 \ud83d!"}') == rb'{"a":"\ufffd \ufffd!"}'
    assert joined.joined(rb'{"a":"\\ud83d"}') == rb'{"a":"\\ud83d"}'
    assert mended(rb'{"a":"x\ud83d"}') == rb'{"a":"x\ufffd"}'


@given(st.text(max_size=20), st.integers(0, 40))
def test_any_cut_is_joined(text: str, at: int) -> None:
    """Wherever the escapes of a text are cut between two of them."""
    escaped = json.dumps(text)[1:-1].encode()
    places = [place for place in range(len(escaped) + 1) if _between_escapes(escaped, place)]
    place = places[at % len(places)]
    cut = CutCharacters()
    pieces = [cut.joined(b'"' + each + b'"') for each in (escaped[:place], escaped[place:])]
    assert "".join(map(json.loads, pieces)) == text


def _between_escapes(escaped: bytes, place: int) -> bool:
    at = 0
    while at < place:
        at += (6 if escaped[at + 1 : at + 2] == b"u" else 2) if escaped[at : at + 1] == b"\\" else 1
    return at == place
