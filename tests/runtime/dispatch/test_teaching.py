"""What the end of an attempt teaches the engine's ledger: whole answers their speed and cached prefix, others nothing."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.fakes.box import Box
from tests.fakes.upstream import CUT, DONE, ROLE, Turn, chunk, engine_backend

WORDS = tuple(chunk(f"word {number} ") for number in range(20))
PROMPT: dict[str, Any] = {"model": "local", "stream": True, "hearth": {"session": "one"}}


def answer(cached: int) -> Turn:
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": cached}}
    return Turn([ROLE, *WORDS, chunk(finish="stop", usage=usage), DONE])


async def test_the_engines_cached_tokens_teach_what_need_not_be_read() -> None:
    """By the conversation's prefix; the next request of it has so much less to wait for."""
    box = Box(engine_backend((answer(cached=80),)))
    await box.live(box.ask(**PROMPT))
    assert list(box.fleet.ledger(box.local.lanes[0]).cached.values()) == [0.8]


@pytest.mark.parametrize(("turn", "learned"), [(answer(0), True), (Turn([ROLE, *WORDS, CUT]), False)])
async def test_only_whole_answers_teach_a_speed(turn: Turn, learned: bool) -> None:
    """Twenty tokens of an answer that breaks off say nothing of how fast or how long answers are."""
    ticks = count()
    box = Box(engine_backend((turn,) * 6), clock=lambda: next(ticks) / 100, total_s=1_000)
    for _ in range(6):
        await box.live(box.ask(**PROMPT))
    ledger = box.fleet.ledger(box.local.lanes[0])
    assert (ledger.learned, ledger.running, ledger.waiting) == (learned, 0, 0)
