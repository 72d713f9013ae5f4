"""Answers fetched as streams and folded: equal to the whole answers that were recorded, unknown members included."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.failures import Kind
from runtime.dialects.anthropic_messages.fold import MessageFold
from runtime.dialects.anthropic_messages.meter import MessagesStreamMeter
from runtime.dialects.folded import FoldedMeter
from runtime.dialects.openai_chat.fold import ChatFold
from runtime.dialects.openai_chat.meter import ChatStreamMeter
from runtime.dialects.openai_responses.fold import ResponseFold
from runtime.dialects.openai_responses.meter import ResponsesStreamMeter
from runtime.dialects.unfolded import unfolded
from tests.cloud.recorded import cut, exchanges, judge

LABELS = ("anthropic", "openai", "responses", "groq", "deepseek", "openrouter")
# Differences between a fold and the vendor's own whole answer that no rule could mend: the stream does not say them.
INDEX = "given in whole answers too, unlike OpenAI's, whose stream has it as well"
EXCEPTIONS = {
    ("openai", ".choices[].message.annotations"): "an empty list in whole answers alone",
    ("openrouter", ".choices[].message.tool_calls[].index"): INDEX,
    ("deepseek", ".choices[].message.tool_calls[].index"): INDEX,
}
# Recordings of one request in which the answers themselves differ, not their form.
OTHER_ANSWERS = {
    ".service_tier": "absent from older answers",
    ".usage": "a stream whose client did not ask for usage",
    ".choices[].message.reasoning_details": "a stream whose model thought, a whole answer whose model did not",
    ".usage.is_byok": "absent from older answers",
    ".system_fingerprint": "absent from some hosts' answers",
    ".usage.cost": "absent from older answers",
    ".usage.cost_details": "absent from older answers",
    ".usage.completion_tokens_details.image_tokens": "absent from older answers",
    ".choices[].message.refusal": "absent from older answers",
}


def folding(wire: str, choices: int = 1) -> FoldedMeter:
    if wire == "anthropic":
        return FoldedMeter(MessagesStreamMeter(), MessageFold())
    if wire == "responses":
        return FoldedMeter(ResponsesStreamMeter(), ResponseFold(lambda response: None))
    return FoldedMeter(ChatStreamMeter(choices=choices, hide_usage=False), ChatFold())


def folded(wire: str, stream: bytes, choices: int = 1, size: int = 1000) -> Any:
    meter = folding(wire, choices)
    assert not any(meter.feed(piece) for piece in cut(stream, size))
    body = meter.end()
    assert meter.failure is None, meter.failure
    return json.loads(body)


def chunks(*deltas: dict[str, Any], **last: Any) -> bytes:
    """A chat stream of these deltas. last: members of its last choice."""
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop", **last})
    lines: list[dict[str, Any]] = [
        {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]} for choice in choices
    ]
    return b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines) + b"data: [DONE]\n\n"


def said(*deltas: dict[str, Any]) -> Any:
    return folded("openai", chunks(*deltas))["choices"][0]["message"]


def differences(whole: Any, other: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(whole, dict) and isinstance(other, dict):
        for name in whole.keys() | other.keys():
            yield from differences(whole.get(name), other.get(name), f"{at}.{name}")
    elif isinstance(whole, list) and isinstance(other, list) and len(whole) == len(other):
        for one, two in zip(whole, other, strict=True):
            yield from differences(one, two, f"{at}[]")
    elif whole != other:
        yield at, whole, other


def form(value: Any) -> Any:
    """The members of an answer and their types; of a list the form of its entries."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    if isinstance(value, list):
        entries: dict[str, Any] = {}
        for each in value:
            entries |= {f"{each.get('type', '')}.{name}": form(inner) for name, inner in dict(each).items()}
        return entries
    return None if value is None else type(value).__name__


def test_a_recorded_whole_answer_unfolded_and_folded_is_the_same(shared: Path) -> None:
    """Every member of every answer, known here or not."""
    found, seen = Counter[tuple[str, str]](), 0
    for each in exchanges(shared, *LABELS):
        if each.error or each.json is None or each.wire == "gemini":
            continue
        stream = unfolded(json.dumps(each.json).encode())
        back, seen = folded(each.wire, stream, len(each.json.get("choices") or [1])), seen + 1
        found.update((each.label, at) for at, *_ in differences(each.json, back))
    assert seen > 400
    print(
        f"{seen} answers;",
        *(f"{found[key]} x {key}: {EXCEPTIONS[key]}" for key in found if key in EXCEPTIONS),
        sep="\n",
    )
    assert found.keys() <= EXCEPTIONS.keys()


def test_a_recorded_stream_folded_has_the_form_of_the_recorded_whole_answer(shared: Path) -> None:
    """Of the same request, recorded both ways. A member that is null in one and absent from the other is the same."""
    pairs = defaultdict[str, tuple[list[Any], list[Any]]](lambda: ([], []))
    for each in judge(shared).recordings.load(shared / "recordings", list(LABELS), answers=True):
        if not each.error and each.wire != "gemini":
            request = {name: value for name, value in each.request.items() if name not in ("stream", "stream_options")}
            pairs[json.dumps([each.wire, each.model, request], sort_keys=True)][each.sse is None].append(each)
    both = [(streamed, whole) for streamed, whole in pairs.values() if streamed and whole]
    found = Counter[tuple[str, str]]()
    for streamed, whole in both:
        for each in streamed:
            got = form(folded(each.wire, each.sse.encode()))
            # Of several recorded whole answers the one that is nearest: servers have changed over the years.
            nearest = min(([*differences(form(one.json), got)] for one in whole), key=len)
            found.update((each.label, at.replace("..", "[].")) for at, *_ in nearest)
    print(f"{len(both)} pairs;", *(f"{count} x {key}" for key, count in found.items()), sep="\n")
    assert len(both) >= 10
    unknown = {key: count for key, count in found.items() if key not in EXCEPTIONS and key[1] not in OTHER_ANSWERS}
    assert unknown == {}


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_members_nobody_knows_are_merged_by_their_types(size: int) -> None:
    """Texts grow, objects are merged, lists joined, numbers and flags replaced, and null changes nothing."""
    deltas = (
        {"role": "assistant", "content": "", "odd": "a", "none": None, "count": 1, "deep": {"text": "x", "list": [1]}},
        {"content": "He", "odd": "b", "count": 2, "deep": {"text": "y", "flag": True, "list": [2]}},
        {"content": "l", "odd": None, "notes": [{"url": "1"}]},
        {"content": "lo", "notes": [{"url": "2"}], "parts": [{"index": 0, "type": "t", "text": "p"}]},
        {"content": "", "parts": [{"index": 0, "text": "q"}, {"index": 1, "type": "t", "text": "r"}]},
    )
    choice = folded("openai", chunks(*deltas, stop_reason=7, token_ids=[1]), size=size)["choices"][0]
    assert choice == {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": "Hello",
            "odd": "ab",
            "none": None,
            "count": 2,
            "deep": {"text": "xy", "list": [1, 2], "flag": True},
            "notes": [{"url": "1"}, {"url": "2"}],
            "parts": [{"index": 0, "type": "t", "text": "pq"}, {"index": 1, "type": "t", "text": "r"}],
        },
        "finish_reason": "stop",
        "stop_reason": 7,
        "token_ids": [1],
    }


def test_tool_calls_are_whole_however_their_pieces_are_numbered() -> None:
    """With an index, without one, with one for all, with names in pieces or repeated."""

    def piece(index: int | None, arguments: str, **more: Any) -> dict[str, Any]:
        name = {"name": more.pop("name")} if "name" in more else {}
        entry = {"index": index} if index is not None else {}
        return {"tool_calls": [{**entry, **more, "function": {**name, "arguments": arguments}}]}

    one = {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}}
    two = {"id": "b", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    first = {"id": "a", "type": "function", "name": "look"}
    second = {"id": "b", "type": "function", "name": "find"}
    for deltas in (
        (piece(0, "", **first), piece(0, '{"x":'), piece(0, "1}"), piece(1, "{}", **second)),
        (piece(None, '{"x":', **first), piece(None, "1}"), piece(None, "{}", **second)),
        (piece(0, '{"x":1}', **first), piece(0, "", **second), piece(0, "{}")),
        (piece(0, '{"x":', **first), piece(0, "1}", id="", name="look"), piece(1, "{}", **second)),
        (piece(0, '{"x":', **(first | {"name": "lo"})), piece(0, "1}", name="ok"), piece(1, "{}", **second)),
    ):
        assert said({"role": "assistant", "content": None}, *deltas)["tool_calls"] == [one, two]


def test_several_choices_and_their_log_probabilities_stay_apart() -> None:
    """In the order of their indexes."""
    pieces = [
        {
            "index": index,
            "delta": {"content": text},
            "logprobs": {"content": [{"token": text}]},
            "finish_reason": finish,
        }
        for index, text, finish in ((1, "b", None), (0, "a", None), (1, "B", "stop"), (0, "A", "length"))
    ]
    stream = b"".join(b"data: " + json.dumps({"choices": [piece]}).encode() + b"\n\n" for piece in pieces)
    choices = folded("openai", stream + b"data: [DONE]\n\n", 2)["choices"]
    assert [(each["message"]["content"], each["finish_reason"]) for each in choices] == [
        ("aA", "length"),
        ("bB", "stop"),
    ]
    assert [entry["token"] for entry in choices[1]["logprobs"]["content"]] == ["b", "B"]


def test_what_only_streams_have_is_left_out() -> None:
    """Padding, and usage under a vendor's own member."""
    more = b'"obfuscation": "xyz", "x_vendor": {"id": 1, "usage": {"prompt_tokens": 1}}, "model"'
    stream = chunks({"content": "hi"}).replace(b'"model"', more)
    body = folded("openai", stream)
    assert "obfuscation" not in body and body["x_vendor"] == {"id": 1} and body["usage"] == {"prompt_tokens": 1}
    assert body["object"] == "chat.completion"


def test_halves_of_a_character_are_joined() -> None:
    """A surrogate pair cut between two events."""
    stream = chunks({"content": "a"}, {"content": "b"}).replace(b'"a"', b'"a\\ud83d"').replace(b'"b"', b'"\\ude00b"')
    assert folded("openai", stream)["choices"][0]["message"]["content"] == "a\U0001f600b"


def test_a_message_keeps_blocks_and_members_that_nobody_knows() -> None:
    """Unknown blocks, deltas, members of the last event, and counts that are not repeated."""
    events = [
        {"type": "message_start", "message": {"id": "m", "type": "message", "content": [], "usage": {"a": 1, "b": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "odd", "text": "x", "n": 1}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "odd_delta", "text": "y", "n": 2}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "1.0}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "new": 1}, "usage": {"b": 2}, "beside": [1]},
        {"type": "message_stop"},
    ]
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    assert folded("anthropic", stream) == {
        "id": "m",
        "type": "message",
        "content": [{"type": "odd", "text": "xy", "n": 2}, {"type": "tool_use", "input": {"a": 1.0}}],
        "usage": {"a": 1, "b": 2},
        "stop_reason": "tool_use",
        "new": 1,
        "beside": [1],
    }


def test_an_endless_stream_is_not_kept() -> None:
    """The limit holds for what the fold would keep."""
    meter = FoldedMeter(ChatStreamMeter(choices=1, hide_usage=False), ChatFold(), limit=1000)
    for _ in range(100):
        meter.feed(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
    assert meter.failure is not None and meter.failure.kind is Kind.GARBLED and meter.end() == b""
