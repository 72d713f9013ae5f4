"""OpenAI's three older wires at the door: what they refuse, pass through and cannot translate."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from runtime.contract.codec import Unsupported
from runtime.contract.messages import Request
from runtime.dialects.meter import PartialAnswer
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.pooling import EMBEDDINGS, RERANK
from runtime.dialects.seam import Dialect
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

ALL: Sequence[Dialect] = (CHAT, COMPLETIONS, EMBEDDINGS, RERANK)
NEEDED = {
    "messages": [{"role": "user", "content": "Hi"}],
    "prompt": "Hi",
    "input": "Hi",
    "query": "Hi",
    "documents": ["Hi"],
}


def body(**members: object) -> RawBody:
    return RawBody(json.dumps({"model": "auto"} | NEEDED | members).encode())


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"model": None}, "model"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"n": "2"}, "n"),
    ],
)
def test_members_of_another_type_are_refused(dialect: Dialect, members: dict[str, object], place: str) -> None:
    """With their name."""
    with pytest.raises(BadBody) as refused:
        dialect.check(body(**members))
    assert refused.value.place == place


@pytest.mark.parametrize(("dialect", "needed"), list(zip(ALL, ("messages", "prompt", "input", "query"), strict=True)))
def test_a_body_without_its_one_needed_member_is_refused(dialect: Dialect, needed: str) -> None:
    """Each wire has one."""
    dialect.check(body())
    with pytest.raises(BadBody) as refused:
        dialect.check(RawBody(b'{"model":"auto"}'))
    assert refused.value.place == needed


@pytest.mark.parametrize("messages", [[], "Hi", ["Hi"], [{"content": "Hi"}], [{"role": 1}]])
def test_a_chat_needs_messages_with_roles(messages: object) -> None:
    """At least one."""
    with pytest.raises(BadBody):
        CHAT.check(body(messages=messages))


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_bytes_pass_through_but_for_the_model_and_the_hints(dialect: Dialect) -> None:
    """Order and spelling of all else survive."""
    raw = b'{"n": 1.0e0, "model": "auto", "hearth": {}, "messages": [{"role":"user"}], "prompt": "a", "input": [1 , 2]}'
    sent = dialect.passing(RawBody(raw), "m").body
    assert sent == raw.replace(b'"auto"', b'"m"').replace(b'"hearth": {}, ', b"")


@pytest.mark.parametrize("dialect", (CHAT, COMPLETIONS), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"include_usage": True}, {"include_usage": True}),
        ({"include_usage": False, "x": 1}, {"include_usage": True, "x": 1}),
    ],
)
def test_usage_of_a_stream_is_always_asked_for(
    dialect: Dialect, given: dict[str, object], sent: dict[str, object]
) -> None:
    """Its chunk is shown to the client who wanted it."""
    passing = dialect.passing(body(stream=True, stream_options=given), "m")
    assert json.loads(passing.body)["stream_options"] == sent
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    assert passing.meter.feed(usage) == (usage if given.get("include_usage") else b"")
    assert passing.meter.usage is not None


def test_embeddings_never_stream() -> None:
    """Whatever the body says; and an answer needs no choices."""
    assert not EMBEDDINGS.streams(body(stream=True))
    meter = EMBEDDINGS.passing(body(), "m").meter
    answer = b'{"data":[{"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":3}}'
    meter.feed(answer)
    assert (meter.end(), meter.model, meter.done) == (answer, "e", True)


def test_rerank_counts_its_tokens() -> None:
    """As vLLM writes them; the scores go through untouched."""
    answer = b'{"id":"r","model":"e","usage":{"prompt_tokens":3,"total_tokens":3},"results":[{"index":0}]}'
    meter = RERANK.passing(body(), "m").meter
    meter.feed(answer)
    assert meter.end() == answer and meter.usage is not None and meter.usage.prompt == 3


@pytest.mark.parametrize("missing", ["query", "documents"])
def test_rerank_needs_a_query_and_documents(missing: str) -> None:
    """Named in the refusal."""
    members = {"model": "auto", "query": "a", "documents": ["b"]}
    del members[missing]
    with pytest.raises(BadBody, match=missing):
        RERANK.check(RawBody(json.dumps(members).encode()))


@pytest.mark.parametrize(
    ("prompt", "count"), [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2], [3]], 3), ([], 1)]
)
def test_a_completion_has_an_answer_for_each_prompt(prompt: object, count: int) -> None:
    """And `n` of them; the stream is finished when all are."""
    meter = COMPLETIONS.passing(body(stream=True, prompt=prompt, n=2), "m").meter
    ended = b'data: {"choices":[{"text":"x","finish_reason":"stop"}]}\n\n'
    for _ in range(2 * count - 1):
        meter.feed(ended)
    assert not meter.finished
    meter.feed(ended)
    assert meter.finished


@pytest.mark.parametrize("dialect", (COMPLETIONS, EMBEDDINGS), ids=lambda dialect: dialect.name)
def test_the_older_wires_cannot_be_translated_or_resumed(dialect: Dialect) -> None:
    """No other wire has them."""
    with pytest.raises(Unsupported):
        dialect.read_request(body())
    with pytest.raises(Unsupported):
        dialect.write_answer(Request("m", ()))
    assert dialect.continuation(body(), PartialAnswer("a", 1)) is None


@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)
def test_an_upstream_error_of_this_shape_is_kept(dialect: Dialect) -> None:
    """Any other becomes one, and so does the last event of a stream that broke off."""
    own, foreign = b'{"error":{"message":"no"}}', b'{"type":"error","error":{"message":"no"}}'
    assert dialect.error_body(ApiError(400, "x", body=own)) == own
    detail = {"error": {"message": "x", "type": "rate_limit_error", "param": None, "code": "c"}}
    for unusable in (foreign, b"", b"<html>", b"[" * 100_000):
        assert json.loads(dialect.error_body(ApiError(429, "x", "c", body=unusable))) == detail
    event = dialect.error_event(ApiError(429, "x", "c"))
    assert json.loads(event.removeprefix(b"data: ")) == detail
