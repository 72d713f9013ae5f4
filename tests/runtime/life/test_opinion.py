"""`classifier = "engine"`: near the threshold the local model is asked for one token, and its opinion decides."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import msgspec
import pytest

from runtime.contract.reasons import Reason
from runtime.life.kept import Kept
from runtime.life.opinion import BEGINNING, END, question, read_opinion
from runtime.life.planning import IdleFleet, explain
from runtime.quality.replay import replayed
from runtime.record.decisions import CANCELLED, Decision
from runtime.routing.facts.scores import score_of
from runtime.routing.facts.tasks import task_of
from runtime.routing.plan.opinion import BAND, in_band
from runtime.settings import Escalation
from tests.fakes.box import Box, MemorySink
from tests.fakes.upstream import HANG, Turn, cloud, engine_backend, error, whole

PROMPT = "Which of the following statements about the second law of thermodynamics is true if the system is closed?"
SCORE = score_of(PROMPT, "chat")
ANSWER, AWAY = Turn([whole("local")]), Turn([whole("cloud")])


def said(hard: float, *others: tuple[str, float]) -> Turn:
    """The engine's answer of one token, which gives "hard" so much of what the labels have."""
    tokens = [("hard", math.log(hard)), ("easy", math.log(1 - hard)), *others]
    top = [{"token": token, "logprob": logprob} for token, logprob in tokens]
    entry = {**top[0 if hard >= 0.5 else 1], "top_logprobs": top}
    choice = {
        "index": 0,
        "message": {"content": entry["token"]},
        "finish_reason": "length",
        "logprobs": {"content": [entry]},
    }
    usage = {"prompt_tokens": 90, "completion_tokens": 1}
    return Turn([json.dumps({"choices": [choice], "usage": usage}).encode()])


def box(*turns: Turn, threshold: float = SCORE + 0.05, **settings: Any) -> Box:
    """The engine plays the turns, one cloud answers "cloud". The score alone keeps PROMPT on the box."""
    settings = {"classifier": "engine", "complexity": threshold, **settings}
    return Box(engine_backend(turns), [cloud("first", AWAY)], Escalation(**settings))


async def decided(box: Box, text: str = PROMPT, **members: Any) -> tuple[Decision, str]:
    settled, sink = await box.live(box.ask(text, **members))
    assert settled.error is None
    return settled.decision, sink.text


@pytest.mark.parametrize("side", [0.05, -0.05])
@pytest.mark.parametrize(("hard", "where"), [(0.8, "cloud"), (0.2, "local")])
async def test_the_opinion_decides_near_the_threshold(side: float, hard: float, where: str) -> None:
    """On either side of it, whatever the score says; the reason has both numbers."""
    of = box(said(hard), ANSWER, threshold=SCORE + side)
    decision, text = await decided(of)
    assert text == where and decision.reason == (Reason.COMPLEXITY if where == "cloud" else Reason.DEFAULT)
    assert f"{hard:.2f}" in decision.words and decision.kept.opinion == pytest.approx(hard, abs=1e-4)
    assert len(msgspec.json.encode(decision.kept)) <= 1500


async def test_one_token_of_given_labels_is_asked_for() -> None:
    """Of a bounded text, with no thinking; the answer's own request is untouched."""
    text = f"{PROMPT} {'word ' * 800}"
    of = box(said(0.2), ANSWER, threshold=score_of(text, task_of([text])))
    await decided(of, text)
    asked, answered = of.local.lanes[0].hop.bodies
    assert asked["max_tokens"] == 1 and asked["structured_outputs"] == {"choice": ["easy", "hard"]}
    assert asked["chat_template_kwargs"] == {"enable_thinking": False} and asked["temperature"] == 0
    assert BEGINNING + END < len(asked["messages"][0]["content"]) < BEGINNING + END + 500
    assert "structured_outputs" not in answered and answered["model"] == "small-id"


async def test_the_exchange_is_on_record_beside_the_attempts() -> None:
    """Its tokens are in no sum, and it is no attempt at an answer."""
    decision, _ = await decided(box(said(0.2), ANSWER))
    assert decision.judged is not None and (decision.judged.target, decision.judged.prompt_tokens) == (
        "local/small",
        90,
    )
    assert len(decision.attempts) == 1 and decision.prompt_tokens == 7


@pytest.mark.parametrize(
    ("settings", "members"),
    [
        ({"classifier": "off"}, {}),
        ({"complexity": 1.0}, {}),
        ({"complexity": SCORE + BAND + 0.01}, {}),
        ({"complexity": max(0.0, SCORE - BAND - 0.01)}, {}),
        ({"mode": "off"}, {}),
        ({"context_tokens": 1}, {}),
        ({}, {"model": "local"}),
        ({}, {"hearth": {"priority": "batch"}}),
        ({}, {"hearth": {"requires": ["hipaa"]}}),
        ({}, {"structured_outputs": {"choice": ["a", "b"]}}),
    ],
)
async def test_nobody_is_asked_where_the_opinion_cannot_decide(settings: Any, members: Any) -> None:
    """Off, far from the threshold, decided before the score, an extraction, or nowhere else to go."""
    of = box(ANSWER, **settings)
    decision, _ = await decided(of, **members)
    assert decision.judged is None and decision.kept.opinion is None and sum(of.calls) == 1


async def test_a_busy_engine_is_not_asked() -> None:
    """The score alone decides, and the prompt stays or leaves by it and by the load."""
    of = box(ANSWER, queue_depth=0)
    decision, text = await decided(of)
    assert (text, decision.reason, decision.judged) == ("cloud", Reason.QUEUE_DEPTH, None) and of.calls == [0, 1]


@pytest.mark.parametrize("threshold", [SCORE + 0.05, SCORE - 0.05])
@pytest.mark.parametrize(
    "turn",
    [
        error(500, "no"),
        error(429, "busy", retry_after="1"),
        Turn([b"{}"]),
        Turn([b"\xff"]),
        Turn([whole("hard")]),
        Turn([HANG]),
    ],
    ids=["error", "busy", "empty", "garbled", "no log probabilities", "slow"],
)
async def test_without_an_opinion_the_score_decides(
    turn: Turn, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, garbled or late."""
    monkeypatch.setattr("runtime.life.opinion.LONGEST_S", 0.05)
    of = box(turn, turn, ANSWER, threshold=threshold)
    of.local.lanes[0].hop.turns[1:2] = [] if turn.status == 200 else [turn]  # an error is tried again in time
    decision, text = await decided(of)
    assert text == ("local" if threshold > SCORE else "cloud") and decision.kept.opinion is None
    assert decision.judged is not None and not of.fleet.in_flight


async def test_a_client_that_hangs_up_ends_the_question() -> None:
    """Nothing stays in the ledger, and one record says so."""
    of, sink = box(Turn([HANG])), MemorySink()
    task = asyncio.create_task(of.live(of.ask(PROMPT), sink))
    while not of.local.lanes[0].hop.replies:
        await asyncio.sleep(0)
    ledger = of.fleet.ledger(of.local.lanes[0])
    assert ledger.waiting + ledger.running == 1
    sink.gone = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.waiting + ledger.running == 0 and not of.fleet.in_flight
    (row,) = of.records.rows
    assert row.status == 499 and row.judged is not None and row.judged.outcome == CANCELLED


@pytest.mark.parametrize("hard", [0.8, 0.2])
async def test_a_recorded_opinion_is_replayed(hard: float) -> None:
    """The decision is made again from its record; without the classifier, by the score."""
    of = box(said(hard), ANSWER)
    decision, _ = await decided(of)
    kept = msgspec.convert(msgspec.json.decode(msgspec.json.encode(decision.kept)), Kept)
    idle = IdleFleet(
        of.local.target, {each.target.name: each.target for each in of.clouds}, {}, lambda _: of.local.target
    )
    policy = of.desk.planner.policy
    assert replayed(kept, policy, idle).candidates[0].target.label == decision.target
    of.escalation = Escalation(complexity=SCORE + 0.05)
    of.reload(of.clouds)
    assert replayed(kept, of.desk.planner.policy, idle).candidates[0].target.label == "local/small"


async def test_an_explanation_says_that_the_opinion_would_decide() -> None:
    """It asks nobody; the nearest change is what the local model could say."""
    of = box(said(0.8))
    query = of.desk.planner.read("openai_chat", of.ask(PROMPT).body.data, {})
    found = explain(of.desk.planner, of.fleet, query, of.clock())
    assert found.plan.undecided and of.calls == [0, 0]
    assert (found.changes[0].words, found.changes[0].target) == (
        "the local model finding it hard",
        "vendor/first-model",
    )


def test_tokens_that_begin_a_label_count_for_it() -> None:
    """With or without a space, whole or begun; those of neither label are passed over."""
    turn = said(0.5, (" ha", math.log(0.5)), ("Sure", 0.0), ("", 0.0), ("eas", -9999.0))
    assert read_opinion(turn.pieces[0]) == pytest.approx(2 / 3, abs=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":[{}]}', b'{"choices":[{"logprobs":{"content":[]}}]}'])
def test_an_answer_that_shows_nothing_is_no_opinion(body: bytes) -> None:
    """Whatever its shape."""
    assert read_opinion(body) is None


def test_a_short_text_is_shown_whole() -> None:
    """Between the lines that part it from the instruction."""
    assert f"-----\n{PROMPT}\n-----" in question(PROMPT).data["messages"][0]["content"]


def test_the_band_holds_its_ends() -> None:
    """0.15 on either side, as written."""
    assert in_band(0.77, 0.62) and in_band(0.47, 0.62) and not in_band(0.78, 0.62)
