"""The order of blocks: a block waits for the end of an open call, whatever the pieces of its arguments."""

from __future__ import annotations

import time

import pytest

from runtime.contract.events import ArgumentsDelta, TextDelta, ToolCallStart
from runtime.dialects.anthropic_messages.write_answer.composer import Composer


def test_a_long_call_before_waiting_blocks_takes_time_in_proportion() -> None:
    """200 kB of arguments in small pieces, while a text waits for their end: seconds where every piece is decoded anew."""
    composer = Composer("m", lambda: "x")
    composer.feed(ToolCallStart(0, "c1", "look"))
    composer.feed(TextDelta(1, "Later."))
    composer.feed(ArgumentsDelta(0, '{"a": "\\\\" , "q": ["'))
    began = time.process_time()
    for _ in range(20_000):
        composer.feed(ArgumentsDelta(0, 'x\\"}],{[ y'))
    assert time.process_time() - began < 2
    out = composer.feed(ArgumentsDelta(0, '"]}'))
    assert [event["type"] for event in out[:3]] == ["content_block_delta", "content_block_stop", "content_block_start"]


@pytest.mark.parametrize(
    ("pieces", "complete"),
    [
        (["{}"], True),
        (['{"a": "', "\\", '"}', '"}'], True),
        (['{"a": "\\', "u007b", '"}'], True),
        (['{"a": [{', "}]"], False),
        (['{"a": "}'], False),
        (["{a}"], False),
        (["nothing"], False),
        ([""], False),
    ],
)
def test_complete_arguments_let_the_next_block_begin(pieces: list[str], complete: bool) -> None:
    """Strings, escapes and brackets may be split anywhere."""
    composer = Composer("m", lambda: "x")
    composer.feed(ToolCallStart(0, "c1", "look"))
    for piece in pieces:
        composer.feed(ArgumentsDelta(0, piece))
    begun = [event for event in composer.feed(TextDelta(1, "Next.")) if event["type"] == "content_block_start"]
    assert bool(begun) is complete
