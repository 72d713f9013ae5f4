"""Recorded answers are read as the vendor's SDK reads them; recorded requests are written as the vendor takes them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.anthropic import recorded
from tests.cloud.anthropic.recorded import Sdk, codec, decoded, exchanges, folded, judge, target, without_nothing
from tests.cloud.recorded import asked, cut, longest

# A loss the answer declares, by the name it is declared under.
DECLARED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "thinking": "reasoning_effort",
    "tool_choice": "tool_choice",
}


def answered(it: Any) -> bool:
    return not it.error and (it.sse is not None or "content" in it.json)


def same(ours: recorded.Answer, theirs: recorded.Answer) -> bool:
    ours.opaque, theirs.opaque = without_nothing(ours.opaque), without_nothing(theirs.opaque)
    return ours == theirs


def test_recorded_streams_are_read_as_the_sdk_reads_them(shared: Path) -> None:
    """Text, thinking, signatures, calls, server blocks, stop reason and usage agree for every recorded stream."""
    streams = [(it.id, it.sse.encode()) for it in exchanges(shared, lambda it: answered(it) and it.sse is not None)]
    streams += recorded.other_streams(shared)
    streams = [(name, raw) for name, raw in streams if raw.count(b"event: message_start") == 1]
    sdk = Sdk()
    for name, raw in streams:
        assert same(folded(decoded([raw])), sdk.stream(raw)), name
    assert len(streams) > 30


def test_recorded_whole_answers_are_read_as_the_sdk_reads_them(shared: Path) -> None:
    """A whole answer, sent as a stream instead, reads the same as the SDK's whole one."""
    synth, sdk = judge(shared).synth, Sdk()
    wholes = [(it.id, it.json) for it in exchanges(shared, lambda it: answered(it) and it.sse is None)]
    wholes += recorded.other_wholes(shared)
    for name, body in wholes:
        stream = synth.anthropic_sse(body).encode()
        assert same(folded(decoded([stream])), sdk.whole(json.dumps(body).encode())), name
    assert len(wholes) > 100


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1021])
def test_pieces_of_any_size_are_read_alike(shared: Path, size: int) -> None:
    """The places where the network cuts a stream make no difference."""
    most = longest(size)
    for it in exchanges(shared, lambda it: answered(it) and it.sse is not None and len(it.sse) < most):
        raw = it.sse.encode()
        assert decoded(cut(raw, size)) == decoded([raw]), it.id


def test_a_cut_stream_is_never_whole(shared: Path) -> None:
    """A stream without its stop reason is a failure, wherever it was cut."""
    for it in exchanges(shared, lambda it: answered(it) and it.sse is not None):
        raw = it.sse.encode()
        for share in (0, 1, 2, 3):
            cut = raw[: raw.index(b"event: message_delta") * share // 3]
            assert folded(decoded([cut])).failed, it.id


def test_recorded_requests_come_out_as_the_vendor_takes_them(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The request that a client of OpenAI's wire would have sent becomes a body the vendor takes, with the same meaning."""
    found, skipped, tried = judge(shared), Counter[str](), 0
    for it, sent in found.derived(exchanges(shared, lambda it: not it.error), skipped):
        tried += 1
        encoded = codec().encode(asked(f"anthropic/{it.model}", sent), target(it.model))
        body = json.loads(encoded.call.body)
        broken = found.rules.anthropic({"body": body, "headers": dict(encoded.call.headers)}, it)
        lost = found.canon.differences(found.canon.anthropic(it.request), found.canon.anthropic(body))
        broken += [each for each in lost if DECLARED.get(each.split(" ")[0]) not in encoded.dropped]
        assert not broken, (it.id, broken)
    with capsys.disabled():
        print(f"\n{tried} recorded requests encoded; cannot be said in OpenAI's chat: {dict(skipped)}")
    assert tried > 100


def test_a_prefix_stays_the_same_from_turn_to_turn(shared: Path) -> None:
    """The messages of a conversation, encoded with one turn more, begin with the same bytes, marks for caching aside."""
    found = judge(shared)
    for it, sent in found.derived(exchanges(shared, lambda it: not it.error)):
        more = sent["messages"] + [{"role": "assistant", "content": "ok"}, {"role": "user", "content": "and then?"}]
        before, after = (
            json.loads(
                codec().encode(asked(f"anthropic/{it.model}", sent | {"messages": said}), target(it.model)).call.body
            )
            for said in (sent["messages"], more)
        )
        for part in ("tools", "system"):
            assert _unmarked(before.get(part)) == _unmarked(after.get(part)), it.id
        assert _unmarked(before["messages"]) == _unmarked(after["messages"][: len(before["messages"])]), it.id


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value
