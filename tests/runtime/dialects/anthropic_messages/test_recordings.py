"""Recorded traffic: every request passes and can be read, every answer is read as the vendor's SDK reads it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.anthropic_messages.meter import MessagesStreamMeter, MessagesWholeMeter
from runtime.dialects.anthropic_messages.words import FINISH, usage_of
from runtime.wire import sse
from runtime.wire.raw_body import RawBody
from tests.runtime.dialects.anthropic_messages import recordings, sdk


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[recordings.Recorded]:
    return recordings.requests(shared)


@pytest.fixture(scope="module")
def streams(shared: Path) -> dict[str, bytes]:
    return recordings.streams(shared)


def test_every_request_is_decoded(recorded: list[recordings.Recorded]) -> None:
    """No recorded body raises, and no message is lost."""
    for each in recorded:
        request = MESSAGES.read_request(RawBody(json.dumps(each.request).encode()))
        assert request.messages, each.name
        assert request.max_tokens == each.request.get("max_tokens"), each.name


def test_every_request_passes_with_another_model_alone(recorded: list[recordings.Recorded]) -> None:
    """A target of the same wire gets the client's bytes with its own model's name in them."""
    for each in recorded:
        raw = json.dumps(each.request, indent=1, ensure_ascii=False)
        passing = MESSAGES.passing(RawBody(raw.encode()), "other-model")
        named = json.dumps(each.request["model"], ensure_ascii=False)
        assert passing.body.decode() == raw.replace(f'"model": {named}', '"model": "other-model"', 1), each.name


def test_every_stream_is_forwarded_and_read_as_the_sdk_reads_it(streams: dict[str, bytes]) -> None:
    """Bytes, stop reason and usage agree with the vendor's own reading."""
    assert streams
    for name, stream in streams.items():
        meter = MessagesStreamMeter()
        assert meter.feed(stream) + meter.end() == stream, name
        assert meter.failure is None, name
        assert meter.began, name
        read = sdk.streamed(stream)
        assert meter.finish == FINISH[read["stop_reason"]], name
        assert meter.usage == usage_of(read["usage"]), name
        assert meter.model == read["model"], name


def test_any_split_of_a_stream_reads_the_same(streams: dict[str, bytes]) -> None:
    """The size of the pieces makes no difference."""
    chance = random.Random(7)
    for name, stream in streams.items():
        meter, out, at = MessagesStreamMeter(), b"", 0
        while at < len(stream):
            size = chance.choice((1, 3, 17, 200, 3000))
            out += meter.feed(stream[at : at + size])
            at += size
        whole = MessagesStreamMeter()
        whole.feed(stream)
        assert out + meter.end() == stream, name
        assert (meter.usage, meter.finish, meter.tokens) == (whole.usage, whole.finish, whole.tokens), name


def test_every_cut_stream_is_a_failure(streams: dict[str, bytes]) -> None:
    """A stream without its stop reason is never shown as whole, wherever it is cut."""
    for name, stream in streams.items():
        events = sse.Events().feed(stream)
        end = next(n for n, event in enumerate(events) if event.name == b"message_delta")
        for kept in {*range(min(end, 5)), end // 2, end - 1, end}:
            meter = MessagesStreamMeter()
            meter.feed(b"".join(event.raw for event in events[:kept]))
            assert meter.end() == b"", name
            assert meter.failure is not None, name


def test_every_whole_answer_is_forwarded_and_metered(recorded: list[recordings.Recorded]) -> None:
    """Usage and stop reason of a whole answer are the message's; an error is a failure."""
    for each in recorded:
        if each.whole is None or each.path != "/messages":
            continue
        body = json.dumps(each.whole).encode()
        meter = MessagesWholeMeter()
        assert meter.feed(body) == b""
        if each.status != 200:
            assert meter.end() == b""
            assert meter.failure is not None, each.name
            continue
        assert meter.end() == body, each.name
        assert meter.usage == usage_of(each.whole["usage"]), each.name
        assert meter.finish == FINISH[each.whole["stop_reason"]], each.name
