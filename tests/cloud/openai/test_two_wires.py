"""OpenAI's two wires: the choice for each request, and the reading of either answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from cloud.openai.two_wires import EitherDecoder, OpenAITwoWires
from cloud.providers import OPENAI
from runtime.contract.events import Failed, Stop, TextDelta
from runtime.contract.failures import Disposition, Kind
from runtime.contract.messages import Message, Request, Role, Text, Thinking, Tool
from runtime.contract.targets import Capabilities, Target

NOW = datetime(2026, 11, 22, tzinfo=UTC)
THINKS = Capabilities(tools_over="openai_responses", thinking_off="none", thinks_unasked=True, sampling=False)
PICKY = Target("t", "p", "m", THINKS)
TOOLS = Request("auto", (Message(Role.USER, (Text("Hi"),)),), tools=(Tool("look"),), temperature=0.5)


def codec() -> OpenAITwoWires:
    return OpenAITwoWires(lambda: NOW, OPENAI)


def test_tools_go_over_responses_where_chat_refuses_them() -> None:
    """A parameter the model does not take is named as well."""
    encoded = codec().encode(TOOLS, PICKY)
    assert encoded.call.path == "/responses"
    assert json.loads(encoded.call.body)["tools"][0]["name"] == "look"
    assert encoded.dropped == ("temperature",)


def test_everything_else_goes_over_chat() -> None:
    """No tools, no thinking, or a model that takes both."""
    plain = Request("auto", TOOLS.messages)
    quiet = Request("auto", TOOLS.messages, tools=TOOLS.tools, thinking=Thinking("none"))
    paths = [codec().encode(each, PICKY).call.path for each in (plain, quiet)]
    assert [*paths, codec().encode(TOOLS, Target("t", "p", "m")).call.path] == ["/chat/completions"] * 3


def test_either_answer_is_read() -> None:
    """The first event tells the wire."""
    chat = b'{"id":"x","choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
    events = EitherDecoder().feed("", chat)
    assert [type(event) for event in events if isinstance(event, TextDelta | Stop)] == [TextDelta, Stop]
    decoder = EitherDecoder()
    decoder.feed("", b'{"type":"response.created","response":{"id":"r"}}')
    assert decoder.feed("", b'{"type":"response.output_text.delta","delta":"Hi"}') == [TextDelta(0, "Hi")]
    for data in (b'{"type":"error","message":"x"}', b"nonsense", b'{"error":{"message":"x"}}'):
        assert isinstance(EitherDecoder().feed("", data)[-1], Failed)
    assert isinstance(EitherDecoder().finish()[-1], Failed)


def test_addresses_and_verdicts_are_those_of_the_dialect() -> None:
    """One path more; the same errors."""
    assert codec().path("openai_responses") == "/responses"
    assert codec().path("openai_chat") == "/chat/completions"
    busy = codec().classify(429, {"retry-after": "2"}, b'{"error":{"message":"slow down"}}')
    assert (busy.kind, busy.disposition, busy.retry_after) == (Kind.BUSY, Disposition.RETRY_HERE, 2.0)
