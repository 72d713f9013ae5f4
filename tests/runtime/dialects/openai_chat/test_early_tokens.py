"""The first tokens of an answer are read off its stream, and the stream is left as the client asked for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.dialects.openai_chat.early_tokens import EarlyToken, EarlyTokens, with_logprobs
from runtime.wire.raw_body import RawBody
from tests.fakes.sureness import entry, logged, logged_text


def body(**members: Any) -> RawBody:
    return RawBody(json.dumps(members).encode())


def of_chunk(data: bytes) -> dict[str, Any]:
    chunk: dict[str, Any] = json.loads(data.removeprefix(b"data: "))
    return chunk


def test_the_engine_is_asked_for_five_alternatives() -> None:
    """Nothing else of the body changes, and the client's own wish is remembered."""
    found = with_logprobs(body(model="auto", messages=[]), "openai_chat")
    assert found is not None and found.shown is None
    assert found.body.data == {"model": "auto", "messages": [], "logprobs": True, "top_logprobs": 5}
    for top, asked in ((0, 5), (3, 5), (12, 12), (None, 5)):
        found = with_logprobs(body(messages=[], logprobs=True, top_logprobs=top), "openai_chat")
        assert found is not None and (found.shown, found.body.data["top_logprobs"]) == (top or 0, asked)
    found = with_logprobs(body(messages=[], logprobs=False), "openai_chat")
    assert found is not None and found.shown is None and found.body.data["logprobs"] is True
    assert with_logprobs(body(input="hi"), "openai_responses") is None


def test_tokens_are_taken_until_there_are_enough() -> None:
    """Sixteen fill the window; a chunk with many tokens gives at most what is kept of them."""
    early = EarlyTokens(None)
    for n in range(16):
        assert not early.closed
        early.feed(logged(f"t{n}", -0.5))
    assert early.closed and len(early.tokens) == 16
    early.feed(logged("more", -9.0))
    assert len(early.tokens) == 16
    assert early.tokens[0] == EarlyToken(-0.5, (-1.5, -2.5, -3.5, -4.5))
    choice = {"index": 0, "delta": {"content": "x" * 50}, "logprobs": {"content": [entry("x", -0.5)] * 50}}
    many = EarlyTokens(None)
    many.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    assert many.closed and len(many.tokens) == 32


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_bytes_are_those_of_a_stream_without_log_probabilities(size: int) -> None:
    """Whatever the pieces: `null` stands in place of the numbers, and no other byte changes."""
    stream = b": wake\n\n" + logged("", 0.0, role="assistant") + logged('a"b\\', -1.0) + logged("c", -2.0, "stop")
    stream += b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n'
    early, out = EarlyTokens(None), b""
    for at in range(0, len(stream), size):
        out += early.feed(stream[at : at + size])
    plain = stream
    for text, logprob in (('a"b\\', -1.0), ("c", -2.0)):
        numbers = json.dumps({"content": [entry(text, logprob)]}, separators=(",", ":")).encode()
        assert numbers in plain
        plain = plain.replace(numbers, b"null")
    assert out == plain
    assert [each.logprob for each in early.tokens] == [-1.0, -2.0]


def test_a_text_that_looks_like_log_probabilities_stays() -> None:
    """Its quotes are escaped in JSON, so that it is never taken for the member."""
    text = '"logprobs":{"content":[{"token":"x","logprob":-1.0}]}'
    early = EarlyTokens(None)
    chunk = of_chunk(early.feed(logged(text, -0.5)))
    assert chunk["choices"][0] == {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}


def test_alternatives_are_cut_to_what_the_client_asked_for() -> None:
    """Down to none; five and more are left as they are, byte by byte."""
    for shown in (0, 2):
        chunk = of_chunk(EarlyTokens(shown).feed(logged("a", -0.5)))
        (token,) = chunk["choices"][0]["logprobs"]["content"]
        assert token == entry("a", -0.5) | {"top_logprobs": entry("a", -0.5)["top_logprobs"][:shown]}
    assert EarlyTokens(5).feed(logged("a", -0.5)) == logged("a", -0.5)


def test_thinking_and_calls_are_no_content() -> None:
    """A thought is passed over; a call of a tool closes the window."""
    numbers = b'"logprobs":{"content":[{"token":"x","logprob":-1,"bytes":[],"top_logprobs":[]}]}'
    thought = logged("", 0.0, reasoning_content="hm").replace(b'"logprobs":null', numbers)
    early = EarlyTokens(None)
    assert b'"logprobs":null' in early.feed(thought)
    assert early.tokens == [] and not early.closed
    early.feed(logged("", 0.0, tool_calls=[{"index": 0}]))
    assert early.closed


def test_the_completions_wire() -> None:
    """Lists beside each other instead of entries; a token without a number is passed over."""
    early = EarlyTokens(None)
    chunk = of_chunk(early.feed(logged_text("a", -0.5)))
    assert chunk["choices"][0]["logprobs"] is None and chunk["choices"][0]["text"] == "a"
    assert early.tokens == [EarlyToken(-0.5, (-1.5,))]
    early.feed(logged_text("b", -0.5).replace(b"[-0.5]", b"[null]"))
    assert len(early.tokens) == 1


def test_what_cannot_be_read_goes_on_as_it_is() -> None:
    """The answer's meter says what is wrong with it; strange shapes of the member give no tokens and are not shown."""
    early = EarlyTokens(None)
    for event in (b"data: {not json\n\n", b'data: {"choices":7}\n\n', b'data: {"error":{"message":"no"}}\n\n'):
        assert early.feed(event) == event
    strange = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":"x"}}]}\n\n'
    assert early.feed(strange) == strange.replace(b'{"content":"x"}', b"null")
    assert early.tokens == []


def test_half_a_character_hides_nothing() -> None:
    """An event that is no UTF-8 is read all the same, and its numbers are taken out."""
    whole = logged("aé", -0.5)
    early = EarlyTokens(None)
    out = early.feed(whole.replace("aé".encode(), "aé".encode()[:2], 1).replace(b"a\\u00e9", b"a\xc3", 1))
    assert b'"logprob":' not in out and len(early.tokens) == 1


def test_chunks_behind_the_window_lose_their_numbers_and_nothing_else() -> None:
    """Most end as an earlier one did; those with another end, or with more members, are read."""
    early = EarlyTokens(None, fewest=2)
    for n in range(6):
        raw = logged(f"t{n}", -0.5 - n)
        out = early.feed(raw)
        assert of_chunk(out) == of_chunk(raw) | {"choices": [of_chunk(raw)["choices"][0] | {"logprobs": None}]}
    assert early.closed and len(early.tokens) == 2
    # Another member behind the numbers, in front of the same end.
    more = logged("x", -0.5).replace(b'},"finish_reason"', b'},"extra":{"a":1},"finish_reason"')
    assert b'"extra":{"a":1}' in more
    assert of_chunk(early.feed(more))["choices"][0]["extra"] == {"a": 1}
    last = of_chunk(early.feed(logged("y", -0.5, "stop")))
    assert last["choices"][0]["logprobs"] is None and last["choices"][0]["finish_reason"] == "stop"
