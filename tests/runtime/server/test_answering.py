"""What a client sees: whole answers, streams, fallbacks, errors, and never a cut answer shown as a whole one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from runtime.contract.targets import Target, Timeouts
from runtime.settings import Escalation, Retries
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import (
    CUT,
    DONE,
    HANG,
    RESET,
    ROLE,
    FakeBackend,
    Gate,
    Piece,
    Turn,
    chunk,
    cloud,
    engine_backend,
    error,
    told,
    whole,
)

Opener = Callable[[Setup], AbstractAsyncContextManager[Door]]
ALWAYS = Escalation(queue_depth=0)  # everything leaves


@pytest.fixture
def door(tmp_path: Path) -> Opener:
    return lambda setup: opened(setup, tmp_path)


def text_of(events: str) -> str:
    """The text of an SSE body of chat chunks."""
    chunks = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


async def settled(door: Door) -> dict[str, Any]:
    """The one decision on record."""
    rows = (await door.client.get("/hearth/decisions")).json()["data"]
    assert len(rows) == 1
    row: dict[str, Any] = rows[0]
    return row


async def test_a_whole_answer_passes_byte_for_byte(door: Opener) -> None:
    """The upstream's own bytes reach the client, with the decision in the headers."""
    local = engine_backend((Turn([whole("Paris")]),))
    async with door(Setup(local)) as d:
        answer = await d.chat()
        assert answer.content == whole("Paris")
        assert answer.headers["x-hearth-target"] == "local/small" and answer.headers["x-hearth-reason"] == "default"
        assert answer.headers["x-hearth-attempts"] == "1" and answer.headers["x-hearth-decision"].startswith("dec_")
        row = await settled(d)
        assert row["prompt_tokens"] == 7 and row["completion_tokens"] == 2 and row["status"] == 200


async def test_only_what_must_change_of_a_body_changes(door: Opener) -> None:
    """Model and hints are spliced; order, spacing, numbers and unknown members stay as written."""
    local = engine_backend((Turn([whole("x")]),))
    raw = (
        b'{ "z":1.50, "model" : "local","hearth":{"priority":"batch"},"messages":[{"role":"user","content":"\\u00e9"}]}'
    )
    async with door(Setup(local)) as d:
        await d.client.post("/v1/chat/completions", content=raw)
    sent = local.lanes[0].hop.calls[0].body
    assert sent == b'{ "z":1.50, "model" : "small-id","messages":[{"role":"user","content":"\\u00e9"}]}'


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_in_streams_is_metered_always_and_shown_when_asked(door: Opener, asked: bool) -> None:
    """Upstream always reports usage; the client sees the usage chunk only if it asked for it."""
    local = engine_backend((Turn(told("Hello")),))
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asked else {}
    async with door(Setup(local)) as d:
        answer = await d.chat(stream=True, **options)
        assert text_of(answer.text) == "Hello" and answer.text.endswith("data: [DONE]\n\n")
        assert ('"usage"' in answer.text) is asked
        assert (await settled(d))["prompt_tokens"] == 7
    assert local.lanes[0].hop.bodies[0]["stream_options"] == {"include_usage": True}


async def test_the_openai_sdk_reads_a_stream(door: Opener) -> None:
    """The vendor's own client parses what we send."""
    async with door(Setup(engine_backend((Turn(told("Hello there")),)))) as d:
        client = openai.AsyncOpenAI(base_url=f"{d.url}/v1", api_key="none", max_retries=0)
        stream = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        parts = [part async for part in stream]
        await client.close()
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == "Hello there"


FAILING_BEFORE_CONTENT: dict[str, list[Turn]] = {
    "reset before the answer, twice": [Turn(refuse=RESET)],
    "server error, again and again": [error(500)],
    "busy": [error(503, code="overloaded")],
    "a long Retry-After": [error(429, retry_after="30")],
    "spent quota": [error(429, code="insufficient_quota")],
    "silence": [Turn(wait=HANG)],
    "a role, then silence": [Turn([ROLE, HANG])],
    "cut before the first content": [Turn([ROLE, CUT])],
    "an error event": [Turn([b'data: {"error":{"message":"engine died","code":500}}\n\n', DONE])],
    "done without a finish reason": [Turn([ROLE, DONE])],
    "a malformed event": [Turn([b"data: {nonsense\n\n"])],
    "our key is refused": [error(401)],
    "the model is unknown there": [error(404)],
    "context too long": [error(400, code="context_length_exceeded")],
}


@pytest.mark.parametrize(
    ("case", "stream"),
    [(case, stream) for case in FAILING_BEFORE_CONTENT for stream in (True, False) if stream or "role" not in case],
)
async def test_a_failure_before_the_first_content_is_not_seen(door: Opener, case: str, stream: bool) -> None:
    """The next candidate answers, marked as a fallback, and every attempt is on record."""
    first = cloud("first", *FAILING_BEFORE_CONTENT[case], timeouts=Timeouts(0.2, 0.2, 0.2, 0.3))
    good = Turn(told("fine")) if stream else Turn([whole("fine")])
    second = cloud("second", good)
    async with door(Setup(engine_backend((good,)), [first, second], ALWAYS)) as d:
        answer = await d.chat(stream=stream)
        assert answer.status_code == 200
        text = text_of(answer.text) if stream else answer.json()["choices"][0]["message"]["content"]
        assert text == "fine"
        assert answer.headers["x-hearth-target"] == "vendor/second-model"
        assert answer.headers["x-hearth-reason"] == "fallback"
        row = await settled(d)
        assert row["attempts"][-1]["outcome"] == "ok" and row["attempts"][0]["outcome"] != "ok"
        assert int(answer.headers["x-hearth-attempts"]) == len(row["attempts"])


CUTS: dict[str, list[Any]] = {
    "cut": [ROLE, chunk("Hel"), CUT],
    "ends without a finish reason": [ROLE, chunk("Hel")],
    "done without a finish reason": [ROLE, chunk("Hel"), DONE],
    "an error event, then done": [ROLE, chunk("Hel"), b'data: {"error":{"message":"dead","code":500}}\n\n', DONE],
    "aborted": [ROLE, chunk("Hel"), chunk(finish="abort"), DONE],
    "malformed": [ROLE, chunk("Hel"), b"data: {broken\n\n", DONE],
    "stalls": [ROLE, chunk("Hel"), HANG],
}


@pytest.mark.parametrize("case", CUTS)
async def test_a_cut_after_content_is_never_shown_as_a_whole_answer(door: Opener, case: str) -> None:
    """What came stays, an error event follows, no closing mark, and no other model goes on."""
    second = cloud("second", Turn(told("never")))
    async with door(Setup(engine_backend((Turn(CUTS[case]),)), [second])) as d:
        answer = await d.chat(stream=True)
        assert text_of(answer.text) == "Hel" and "[DONE]" not in answer.text
        last = json.loads(answer.text.strip().splitlines()[-1].removeprefix("data: "))
        assert "broke off" in last["error"]["message"]
        assert second.lanes[0].hop.calls == []
        assert (await settled(d))["status"] == 502


@pytest.mark.parametrize("case", CUTS)
async def test_delivery_whole_rescues_every_cut(door: Opener, case: str) -> None:
    """Held back until complete, the answer of the next candidate is given in its place, once."""
    second = cloud("second", Turn(told("fine")))
    async with door(Setup(engine_backend((Turn(CUTS[case]),)), [second])) as d:
        answer = await d.chat(stream=True, hearth={"delivery": "whole"})
        assert text_of(answer.text) == "fine" and answer.text.endswith("data: [DONE]\n\n")


async def test_a_finish_reason_without_the_closing_mark_is_a_whole_answer(door: Opener) -> None:
    """The answer ends after `idle` with its usage and the mark it lacked."""
    pieces: list[Piece] = [ROLE, chunk("Hi"), chunk(finish="stop"), HANG]
    async with door(Setup(engine_backend((Turn(pieces),), timeouts=Timeouts(1, 5, 0.5, 30)))) as d:
        answer = await asyncio.wait_for(d.chat(stream=True), 5)
        assert text_of(answer.text) == "Hi" and answer.text.endswith("data: [DONE]\n\n")
        assert (await settled(d))["status"] == 200


async def test_a_short_retry_after_is_waited_out_on_the_same_target(door: Opener) -> None:
    """Two seconds are waited, not given to somebody else."""
    first = cloud("first", error(429, retry_after="2"), Turn([whole("fine")]))
    second = cloud("second", Turn([whole("other")]))
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [first, second], ALWAYS)) as d:
        answer = await d.chat()
        assert answer.headers["x-hearth-target"] == "vendor/first-model"
        assert 2.0 <= d.slept[0] <= 2.5


async def test_a_longer_retry_after_is_waited_out_where_nobody_else_is(door: Opener) -> None:
    """Pinned, there is no next candidate."""
    first = cloud("first", error(429, retry_after="4"), Turn([whole("fine")]))
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [first])) as d:
        answer = await d.chat(model="first")
        assert answer.status_code == 200 and 4.0 <= d.slept[0] <= 4.5


async def test_a_callers_own_fault_comes_straight_back(door: Opener) -> None:
    """The provider's words, its status, no second try and no other candidate."""
    first = cloud("first", error(422, "top_k must be positive", "bad_top_k"))
    second = cloud("second", Turn([whole("other")]))
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [first, second], ALWAYS)) as d:
        answer = await d.chat()
        assert answer.status_code == 422 and answer.json()["error"]["message"] == "top_k must be positive"
        assert len(first.lanes[0].hop.calls) == 1 and second.lanes[0].hop.calls == []


async def test_when_every_candidate_fails_the_error_names_each(door: Opener) -> None:
    """502 with every attempt in words."""
    first, second = cloud("first", error(500, "one")), cloud("second", error(401, "two"))
    local = engine_backend((error(500, "three"),))
    async with door(Setup(local, [first, second], ALWAYS)) as d:
        answer = await d.chat()
        message = answer.json()["error"]["message"]
        assert answer.status_code == 502 and all(word in message for word in ("one", "two", "three", "first-model"))


async def test_the_deadline_is_a_504(door: Opener) -> None:
    """Nobody answers in time: a clear, bounded error."""
    local = engine_backend((Turn(wait=HANG),), timeouts=Timeouts(1, 9, 9, 9))
    async with door(Setup(local, total_s=0.3)) as d:
        answer = await d.chat()
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "deadline_exceeded"


async def test_a_busy_engine_and_nowhere_to_go_is_a_429_with_an_estimate(door: Opener) -> None:
    """The full queue's 503 becomes a 429 that says when to come back."""
    async with door(Setup(engine_backend((Turn([b'{"error":{"message":"queue full","code":429}}'], 429),)))) as d:
        answer = await d.chat()
        assert answer.status_code == 429 and float(answer.headers["retry-after"]) >= 1


async def test_a_starting_engine_and_nowhere_to_go_is_a_503_with_an_estimate(door: Opener) -> None:
    """The wait is what the engine's start is estimated to take, and readiness says the same."""
    local = engine_backend((Turn([whole("x")]),))
    local.lanes[0].ready = False
    async with door(Setup(local)) as d:
        d.engine.ready_at = d.desk.clock() + 25
        answer = await d.chat()
        assert answer.status_code == 503 and 20 <= float(answer.headers["retry-after"]) <= 26
        assert (await d.client.get("/health/ready")).status_code == 503
        assert (await d.client.get("/health/live")).status_code == 200


async def test_an_engine_that_has_just_died_is_a_503_with_an_estimate(door: Opener) -> None:
    """Before anybody has noticed: the connection is refused, and a client still learns when to come again."""
    async with door(Setup(engine_backend((Turn(refuse=RESET),)))) as d:
        answer = await d.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_not_ready")
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_dead_engine_is_bridged_by_the_cloud(door: Opener) -> None:
    """With a target configured the answers keep coming, and readiness stays 200."""
    local = engine_backend((Turn([whole("x")]),))
    local.lanes[0].ready = False
    async with door(Setup(local, [cloud("first", Turn([whole("cloud")]))])) as d:
        answer = await d.chat()
        assert answer.headers["x-hearth-reason"] == "engine_down" and "cloud" in answer.text
        assert (await d.client.get("/health/ready")).status_code == 200


async def test_an_answer_says_why_where_it_is_asked_to(door: Opener) -> None:
    """In the words of the record, by the body or a header; unasked it does not, and no target hears of the wish."""
    first = cloud("größer", error(500), error(500), Turn(told("fine")), Turn([whole("fine")]))
    second = cloud("second", Turn([whole("fine")]))
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [first, second], ALWAYS)) as d:
        fallback = await d.chat(hearth={"explain": True})
        asked = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        direct = await d.client.post("/v1/chat/completions", json=asked, headers={"x-hearth-explain": "yes"})
        pinned = await d.chat(model="größer", hearth={"explain": True})
        unasked = await d.chat()
        rows = (await d.client.get("/hearth/decisions")).json()["data"]
        words = {row["id"]: row["words"] for row in rows}
    for answer in (fallback, direct, pinned):
        said = answer.headers["x-hearth-words"]
        assert said == words[answer.headers["x-hearth-decision"]].replace("ö", "?").replace("ß", "?")
    assert fallback.headers["x-hearth-words"].startswith("a fallback answered; first choice: ")
    assert direct.headers["x-hearth-reason"] == "queue_depth" and "0" in direct.headers["x-hearth-words"]
    assert "gr??er" in pinned.headers["x-hearth-words"]
    assert "x-hearth-words" not in unasked.headers
    assert not any(b"explain" in call.body for each in (first, second) for call in each.lanes[0].hop.calls)


async def test_another_replica_takes_over_what_one_failed_to_begin(door: Opener) -> None:
    """Replicas are one target: even a pinned request moves between them."""
    local = engine_backend((Turn(refuse=RESET),), (Turn(told("fine")),))
    async with door(Setup(local)) as d:
        answer = await d.chat(model="local", stream=True)
        assert text_of(answer.text) == "fine" and answer.headers["x-hearth-target"] == "local/small"


async def test_a_pinned_request_never_changes_target(door: Opener) -> None:
    """It is retried and then told, with another target idle beside it."""
    first, second = cloud("first", error(500)), cloud("second", Turn([whole("other")]))
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [first, second])) as d:
        answer = await d.chat(model="vendor/first-model")
        assert answer.status_code == 500 and len(first.lanes[0].hop.calls) == 2
        assert second.lanes[0].hop.calls == []


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_frees_the_upstream(door: Opener, stream: bool) -> None:
    """Within a second the upstream's connection is closed and the request is on record as abandoned."""
    turn = Turn([ROLE, chunk("Hel"), HANG]) if stream else Turn(wait=HANG)
    local = engine_backend((turn,), timeouts=Timeouts(30, 30, 30, 30))
    async with door(Setup(local, total_s=30)) as d:
        with contextlib.suppress(TimeoutError, httpx.ReadTimeout):
            async with asyncio.timeout(0.5):
                await d.chat(stream=stream)
        hop = local.lanes[0].hop
        async with asyncio.timeout(1):
            while not (hop.cancelled or (hop.replies and hop.replies[0].closed_early)):
                await asyncio.sleep(0.01)
            while not d.desk.latest:
                await asyncio.sleep(0.01)
        assert d.desk.latest[0].status == 499
        ledger = d.desk.fleet.ledger(local.lanes[0])
        assert (ledger.waiting, ledger.running) == (0, 0)


async def test_a_slow_reader_costs_the_model_nothing(door: Opener) -> None:
    """No time-out runs while the client is the one who is slow."""
    long = [ROLE, *(chunk("x" * 50_000) for _ in range(60)), chunk(finish="stop"), DONE]
    async with door(Setup(engine_backend((Turn(long),)))) as d:
        body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with d.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            await asyncio.sleep(0.6)  # three times the idle limit: the slow reader is the thing under test
            text = (await answer.aread()).decode()
    assert text.endswith("data: [DONE]\n\n") and len(text_of(text)) == 3_000_000


async def test_a_breaker_opens_is_seen_and_closes(door: Opener) -> None:
    """After five failures in a row the target is left alone and readiness still holds by the engine."""
    first = cloud("first", *[error(500)] * 6, Turn([whole("fine")]))
    async with door(Setup(engine_backend((Turn([whole("local")]),)), [first], ALWAYS, Retries(attempts=1))) as d:
        for _ in range(5):
            assert (await d.chat()).headers["x-hearth-target"] == "local/small"
        assert d.desk.fleet.breakers() == {"first": "open"}
        calls = len(first.lanes[0].hop.calls)
        assert (await d.chat()).headers["x-hearth-target"] == "local/small"
        assert len(first.lanes[0].hop.calls) == calls


async def test_shutting_down_ends_streams_with_an_error(door: Opener) -> None:
    """What is cut by the drain's deadline says so, and is no whole answer."""
    local = engine_backend((Turn([ROLE, chunk("Hel"), HANG]),), timeouts=Timeouts(30, 30, 30, 30))
    async with door(Setup(local, total_s=30)) as d:
        asking = asyncio.create_task(d.chat(stream=True))
        while not local.lanes[0].hop.replies:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        for task in list(d.app.tasks):
            task.cancel()
        answer = await asking
    assert text_of(answer.text) == "Hel" and "shut down" in answer.text and "[DONE]" not in answer.text


@pytest.fixture
async def plain(door: Opener) -> AsyncIterator[Door]:
    async with door(Setup(engine_backend((Turn([whole("x")]),)), keys=("secret",), max_body=1000)) as d:
        yield d


KEY = {"authorization": "Bearer secret"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", None),
        (b"[1]", "byte 0"),
        (b'{"model":"auto"}', "messages"),
        (b'{"messages":[]}', "messages"),
        (b'{"messages":[{"role":"user"}],"messages":[{"role":"user"}]}', "messages"),
        (b'{"messages":[1]}', "messages[0]"),
        (b'{"messages":[{"role":"user","content":"x"}],"hearth":{"requiers":["hipaa"]}}', "hearth.requiers"),
        (b'{"messages":[{"role":"user","content":"x"}],"stream":"yes"}', "stream"),
    ],
)
async def test_a_bad_body_is_a_400_with_its_place(plain: Door, body: bytes, place: str | None) -> None:
    """In the caller's dialect, with the member or byte at fault."""
    answer = await plain.client.post("/v1/chat/completions", content=body, headers=KEY)
    detail = answer.json()["error"]
    assert answer.status_code == 400 and detail["type"] == "invalid_request_error"
    assert place is None or detail["param"] == place


async def test_who_comes_in(plain: Door) -> None:
    """Bearer and x-api-key open the door; nothing and nonsense do not; health needs no key."""
    path = "/v1/models"
    assert (await plain.client.get(path)).status_code == 401
    assert (await plain.client.get(path, headers={"x-api-key": "wrong"})).status_code == 401
    assert (await plain.client.get(path, headers={"x-api-key": "secret"})).status_code == 200
    assert (await plain.client.get(path, headers=KEY)).status_code == 200
    assert (await plain.client.get("/health/live")).status_code == 200
    assert (await plain.client.get("/metrics")).status_code == 401


async def test_limits_and_unknown_places(plain: Door) -> None:
    """Too large a body is 413, an unknown model 404 with its code, an unknown path 404, a wrong method 405."""
    big = {"model": "auto", "messages": [{"role": "user", "content": "x" * 2000}]}
    assert (await plain.client.post("/v1/chat/completions", json=big, headers=KEY)).status_code == 413
    unknown = {"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]}
    answer = await plain.client.post("/v1/chat/completions", json=unknown, headers=KEY)
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "model_not_found"
    assert (await plain.client.get("/v1/nothing", headers=KEY)).status_code == 404
    assert (await plain.client.get("/v1/chat/completions", headers=KEY)).status_code == 405


async def test_pages_of_other_origins_are_refused(plain: Door, door: Opener) -> None:
    """Same-origin by default; an origin of the settings gets its headers."""
    answer = await plain.client.get("/health/live", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert (await plain.client.get("/health/live", headers={"origin": plain.url})).status_code == 200
    local = engine_backend((Turn([whole("x")]),))
    async with door(Setup(local, origins=("https://app.example",))) as d:
        answer = await d.client.get("/health/live", headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        preflight = await d.client.options("/v1/chat/completions", headers={"origin": "https://app.example"})
        assert preflight.status_code == 204


async def test_requires_never_leaves_the_box(door: Opener) -> None:
    """A target without the certificate is no candidate, pinned or not."""
    first = cloud("first", Turn([whole("cloud")]))
    certified = cloud("second", Turn([whole("safe")]), certified=frozenset({"hipaa"}))
    async with door(Setup(engine_backend((Turn([whole("local")]),)), [first, certified], ALWAYS)) as d:
        answer = await d.chat(hearth={"requires": ["hipaa"]})
        assert answer.headers["x-hearth-target"] == "vendor/second-model" and first.lanes[0].hop.calls == []
        pinned = await d.chat(model="first", hearth={"requires": ["hipaa"]})
        assert pinned.status_code == 403 and pinned.json()["error"]["code"] == "no_compliant_target"


async def test_explain_says_what_would_happen_and_sends_nothing(door: Opener) -> None:
    """The plan of a body, with every candidate's reason in words."""
    first = cloud("first", Turn([whole("cloud")]))
    local = engine_backend((Turn([whole("local")]),))
    async with door(Setup(local, [first], Escalation(context_tokens=10))) as d:
        body = {"model": "auto", "messages": [{"role": "user", "content": "word " * 100}]}
        plan = (await d.client.post("/hearth/explain", json=body)).json()
    assert plan["reason"] == "context" and plan["target"] == "vendor/first-model" and "threshold is 10" in plan["words"]
    assert first.lanes[0].hop.calls == [] and local.lanes[0].hop.calls == []


def resumable(*lanes: tuple[Turn, ...]) -> FakeBackend:
    """An engine that goes on with partial answers."""
    backend = engine_backend(*lanes)
    backend.target = replace(backend.target, capabilities=replace(backend.target.capabilities, continues=True))
    return backend


async def test_a_cut_answer_is_gone_on_with_by_another_replica(door: Opener) -> None:
    """The client sees one whole answer, no text twice; the second replica was told what had been said."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n'
    first = (Turn([ROLE, chunk("Hel"), chunk("lo "), CUT]),)
    second = (Turn([ROLE, chunk("there"), chunk(finish="stop"), usage, DONE]),)
    local = resumable(first, second)
    async with door(Setup(local, [cloud("first", Turn(told("never")))])) as d:
        answer = await d.chat(stream=True, max_tokens=10, stream_options={"include_usage": True})
        assert text_of(answer.text) == "Hello there" and answer.text.endswith("data: [DONE]\n\n")
        assert answer.text.count('"role"') == 1
        asked = local.lanes[1].hop.bodies[0]
        assert asked["messages"][-1] == {"role": "assistant", "content": "Hello "}
        assert asked["continue_final_message"] is True and asked["add_generation_prompt"] is False
        assert asked["max_tokens"] == 8
        row = await settled(d)
        assert "resumed" in row["degraded"] and row["status"] == 200
        cut, resumed = row["attempts"]
        assert (cut["estimated"], cut["completion_tokens"]) == (True, 2)
        assert (resumed["prompt_tokens"], resumed["completion_tokens"]) == (9, 1)
        assert row["completion_tokens"] == 3 and row["prompt_tokens"] == cut["prompt_tokens"] + 9
        assert '"completion_tokens":3' in answer.text


async def test_a_cut_answer_waits_for_the_engine_to_come_back(door: Opener) -> None:
    """With one replica it is the restarted engine that goes on; until then the connection is kept alive."""
    gate = Gate()
    local = resumable((Turn([ROLE, chunk("Hel"), gate, CUT]), Turn([chunk("lo"), chunk(finish="stop"), DONE])))
    async with door(Setup(local, total_s=20)) as d:
        lane, looked = local.lanes[0], 0
        real = d.desk.fleet.coming_back

        def coming_back(target: Target) -> bool:
            nonlocal looked
            looked += 1
            lane.ready = looked > 2
            return real(target)

        d.desk.fleet.coming_back = coming_back  # type: ignore[method-assign]
        asking = asyncio.create_task(d.chat(stream=True))
        while not lane.hop.replies:
            await asyncio.sleep(0.001)
        lane.ready = False
        gate.open()
        answer = await asking
        assert text_of(answer.text) == "Hello" and ": the model is coming back" in answer.text
        assert (await settled(d))["status"] == 200


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("more", [{"n": 2}, {"tools": [TOOL]}, {"response_format": {"type": "json_object"}}])
async def test_what_nobody_can_go_on_with_ends_with_an_error(door: Opener, more: dict[str, Any]) -> None:
    """Several answers, tools, a schema: the cut is told."""
    local = resumable((Turn([ROLE, chunk("Hel"), CUT]),), (Turn(told("never")),))
    async with door(Setup(local)) as d:
        answer = await d.chat(stream=True, **more)
        assert "broke off" in answer.text and "[DONE]" not in answer.text


async def test_a_hedge_answers_and_the_loser_is_cancelled(door: Opener) -> None:
    """After the bounded wait the next candidate is asked too; the first one's call is closed."""
    slow = cloud("first", Turn(wait=HANG), timeouts=Timeouts(5, 5, 5, 5))
    quick = cloud("second", Turn(told("fine")))
    retries = Retries(hedge_after=0.1)
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [slow, quick], ALWAYS, retries)) as d:
        answer = await d.chat(stream=True)
        assert text_of(answer.text) == "fine" and answer.headers["x-hearth-target"] == "vendor/second-model"
        assert slow.lanes[0].hop.cancelled == 1
        assert {row["outcome"] for row in (await settled(d))["attempts"]} == {"ok", "cancelled"}
        assert d.desk.fleet.in_flight == {}


async def test_no_hedge_where_the_first_is_quick_or_pinned(door: Opener) -> None:
    """A quick first candidate is never doubled; a pinned one never."""
    quick, other = cloud("first", Turn(told("fine"))), cloud("second", Turn(told("never")))
    slow = cloud("third", Turn(wait=HANG))
    retries = Retries(hedge_after=0.1)
    async with door(Setup(engine_backend((Turn([whole("x")]),)), [quick, other, slow], ALWAYS, retries)) as d:
        assert text_of((await d.chat(stream=True)).text) == "fine"
        assert (await d.chat(model="third", stream=True)).status_code == 502
        assert other.lanes[0].hop.calls == []


async def test_a_fallbacks_refusal_never_hides_the_first_failure(door: Opener) -> None:
    """The caller is told of every attempt, not of the fallback's own 400."""
    first, second = cloud("first", error(500, "broken")), cloud("second", error(400, "no prefill here"))
    local = engine_backend((error(500, "three"),))
    async with door(Setup(local, [first, second], ALWAYS)) as d:
        answer = await d.chat()
        assert answer.status_code == 502 and "broken" in answer.text and "no prefill" in answer.text
