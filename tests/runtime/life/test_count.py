"""Counting tokens: by a target of the client's wire where one is first, else by the runtime's estimate."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from runtime.dialects.anthropic_messages.counting import COUNT_TOKENS, NAME
from runtime.dialects.anthropic_messages.counting import PATH as COUNT
from runtime.life.count import count
from tests.fakes.box import LEAVE, Box, MemorySink, asked
from tests.fakes.upstream import FakeBackend, Turn, engine_backend, told
from tests.fakes.wires import MESSAGES


def counting_target(name: str, *turns: Turn) -> FakeBackend:
    backend = MESSAGES.target(name, *turns)
    backend.target = replace(backend.target, dialects=backend.target.dialects | {NAME})
    return backend


def answered(sink: MemorySink) -> Any:
    return json.loads(sink.body)["input_tokens"]


async def test_the_engine_is_first_and_the_runtime_estimates() -> None:
    """No request goes upstream, and the decision is on record with the engine as its target."""
    box = Box(engine_backend((Turn(told("never")),)))
    settled, sink = await box.live(box.ask("one two three four", dialect=COUNT_TOKENS), work=count)
    assert (
        settled.error is None and answered(sink) >= 4 and sink.head is not None and sink.head.length == len(sink.body)
    )
    assert box.calls == [0] and box.records.rows == [settled.decision]
    assert settled.decision.target == "local/small" and settled.decision.status == 200


async def test_a_target_of_this_wire_counts_itself() -> None:
    """Its number reaches the client, and counting costs nothing."""
    claude = counting_target("claude", Turn([b'{"input_tokens":41}']))
    box = Box(engine_backend((Turn(told("never")),)), [claude], LEAVE)
    settled, sink = await box.live(box.ask(dialect=COUNT_TOKENS), work=count)
    assert answered(sink) == 41 and claude.lanes[0].hop.calls[0].path.endswith("/count_tokens")
    assert (settled.decision.prompt_tokens, settled.decision.completion_tokens) == (0, 0)


async def test_a_fallback_that_cannot_count_is_left_out() -> None:
    """Where the counting target fails the client gets its error, not a number by another measure."""
    claude = counting_target("claude", MESSAGES.refuses(529, code="overloaded_error"))
    box = Box(engine_backend((Turn(told("never")),)), [claude], LEAVE)
    settled, sink = await box.live(box.ask(dialect=COUNT_TOKENS), work=count)
    assert settled.error is not None and sink.head is None and box.calls[0] == 0


async def test_the_door_counts_too() -> None:
    """The same through the application, in the wire's own shape."""
    box = Box(engine_backend((Turn(told("never")),)))
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    seen = await asked(box.app(), COUNT, body)
    assert seen.status == 200 and json.loads(seen.body)["input_tokens"] > 0
