"""Recorded answers are read as the vendor's SDK reads them; recorded requests are written as the vendor takes them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from runtime.contract.codec import Unsupported
from runtime.contract.events import Citation
from runtime.contract.failures import Disposition, Kind
from runtime.contract.messages import Request
from runtime.wire.raw_body import BadBody
from tests.cloud.gemini.recorded import Answer, Sdk, codec, decoded, exchanges, folded, judge, target
from tests.cloud.recorded import asked, cut, longest
from tests.cloud.recorded import exchanges as exchanges_of

# A loss the answer declares, by the name it is declared under.
DECLARED = {"temperature": "temperature", "top_p": "top_p", "thinking": "reasoning_effort"}
NO_ANSWERS = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"})


def same(ours: Answer, theirs: Answer) -> bool:
    """True if both read the same. Of an answer that broke off, which the SDK shows as whole, only the failure is compared."""
    if theirs.stop in NO_ANSWERS:
        return ours.failed
    return ours == theirs


def test_recorded_streams_are_read_as_the_sdk_reads_them(shared: Path) -> None:
    """Text, thoughts, signatures, calls, finish reason and usage agree for every recorded stream."""
    streams, sdk = exchanges(shared, lambda it: not it.error and it.sse is not None), Sdk()
    for it in streams:
        raw = it.sse.encode()
        assert same(folded(decoded([raw])), sdk.stream(raw)), it.id
    assert len(streams) > 20


def test_recorded_whole_answers_are_read_as_the_sdk_reads_them(shared: Path) -> None:
    """A whole answer, sent as a stream instead, reads the same as the SDK's whole one."""
    synth, sdk = judge(shared).synth, Sdk()
    wholes = exchanges(shared, lambda it: not it.error and it.sse is None)
    for it in wholes:
        assert same(folded(decoded([synth.gemini_sse(it.json).encode()])), sdk.whole(json.dumps(it.json).encode())), (
            it.id
        )
    assert len(wholes) > 100


def test_an_array_of_chunks_is_read_like_their_stream(shared: Path) -> None:
    """The wire's other framing, one array for all chunks, means the same."""
    for it in exchanges(shared, lambda it: not it.error and it.sse is not None):
        chunks = judge(shared).synth.payloads(it.sse)
        decoder = codec().decoder(Request("m", ()))
        events = [*decoder.feed("", json.dumps(chunks).encode()), *decoder.finish()]
        assert folded(events) == folded(decoded([it.sse.encode()])), it.id


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1021])
def test_pieces_of_any_size_are_read_alike(shared: Path, size: int) -> None:
    """The places where the network cuts a stream make no difference."""
    most = longest(size)
    for it in exchanges(shared, lambda it: not it.error and it.sse is not None and len(it.sse) < most):
        raw = it.sse.encode()
        assert decoded(cut(raw, size)) == decoded([raw]), it.id


def test_a_cut_stream_is_never_whole(shared: Path) -> None:
    """A stream without its last chunk is a failure, wherever it was cut."""
    for it in exchanges(shared, lambda it: not it.error and it.sse is not None):
        raw = it.sse.encode()
        end = raw.rstrip().rindex(b"data:")
        for share in (0, 1, 2, 3):
            assert folded(decoded([raw[: end * share // 3]])).failed, it.id


def test_grounded_answers_name_their_sources(shared: Path) -> None:
    """Sources come as citations that point at words of the answer."""
    found = 0
    for it in exchanges(shared, lambda it: not it.error and it.sse is not None and "groundingSupports" in it.sse):
        events = decoded([it.sse.encode()])
        text = folded(events).text
        for cited in (event for event in events if isinstance(event, Citation)):
            if cited.start is not None and cited.cited and cited.url:
                assert text[cited.start : cited.end] == cited.cited, it.id
                found += 1
    assert found


def test_recorded_errors_are_judged(shared: Path) -> None:
    """A request the vendor found wrong goes to the caller; a model it does not have, to the next candidate."""
    errors = exchanges(shared, lambda it: it.error)
    for it in errors:
        failure = codec().classify(it.status, it.headers, json.dumps(it.json).encode())
        wanted = {400: (Kind.REJECTED, Disposition.TELL_CALLER), 404: (Kind.DENIED, Disposition.NEXT_CANDIDATE)}
        assert (failure.kind, failure.disposition) == wanted[it.status], it.id
        assert it.json["error"]["message"][:100] in failure.message
    assert errors


def test_recorded_requests_come_out_as_the_vendor_takes_them(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The request that a client of OpenAI's wire would have sent becomes a body the vendor takes, with the same meaning."""
    found, skipped, tried = judge(shared), Counter[str](), 0
    for it, sent in found.derived(exchanges(shared, lambda it: not it.error), skipped):
        tried += 1
        encoded = codec().encode(asked(f"gemini/{it.model}", sent), target(it.model))
        body = json.loads(encoded.call.body)
        broken = found.rules.gemini({"body": body, "path": encoded.call.path}, it)
        lost = found.canon.differences(found.canon.gemini(it.request), found.canon.gemini(body))
        broken += [each for each in lost if not _is_declared(each, encoded.dropped)]
        assert not broken, (it.id, broken)
    with capsys.disabled():
        print(f"\n{tried} recorded requests encoded; cannot be said in OpenAI's chat: {dict(skipped)}")
    assert tried > 100


def test_recorded_requests_of_other_wires_come_out_as_this_vendor_takes_them(shared: Path) -> None:
    """Conversations recorded with other vendors mean the same here, in a body this vendor takes; or are refused."""
    found, tried = judge(shared), 0
    for it, sent in found.derived(exchanges_of(shared, "anthropic", "openai", "groq", "deepseek", "openrouter")):
        if not _is_comparable(sent):
            continue
        for model in ("gemini-3.8-flash", "gemini-2.5-pro"):
            tried += _is_taken(found, it, sent, model)
    assert tried > 500


def _is_comparable(sent: dict[str, Any]) -> bool:
    """Without what the judge does not read: videos, the old spelling of tools, and turns of ours that fill a gap."""
    first = next(
        (message["role"] for message in sent["messages"] if message["role"] not in ("system", "developer")), ""
    )
    return first == "user" and "functions" not in sent and "video_url" not in json.dumps(sent)


def _is_taken(found: Any, it: Any, sent: dict[str, Any], model: str) -> bool:
    try:
        encoded = codec().encode(asked(f"gemini/{model}", sent), target(model))
    except (Unsupported, BadBody):
        return False
    body = json.loads(encoded.call.body)
    it.model = model
    broken = found.rules.gemini({"body": body, "path": encoded.call.path}, it)
    lost = found.canon.differences(found.canon.openai(sent), found.canon.gemini(body))
    told_in_words = (
        "response_format" in encoded.dropped
    )  # among the instructions, which the judge compares by the letter
    broken += [each for each in lost if not told_in_words and not _is_declared(each, encoded.dropped)]
    assert not broken, (it.id, model, broken, encoded.dropped)
    return True


def _is_declared(difference: str, dropped: tuple[str, ...]) -> bool:
    name = difference.partition(" ")[0]
    return DECLARED.get(name, name) in dropped


def test_a_prefix_stays_the_same_from_turn_to_turn(shared: Path) -> None:
    """The contents of a conversation, encoded with one turn more, begin with the same bytes."""
    found = judge(shared)
    for it, sent in found.derived(exchanges(shared, lambda it: not it.error)):
        more = sent["messages"] + [{"role": "assistant", "content": "ok"}, {"role": "user", "content": "and then?"}]
        before, after = (
            codec().encode(asked(f"gemini/{it.model}", sent | {"messages": said}), target(it.model)).call.body
            for said in (sent["messages"], more)
        )
        assert after.startswith(before.removesuffix(b"]}")), it.id
