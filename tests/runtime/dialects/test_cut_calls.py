"""A call that a limit cut, although its server says that the model finished it: no client is told to run it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract.codec import Decoder
from runtime.contract.messages import Message, Request, Role, Text
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_chat.read_answer import ChatAnswerReader
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.openai_responses.read_answer import ResponsesAnswerReader
from runtime.dialects.seam import Dialect
from runtime.dialects.translating import TranslatingMeter
from runtime.wire import sse
from runtime.wire.cut_json import breaks_off

CUT = ['{"summary":"The cache', '{"a": {"b": [1, 2', '{"a":']


def chat(arguments: str, **members: Any) -> bytes:
    function = {"name": "save", "arguments": arguments}
    delta = {"tool_calls": [{"index": 0, "id": "c", "function": function}]}
    choice = {"index": 0, "delta": delta, "finish_reason": "tool_calls", **members}
    return sse.encode(json.dumps({"choices": [choice]}).encode()) + sse.encode(b"[DONE]")


def responses(arguments: str) -> bytes:
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "save", "arguments": arguments}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    response = {"id": "r", "status": "completed", "output": [item], "usage": None}
    last = {"type": "response.completed", "response": response}
    return b"".join(sse.encode(json.dumps(event).encode()) for event in (done, last))


def ends(dialect: Dialect, reader: Decoder, sent: bytes, *, stream: bool) -> tuple[str | None, str]:
    """The finish that the meter reports, and everything the client got."""
    request = Request("m", (Message(Role.USER, (Text("x"),)),), stream=stream)
    meter = TranslatingMeter(reader, dialect.write_answer(request))
    written = meter.feed(sent) + meter.end()
    assert meter.failure is None
    return meter.finish, written.decode()


@pytest.mark.parametrize("arguments", CUT)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("upstream", ["chat", "responses"])
@pytest.mark.parametrize(
    ("dialect", "cut", "called"),
    [
        (MESSAGES, '"stop_reason":"max_tokens"', '"stop_reason":"tool_use"'),
        (CHAT, '"finish_reason":"length"', '"finish_reason":"tool_calls"'),
        (RESPONSES, '"incomplete_details":{"reason":"max_output_tokens"}', '"status":"completed"'),
    ],
)
def test_a_call_whose_arguments_break_off_was_cut(
    dialect: Dialect, cut: str, called: str, upstream: str, stream: bool, arguments: str
) -> None:
    """On every client wire, streamed and whole."""
    reader = ChatAnswerReader() if upstream == "chat" else ResponsesAnswerReader()
    sent = chat(arguments) if upstream == "chat" else responses(arguments)
    finish, written = ends(dialect, reader, sent, stream=stream)
    assert finish == "length"
    assert cut in written
    assert called not in written


@pytest.mark.parametrize("native", ["length", "MAX_TOKENS", "max_output_tokens"])
def test_the_word_of_the_server_behind_a_router_counts(native: str) -> None:
    """Also where the arguments happen to be whole, or there is no call."""
    for arguments in ("{}", '{"a":1}'):
        sent = chat(arguments, native_finish_reason=native)
        assert ends(MESSAGES, ChatAnswerReader(), sent, stream=False)[0] == "length"
    text = {"index": 0, "delta": {"content": "The cache"}, "finish_reason": "stop", "native_finish_reason": native}
    sent = sse.encode(json.dumps({"choices": [text]}).encode()) + sse.encode(b"[DONE]")
    assert ends(MESSAGES, ChatAnswerReader(), sent, stream=True)[0] == "length"


@pytest.mark.parametrize("arguments", ["{}", "", '{"a":1}', '{"a": }', "not JSON"])
def test_a_call_that_does_not_break_off_is_a_call(arguments: str) -> None:
    """Without arguments, with all of them, or with some that are no JSON: the client decides."""
    assert not breaks_off(arguments)
    sent = chat(arguments, native_finish_reason="tool_calls")
    assert ends(MESSAGES, ChatAnswerReader(), sent, stream=False)[0] == "tool_calls"
