"""The engine's wire, on answers that vLLM 0.32.0 really gave (data/answers)."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_models.wire.codec import PATHS, EngineCodec
from runtime.contract.failures import Disposition, Failure, Kind

ANSWERS = Path(__file__).parent / "answers"

TOO_LONG = (Kind.TOO_LONG, Disposition.NEXT_CANDIDATE)
REJECTED = (Kind.REJECTED, Disposition.TELL_CALLER)
BUSY = (Kind.BUSY, Disposition.NEXT_CANDIDATE)
DOWN = (Kind.DOWN, Disposition.NEXT_CANDIDATE)


def real(name: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers, body of a captured answer."""
    head, _, body = (ANSWERS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in rest), body


def verdict(failure: Failure) -> tuple[Kind, Disposition]:
    return failure.kind, failure.disposition


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full_queue", BUSY),
        ("messages_full", BUSY),
        ("dead_core", DOWN),
        ("too_long_prompt", TOO_LONG),
        ("too_long_output", TOO_LONG),
        ("too_long_completion", TOO_LONG),
        ("responses_long", TOO_LONG),
        ("messages_long", TOO_LONG),
        ("bad_param", REJECTED),
        ("bad_json", REJECTED),
        ("bad_messages", REJECTED),
        ("no_route", REJECTED),
        ("unknown_model", (Kind.REJECTED, Disposition.NEXT_CANDIDATE)),
        ("messages_unknown", (Kind.REJECTED, Disposition.NEXT_CANDIDATE)),
    ],
)
def test_real_answers_are_told_apart(name: str, expected: tuple[Kind, Disposition]) -> None:
    """In every dialect vLLM speaks; its words and its body are kept."""
    status, headers, body = real(name)
    failure = EngineCodec().classify(status, headers, body)
    assert verdict(failure) == expected
    assert failure.status == status
    assert failure.body == body
    assert failure.message
    assert failure.message in body.decode().replace("\\n", "\n")


def test_an_error_event_inside_a_stream_is_a_broken_stream() -> None:
    """The core died mid-stream: 200, this event, then [DONE]."""
    event = (ANSWERS / "error_event.sse").read_bytes().split(b"\n\n")[0]
    failure = EngineCodec().classify(200, {}, event)
    assert verdict(failure) == (Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE)
    assert failure.message.startswith("EngineCore encountered an issue")
    assert failure.code == "InternalServerError"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, b"<html>503 Service Temporarily Unavailable</html>", DOWN),
        (502, b"", DOWN),
        (500, b"Internal Server Error", (Kind.DOWN, Disposition.RETRY_HERE)),
        (429, b'{"error":{"message":"slow down","type":"rate_limit"}}', BUSY),
        (401, b'{"error":"Unauthorized"}', (Kind.DENIED, Disposition.NEXT_CANDIDATE)),
        (413, b"", TOO_LONG),
        (400, b'{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}', REJECTED),
        (400, b'{"error":{"message":"max_tokens must be at least 1","param":"max_tokens"}}', REJECTED),
        (400, b"[1]", REJECTED),
        (200, b'{"error":{"message":"full","type":"Service Unavailable","code":503}}', BUSY),
        (200, b'{"error":{"message":"bad","type":"BadRequestError","code":400}}', REJECTED),
        (200, b'{"error":"died"}', (Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE)),
        (200, b"not json", (Kind.GARBLED, Disposition.NEXT_CANDIDATE)),
    ],
)
def test_other_servers_answers(status: int, body: bytes, expected: tuple[Kind, Disposition]) -> None:
    """Proxies, older engines and attached servers are understood as far as they speak."""
    failure = EngineCodec().classify(status, {}, body)
    assert verdict(failure) == expected
    assert failure.message


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("Sun, 22 Nov 2026", None)]
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    """A wait that is no number of seconds is no wait."""
    assert EngineCodec().classify(429, {"retry-after": value}, b"").retry_after == seconds


def test_busy_and_the_callers_fault_open_no_breaker() -> None:
    """What a full queue and a bad body say of the engine is nothing."""
    for name in ("full_queue", "too_long_prompt", "bad_param"):
        assert not EngineCodec().classify(*real(name)).counts_against


def test_paths() -> None:
    """Each dialect has its place below /v1."""
    assert EngineCodec().path("openai_chat") == "/chat/completions"
    assert all(path.startswith("/") for path in PATHS.values())
    with pytest.raises(KeyError):
        EngineCodec().path("gemini")
