"""Early confidence: the engine's first tokens are judged before the commit point, on every wire, streamed and whole."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from local_models.wire.codec import EngineCodec
from runtime.contract.reasons import Reason
from runtime.contract.targets import Capabilities
from runtime.settings import Escalation
from tests.fakes.box import Box, Exchanged, asked, text_of
from tests.fakes.sureness import BY_MEAN, SURE, UNSURE, logged, logged_text, sayings
from tests.fakes.upstream import (
    DONE,
    HANG,
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
)

LOOKING = Escalation(complexity=1, confidence=0.5, queue_depth=1000)
TOKENS = [f"t{n} " for n in range(20)]
PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]
CLOUD = "vendor/cloud-model"


def engine(*turns: Turn) -> FakeBackend:
    backend = engine_backend(turns)
    backend.codec = EngineCodec()
    return backend


def box(local: FakeBackend, *clouds: FakeBackend, escalation: Escalation = LOOKING, **more: Any) -> Box:
    return Box(local, clouds or (elsewhere(),), escalation, confidence=BY_MEAN, **more)


def elsewhere() -> FakeBackend:
    """A target that is asked for a stream on every wire, as one of another dialect is."""
    backend = cloud("cloud", Turn([ROLE, chunk("from the cloud"), chunk(finish="stop"), DONE]))
    backend.target = replace(backend.target, dialects=frozenset())
    return backend


def body(path: str, text: str = "Who was the first to climb it?", **members: Any) -> dict[str, Any]:
    """A request in the wire of its path."""
    if path == "/v1/responses":
        return {"model": "auto", "input": text, "store": False, **members}
    if path == "/v1/completions":
        return {"model": "auto", "prompt": text, **members}
    limit = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **limit, **members}


def upstream_body(backend: FakeBackend, call: int = 0) -> dict[str, Any]:
    sent: dict[str, Any] = backend.lanes[0].hop.bodies[call]
    return sent


def reason(seen: Exchanged) -> str:
    return seen.headers["x-hearth-reason"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_sure_answer_stays(path: str, stream: bool) -> None:
    """It is the engine's own, asked for as a stream with five alternatives, of which the client sees nothing."""
    local = engine(Turn(sayings(TOKENS, SURE)))
    seen = await asked(box(local).app(), path, body(path, stream=stream))
    assert (seen.status, seen.headers["x-hearth-target"], reason(seen)) == (200, "local/small", "default")
    sent = upstream_body(local)
    assert (sent["stream"], sent["logprobs"], sent["top_logprobs"]) == (True, True, 5)
    assert b"t0 " in seen.body and b"t19 " in seen.body
    assert b"top_logprobs" not in seen.body.replace(b'"top_logprobs":0', b"") and b"-0.1" not in seen.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_unsure_answer_leaves(path: str, stream: bool) -> None:
    """Not a byte of it reaches the client; the engine's stream is closed, both attempts stand in the record."""
    # The gate is never opened: the answer is given up in the middle of its stream.
    local = engine(Turn([logged("", 0.0, role="assistant"), *[logged(t, UNSURE) for t in TOKENS], HANG]))
    there = box(local)
    seen = await asked(there.app(), path, body(path, stream=stream))
    assert (seen.status, seen.headers["x-hearth-target"], reason(seen)) == (200, CLOUD, "confidence")
    assert seen.headers["x-hearth-attempts"] == "2" and "x-hearth-degraded" not in seen.headers
    assert b"from the cloud" in seen.body and b"t0 " not in seen.body
    assert local.lanes[0].hop.replies[0].closed_early
    row = there.records.rows[0]
    assert [(each.target, each.outcome) for each in row.attempts] == [("local/small", "unsure"), (CLOUD, "ok")]
    assert row.attempts[0].completion_tokens == 16 and row.attempts[0].prompt_tokens > 0
    assert row.reason is Reason.CONFIDENCE and "0.25 after 16 tokens, the threshold is 0.5" in row.words


async def test_completions_are_judged_too() -> None:
    """On the completions wire, with its own shape of log probabilities."""
    can = Capabilities(completions=True)
    for logprob, target in ((SURE, "local/small"), (UNSURE, CLOUD)):
        said = [logged_text(t, logprob) for t in TOKENS]
        local = engine(Turn([*said, logged_text("", 0.0, "stop"), DONE]))
        text = b'data: {"choices":[{"index":0,"text":"from the cloud","finish_reason":"stop"}]}\n\n'
        other = cloud("cloud", Turn([text, DONE]), capabilities=can)
        seen = await asked(box(local, other).app(), "/v1/completions", body("/v1/completions", stream=True))
        assert seen.headers["x-hearth-target"] == target
        assert upstream_body(local)["logprobs"] == 5 and b"top_logprobs" not in seen.body
        assert seen.body.count(b'"logprobs": null' if target == "local/small" else b"from") in (1, 21)


async def test_completions_that_hold_more_than_one_answer_are_not_judged() -> None:
    """Two prompts, an echo, or log probabilities of the client's own: the body passes as it is."""
    can = Capabilities(completions=True)
    for members in ({"echo": True}, {"logprobs": 1}, {"best_of": 2}, {"prompt": ["a", "b"]}):
        local = engine(Turn([logged_text("x", UNSURE, "stop"), logged_text("y", UNSURE, "stop"), DONE]))
        seen = await asked(
            box(local, cloud("cloud", capabilities=can)).app(),
            "/v1/completions",
            body("/v1/completions", stream=True) | members,
        )
        assert seen.headers["x-hearth-target"] == "local/small"
        assert upstream_body(local).get("logprobs") == members.get("logprobs")


async def test_a_client_sees_the_log_probabilities_it_asked_for() -> None:
    """Two alternatives to each token, though five were asked of the engine; eight where it asked for eight."""
    for shown in (0, 2, 8):
        local = engine(Turn(sayings(TOKENS, SURE)))
        wanted = body(PATHS[0], stream=True, logprobs=True, top_logprobs=shown)
        seen = await asked(box(local).app(), PATHS[0], wanted)
        assert upstream_body(local)["top_logprobs"] == max(5, shown)
        chunks = [json.loads(line[6:]) for line in seen.body.splitlines() if line.startswith(b"data: {")]
        given = [each["choices"][0]["logprobs"] for each in chunks if each["choices"]]
        entries = [logprobs["content"][0] for logprobs in given if logprobs]
        assert len(entries) == 20 and {len(each["top_logprobs"]) for each in entries} == {min(5, shown)}
        assert entries[0]["logprob"] == SURE


async def test_a_translated_client_sees_the_log_probabilities_it_asked_for() -> None:
    """On the responses wire, whole."""
    local = engine(Turn(sayings(TOKENS, SURE)))
    wanted = body("/v1/responses", include=["message.output_text.logprobs"], top_logprobs=2)
    seen = await asked(box(local).app(), "/v1/responses", wanted)
    logprobs = json.loads(seen.body)["output"][0]["content"][0]["logprobs"]
    assert len(logprobs) == 20 and {len(each["top_logprobs"]) for each in logprobs} == {2}


async def test_short_answers_are_judged_at_their_end() -> None:
    """Three tokens and a finish reason are a window."""
    for logprob, target in ((SURE, "local/small"), (UNSURE, CLOUD)):
        seen = await asked(box(engine(Turn(sayings(TOKENS[:3], logprob)))).app(), PATHS[0], body(PATHS[0], stream=True))
        assert seen.headers["x-hearth-target"] == target


async def test_the_window_is_judged_when_its_time_is_over() -> None:
    """Two tokens, then silence for longer than `confidence_wait_ms`: the two are judged, and the rest follows."""
    impatient = Escalation(complexity=1, confidence=0.5, confidence_wait_ms=20, queue_depth=1000)
    for logprob, target in ((SURE, "local/small"), (UNSURE, CLOUD)):
        gate = Gate()
        rest = [logged(t, UNSURE) for t in TOKENS]
        pieces: list[Piece] = [
            ROLE,
            logged("a ", logprob),
            logged("b ", logprob),
            gate,
            *rest,
            logged("", 0.0, "stop"),
            DONE,
        ]
        local = engine(Turn(pieces))
        app = box(local, escalation=impatient).app()

        async def opened(gate: Gate = gate, local: FakeBackend = local) -> None:
            while not local.lanes[0].hop.replies:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            gate.open()

        opening = asyncio.create_task(opened())
        seen = await asked(app, PATHS[0], body(PATHS[0], stream=True))
        opening.cancel()
        assert seen.headers["x-hearth-target"] == target
        assert text_of(seen.body) == ("a b " + "".join(TOKENS) if target == "local/small" else "from the cloud")


async def test_thinking_is_not_counted() -> None:
    """Sixty unsure tokens of thought, then a sure answer."""
    thought = [
        logged("", 0.0, reasoning_content="hm ").replace(
            b'"logprobs":null',
            b'"logprobs":{"content":[{"token":"hm","logprob":-9,"bytes":null,"top_logprobs":[]}]}',
        )
        for _ in range(60)
    ]
    local = engine(Turn([ROLE, *thought, *sayings(TOKENS, SURE)]))
    seen = await asked(box(local).app(), PATHS[0], body(PATHS[0], stream=True))
    assert seen.headers["x-hearth-target"] == "local/small" and seen.body.count(b"hm ") == 60
    assert b'"logprob":-9' not in seen.body


async def test_a_call_of_a_tool_ends_the_window() -> None:
    """Its arguments have no log probabilities to judge, and the client does not wait for them."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    local = engine(Turn([ROLE, logged("", 0.0, tool_calls=[call]), chunk(finish="tool_calls"), DONE]))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    seen = await asked(box(local).app(), PATHS[0], body(PATHS[0], stream=True, tools=tools))
    assert seen.headers["x-hearth-target"] == "local/small" and b"tool_calls" in seen.body


RESULTS: list[tuple[str, list[dict[str, Any]]]] = [
    (
        "/v1/chat/completions",
        [
            {"role": "user", "content": "look it up"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "assistant", "content": "It is 42."},
            {"role": "user", "content": "sure?"},
        ],
    ),
    (
        "/v1/messages",
        [
            {"role": "user", "content": "look it up"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}]},
        ],
    ),
    (
        "/v1/responses",
        [
            {"role": "user", "content": "look it up"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ],
    ),
]


@pytest.mark.parametrize(("path", "turns"), RESULTS)
async def test_a_conversation_with_a_tools_result_stays(path: str, turns: list[dict[str, Any]]) -> None:
    """The model that made the call gets its result, unsure or not."""
    local = engine(Turn(sayings(TOKENS, UNSURE)))
    members = {"input": turns} if path == "/v1/responses" else {"messages": turns}
    seen = await asked(box(local).app(), path, body(path, stream=True) | members)
    assert seen.headers["x-hearth-target"] == "local/small" and not upstream_body(local).get("logprobs")


def unjudged(**members: Any) -> dict[str, Any]:
    return {**body(PATHS[0], stream=True), **members}


NOT_LOOKED_AT: list[tuple[str, dict[str, Any], Escalation]] = [
    ("off", unjudged(), Escalation(complexity=1, confidence=0.0, queue_depth=1000)),
    ("pinned", unjudged(model="local"), LOOKING),
    ("two answers", unjudged(n=2), LOOKING),
    ("advise", unjudged(), Escalation(complexity=1, confidence=0.5, mode="advise", queue_depth=1000)),
    (
        "extraction",
        unjudged(
            messages=[
                {
                    "role": "user",
                    "content": "Classify the sentiment of this review as positive or negative: I loved it.",
                }
            ]
        ),
        LOOKING,
    ),
    ("nobody allowed", unjudged(hearth={"requires": ["hipaa"]}), LOOKING),
    ("nobody payable", unjudged(hearth={"max_cost_usd": 0.01}), LOOKING),
]


@pytest.mark.parametrize(("name", "request_body", "escalation"), NOT_LOOKED_AT, ids=[each[0] for each in NOT_LOOKED_AT])
async def test_what_is_not_looked_at_stays_as_it_was(
    name: str, request_body: dict[str, Any], escalation: Escalation
) -> None:
    """An unsure answer is given, and no log probability is asked for."""
    local = engine(Turn([*sayings(TOKENS, UNSURE)[:-2], logged("", 0.0, "stop"), DONE]))
    seen = await asked(box(local, escalation=escalation).app(), PATHS[0], request_body)
    assert seen.status == 200 and seen.headers["x-hearth-target"] == "local/small"
    assert not upstream_body(local).get("logprobs")


async def test_without_a_map_nothing_is_looked_at() -> None:
    """The setting alone has no force."""
    local = engine(Turn(sayings(TOKENS, UNSURE)))
    there = Box(local, (cloud("cloud", Turn(told("no"))),), LOOKING)
    seen = await asked(there.app(), PATHS[0], body(PATHS[0], stream=True))
    assert seen.headers["x-hearth-target"] == "local/small"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_unsure_answer_is_better_than_none(stream: bool) -> None:
    """Where every other candidate fails the engine is asked once more, unjudged and marked."""
    local = engine(Turn(sayings(TOKENS, UNSURE)))
    if not stream:
        answer = {
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "t0 "}, "finish_reason": "stop"}]
        }
        local = engine(Turn(sayings(TOKENS, UNSURE)), Turn([json.dumps(answer).encode()]))
    there = box(local, cloud("cloud", error(401)))
    seen = await asked(there.app(), PATHS[0], body(PATHS[0], stream=stream))
    assert (seen.status, seen.headers["x-hearth-target"], reason(seen)) == (200, "local/small", "fallback")
    assert seen.headers["x-hearth-degraded"] == "no_target" and b"t0 " in seen.body
    outcomes = [each.outcome for each in there.records.rows[0].attempts]
    assert outcomes == ["unsure", "denied", "ok"] and there.records.rows[0].degraded == ("no_target",)


async def test_the_second_candidate_answers_for_the_same_reason() -> None:
    """The request left for its confidence, whoever took it in the end."""
    local = engine(Turn(sayings(TOKENS, UNSURE)))
    there = box(local, cloud("first", error(401)), cloud("second", Turn(told("fine"))))
    seen = await asked(there.app(), PATHS[0], body(PATHS[0], stream=True))
    assert (seen.headers["x-hearth-target"], reason(seen)) == ("vendor/second-model", "confidence")


async def test_a_whole_delivery_is_judged_and_held() -> None:
    """The client's stream comes at once, at the end."""
    local = engine(Turn(sayings(TOKENS, SURE)))
    wanted = body(PATHS[0], stream=True, hearth={"delivery": "whole"})
    seen = await asked(box(local).app(), PATHS[0], wanted)
    assert seen.headers["x-hearth-target"] == "local/small" and text_of(seen.body) == "".join(TOKENS)
    assert upstream_body(local)["logprobs"] is True


async def test_an_engine_without_log_probabilities_answers() -> None:
    """An attached server that ignores the member: there is nothing to judge."""
    local = engine(Turn(told("plain")))
    seen = await asked(box(local).app(), PATHS[0], body(PATHS[0], stream=True))
    assert seen.headers["x-hearth-target"] == "local/small" and text_of(seen.body) == "plain"
    blind = engine(Turn(told("plain")))
    blind.target = replace(blind.target, capabilities=replace(blind.target.capabilities, logprobs=False))
    await asked(box(blind).app(), PATHS[0], body(PATHS[0], stream=True))
    assert "logprobs" not in upstream_body(blind)


async def test_a_cut_before_the_judgement_is_rescued() -> None:
    """The next candidate answers as a fallback: the engine failed, its confidence was not in question."""
    local = engine(Turn([ROLE, *[logged(t, SURE) for t in TOKENS[:5]]]))
    seen = await asked(box(local).app(), PATHS[0], body(PATHS[0], stream=True))
    assert (seen.headers["x-hearth-target"], reason(seen)) == (CLOUD, "fallback")
