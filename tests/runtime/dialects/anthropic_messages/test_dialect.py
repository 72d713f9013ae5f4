"""The wire at the door: bodies that are accepted, bytes that are sent on, errors in the wire's shape."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from runtime.dialects.anthropic_messages import counting, listing
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.seam import Dialect
from runtime.wire import sse
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody
from tests.runtime.dialects.anthropic_messages import sdk

ASK: dict[str, Any] = {"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


def raw(**members: Any) -> RawBody:
    return RawBody(json.dumps(ASK | members).encode())


def test_it_is_a_dialect() -> None:
    """The dialect satisfies the protocol."""
    dialect: Dialect = MESSAGES
    assert dialect.name == "anthropic_messages"


def test_what_is_unknown_is_tolerated() -> None:
    """Members that the wire may get later are left to the target."""
    MESSAGES.check(raw(future={"x": 1}, max_tokens=0, system=[], thinking={"type": "new"}, stream=False))


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"model": 7}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"system": 7}, "system"),
    ],
)
def test_what_no_target_could_answer_is_refused(members: dict[str, Any], place: str) -> None:
    """The error names the place."""
    with pytest.raises(BadBody) as caught:
        MESSAGES.check(raw(**members))
    assert caught.value.place == place


def test_hints_stay_here() -> None:
    """Hints are taken out; the rest is as written."""
    passing = MESSAGES.passing(RawBody(b'{"model": "auto", "hearth": {"explain": true}, "max_tokens": 5 }'), "m")
    assert passing.body == b'{"model": "m", "max_tokens": 5 }'


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (402, "billing_error", anthropic.APIStatusError),
        (403, "permission_error", anthropic.PermissionDeniedError),
        (404, "not_found_error", anthropic.NotFoundError),
        (413, "request_too_large", anthropic.APIStatusError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (502, "api_error", anthropic.InternalServerError),
        (503, "overloaded_error", anthropic.InternalServerError),
        (504, "timeout_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.APIStatusError),
    ],
)
def test_errors(status: int, kind: str, raised: type[anthropic.APIStatusError]) -> None:
    """Every status has this wire's type, and the vendor's SDK raises what it raises for its own."""
    body = MESSAGES.error_body(ApiError(status, "no", "some_code", "model"))
    with pytest.raises(raised) as caught:
        sdk.reader(body, status=status).messages.create(model="m", max_tokens=1, messages=[])
    detail = {"type": kind, "message": "no", "code": "some_code", "param": "model"}
    assert caught.value.body == {"type": "error", "error": detail, "request_id": None}


def test_a_prompt_too_long_has_the_words_clients_look_for() -> None:
    """Clients of this wire shorten their conversation when they read these words."""
    told = json.loads(MESSAGES.error_body(ApiError(400, "9 of 8 tokens", "context_length_exceeded")))
    assert told["error"]["message"] == "prompt is too long: 9 of 8 tokens"


def test_an_error_of_this_wire_passes_as_it_is() -> None:
    """The vendor's own body is forwarded; an error of another wire gets this wire's shape."""
    own = b'{"type": "error", "error": {"type": "not_found_error", "message": "model: x"}, "request_id": "req_1"}'
    assert MESSAGES.error_body(ApiError(404, "model: x", body=own)) == own
    other = b'{"error": {"message": "no", "type": "x", "code": null}}'
    assert json.loads(MESSAGES.error_body(ApiError(404, "no", body=other)))["type"] == "error"


def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    """The vendor's SDK raises on it, and nothing follows it."""
    start = b'event: message_start\ndata: {"type":"message_start","message":{"content":[],"usage":{}}}\n\n'
    event = MESSAGES.error_event(ApiError(502, "it broke", "broken_stream"))
    assert event.startswith(b"event: error\ndata: ")
    with pytest.raises(anthropic.APIStatusError, match="it broke"):
        sdk.streamed(start + event)


def test_an_error_event_is_one_line() -> None:
    """A vendor's body may be laid out over lines; an event's data is one."""
    body = b'{\n "type": "error",\r\n "error": {"type": "api_error", "message": "a\\nb"}\n}'
    (event,) = sse.Events().feed(MESSAGES.error_event(ApiError(500, "x", body=body)))
    assert json.loads(event.data or b"")["error"]["message"] == "a\nb"


def test_counting() -> None:
    """A body to be counted needs no limit, and passes like any other."""
    body = RawBody(b'{"model": "auto", "messages": [{"role": "user", "content": "x"}], "hearth": {}}')
    counting.COUNT_TOKENS.check(body)
    assert (
        counting.COUNT_TOKENS.passing(body, "m").body
        == b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
    )
    answer = sdk.reader(counting.estimated(42)).messages.count_tokens(model="m", messages=[])
    assert answer.input_tokens == 42


def test_counted_answers_of_a_target_are_checked() -> None:
    """A count is a number, whatever else a target says."""
    good = b'{"input_tokens": 7, "more": 1}'
    for body in (good, b"{}", b"[]", b"x", b'{"input_tokens": "7"}', b'{"input_tokens": true}'):
        meter = counting.CountMeter()
        assert meter.feed(body) == b""
        assert meter.end() == (body if body is good else b"")
        assert (meter.failure is None) == (body is good)


def test_the_list_of_models_reads_as_the_vendors() -> None:
    """A client of this wire lists the models and finds each by its name."""
    rows = [listing.ModelRow("auto", 1), listing.ModelRow("local/x", 1_700_000_000, 4096, 1024)]
    read = sdk.reader(json.dumps(listing.page(rows)).encode()).models.list()
    assert [model.id for model in read] == ["auto", "local/x"]
    one = sdk.reader(json.dumps(listing.model(rows[1])).encode()).models.retrieve("local/x")
    assert (one.max_input_tokens, one.created_at.year) == (4096, 2023)
    assert listing.page([])["first_id"] is None
    assert listing.wanted(["accept", "anthropic-version"])
    assert not listing.wanted(["accept"])


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}])
def test_a_thread_is_refused_so_that_the_client_sends_everything(thread: dict[str, str]) -> None:
    """The SDK's tool runner asks for threads unasked; by this error it goes on without one."""
    ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "thread": thread}
    body = RawBody(json.dumps(ask).encode())
    with pytest.raises(BadBody) as caught:
        MESSAGES.read_request(body)
    written = MESSAGES.error_body(ApiError(400, str(caught.value), "invalid_body"))
    assert json.loads(written)["error"]["details"] == {"error_code": "thread_unsupported_request"}
    assert json.loads(MESSAGES.passing(body, "m").body)["thread"] == thread
