"""`ChunkTemplate`, and the stream meter that relies on it: a chunk that is not parsed reads as if it were."""

from __future__ import annotations

import json

import pytest

from runtime.dialects.openai_chat.meter import ChatStreamMeter
from runtime.wire.chunk_template import ChunkTemplate


def chunk(content: str, finish: str | None = None, **more: object) -> bytes:
    choices = [{"index": 0, "delta": {"content": content}, "logprobs": None, "finish_reason": finish}]
    return json.dumps({"id": "c1", "choices": choices, **more}, separators=(",", ":"), ensure_ascii=False).encode()


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def template() -> ChunkTemplate:
    found = ChunkTemplate.of(chunk(" one"), b'"content":', " one")
    assert found is not None
    return found


@pytest.mark.parametrize("text", [" two", "zwölf", "日本", "{", "data: x"])
def test_a_chunk_with_another_plain_text_fits(text: str) -> None:
    """Its text is read without parsing the rest."""
    assert template().text(chunk(text)) == text


@pytest.mark.parametrize("text", ["", 'a "quote"', "back\\slash", "line\nbreak", "\x7f", "\u2028"])
def test_a_text_that_is_not_plain_is_left_to_the_parser(text: str) -> None:
    """Empty, escaped or unprintable: nothing is claimed."""
    assert template().text(chunk(text)) is None


@pytest.mark.parametrize(
    "data",
    [
        chunk("two", "stop"),
        chunk("two", "abort"),
        chunk("two", usage={"prompt_tokens": 1}),
        chunk("two").replace(b'"index":0', b'"index":1'),
        chunk("two")[:-1],
        chunk("two").replace(b"two", b"\xff\xfe"),
        b'{"id":"c1","choices":[{"index":0,"delta":{"content":"',
        b"",
        b"[DONE]",
    ],
)
def test_any_other_difference_is_left_to_the_parser(data: bytes) -> None:
    """A finish reason, usage, another choice, a cut or a garbled chunk."""
    assert template().text(data) is None


def test_a_text_that_only_looks_like_the_end_of_its_chunk_cannot_hide_one() -> None:
    """Quotes inside the text part it from what follows, so that two chunks in one are never taken for one."""
    assert template().text(chunk('two"},"finish_reason":"abort')) is None


def test_there_is_no_template_of_where_the_text_is_not_where_it_was_said_to_be() -> None:
    """Another member of that name comes first."""
    assert ChunkTemplate.of(b'{"content":"no","choices":[{"delta":{"content":"yes"}}]}', b'"content":', "yes") is None


def meter() -> ChatStreamMeter:
    return ChatStreamMeter(choices=1, hide_usage=True, keep_text=True)


def test_the_meter_counts_and_keeps_what_it_does_not_parse() -> None:
    """Tokens, text and forwarded bytes are those of a stream that was parsed whole."""
    texts = ["One", " two", ' "three"', "\nfour", " five", " six"]
    stream = b"".join(event(chunk(text)) for text in texts)
    read = meter()
    assert read.feed(stream) == stream
    assert (read.tokens, read.began, read.failure) == (6, True, None)
    assert read.partial is not None
    assert read.partial.text == "".join(texts)


def test_the_meter_gives_the_same_whatever_its_pieces() -> None:
    """One byte at a time, or all at once."""
    end = event(chunk("", "stop")) + event(b"[DONE]")
    stream = b"".join(event(chunk(text)) for text in (" a", " b", " c")) + end
    whole, bytewise = meter(), meter()
    assert whole.feed(stream) == b"".join(bytewise.feed(stream[at : at + 1]) for at in range(len(stream)))
    assert (
        (whole.tokens, whole.done, whole.finish)
        == (bytewise.tokens, bytewise.done, bytewise.finish)
        == (3, True, "stop")
    )


def test_nothing_is_forwarded_after_a_failure_though_it_fits() -> None:
    """An abort ends the stream; what still comes is not shown."""
    read = meter()
    read.feed(event(chunk(" a")) + event(chunk("", "abort")))
    assert read.failure is not None
    assert read.feed(event(chunk(" b"))) == b""


def test_a_text_longer_than_its_limit_is_not_kept() -> None:
    """Such an answer cannot be resumed; it is forwarded all the same."""
    read = ChatStreamMeter(choices=1, hide_usage=True, keep_text=True, text_limit=1000)
    for _ in range(1000):
        assert read.feed(event(chunk(" a hundred")))
    assert (read.partial, read._text, read.failure) == (None, None, None)
