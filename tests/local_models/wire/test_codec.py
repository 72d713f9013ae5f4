"""The engine's wire, on answers that vLLM 0.32.0 really gave (data/answers)."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_models.wire.codec import PATHS, EngineCodec
from runtime.contract.failures import Disposition, Failure, Kind

ANSWERS = Path(__file__).parent / "answers"

TOO_LONG = (Kind.TOO_LONG, Disposition.NEXT_CANDIDATE)
REJECTED = (Kind.REJECTED, Disposition.TELL_CALLER)
NOT_HERE = (Kind.REJECTED, Disposition.NEXT_CANDIDATE)
FILTERED = (Kind.FILTERED, Disposition.TELL_CALLER)
BUSY = (Kind.BUSY, Disposition.NEXT_CANDIDATE)
DOWN = (Kind.DOWN, Disposition.NEXT_CANDIDATE)
AGAIN = (Kind.DOWN, Disposition.RETRY_HERE)


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
        (
            400,
            b'{"object":"error","message":"This model\'s maximum context length is 2048 tokens. However, you"}',
            TOO_LONG,
        ),
        (
            400,
            b'{"object":"error","message":"The input (9 tokens) is longer than the model\'s context length (8)"}',
            TOO_LONG,
        ),
        (422, b'{"error":"`inputs` must have less than 8 tokens. Given: 9","error_type":"validation"}', TOO_LONG),
        (400, b'{"error":{"code":400,"message":"too big","type":"exceed_context_size_error","n_ctx":8}}', TOO_LONG),
        (500, b'{"error":"prompt too long; exceeded max context length by 5 tokens"}', TOO_LONG),
        (400, b'{"error":"Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}', TOO_LONG),
        (400, b'{"error":{"message":"x does not support tools","type":"api_error"}}', NOT_HERE),
        (404, b'{"error":{"message":"model \'x\' not found","type":"not_found_error"}}', NOT_HERE),
        (501, b'{"error":{"code":501,"message":"no embeddings","type":"not_supported_error"}}', NOT_HERE),
        (418, b"", NOT_HERE),
        (424, b'{"error":"Request failed during generation","error_type":"generation"}', DOWN),
        (503, b'{"error":"server busy, please try again. maximum pending requests exceeded"}', BUSY),
        (503, b'{"object":"error","message":"The request queue is full.","code":503}', BUSY),
        (503, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', DOWN),
        (400, b'{"error":{"message":"flagged as violating","code":"content_filter"}}', FILTERED),
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


NO_ENGINE = '{"error":{"type":"Service Unavailable","code":"no_available_workers","message":"No available workers"}}'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, NO_ENGINE, DOWN),  # sglang-router: the type of vLLM's full queue, and nobody behind it
        (503, "No available workers (all circuits open or unhealthy)", DOWN),  # vllm-router
        (503, "No workers are currently available", DOWN),
        (503, "All workers are unavailable (circuit breaker open or unhealthy)", DOWN),  # smg 1.13
        (503, "no healthy upstream", DOWN),  # Envoy
        (503, "<html>503 Service Unavailable\nNo server is available to handle this request.</html>", DOWN),  # HAProxy
        (
            404,
            '{"error":{"code":"model_not_found","message":"No worker available for model \'m\'","param":null}}',
            DOWN,
        ),
        (404, '{"error":{"code":"model_not_found","message":"no such thing","param":null}}', NOT_HERE),
        (
            500,
            '{"error":{"code":"call_upstream_connection_failed","message":"error sending request for url"}}',
            AGAIN,
        ),  # smg
        (503, "Request dropped due to backpressure (num_queued_requests=9, max_queued_requests=8).", BUSY),  # Ray Serve
        (
            503,
            '{"message":"Service temporarily unavailable: All workers are busy, please retry later"}',
            BUSY,
        ),  # Dynamo
        (529, "overloaded", BUSY),
    ],
)
def test_a_balancer_that_is_full_is_told_from_one_without_engines(
    status: int, body: str, expected: tuple[Kind, Disposition]
) -> None:
    """Bodies that balancers really send: a full one is alive."""
    assert verdict(EngineCodec().classify(status, {}, body.encode())) == expected


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
