"""The length of a request's way through the code: a stranger who follows it has to read these functions."""

from __future__ import annotations

from scripts.bench.way import measure


async def test_a_streamed_chat_passes_few_functions_in_few_files() -> None:
    """A streamed chat that the local engine answers."""
    way = await measure(stream=True)
    assert len(way.functions) <= 180 and way.files <= 45, "\n".join(way.functions)


async def test_a_whole_answer_takes_few_calls() -> None:
    """One request with its answer in one piece: call events of our functions, resumed coroutines included."""
    way = await measure(stream=False)
    assert way.calls <= 230, "\n".join(way.functions)
