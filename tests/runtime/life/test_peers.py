"""Requests that other Hearths are asked to answer: their refusals, their answers that break off, and the records of both."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from local_models.wire.codec import EngineCodec
from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL, Target
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.fleet.peers import Peers, PeerSummary
from runtime.life.kept import Kept
from runtime.quality.replay import replayed
from runtime.routing.plan.plan import plan as plan_of
from runtime.server.pages.explain import ExplainPage
from tests.fakes.box import LEAVE, Box, able_to_resume, asked
from tests.fakes.upstream import (
    CUT,
    DONE,
    ROLE,
    FakeBackend,
    FakeLane,
    ScriptedHop,
    Turn,
    chunk,
    cloud,
    engine_backend,
    error,
    told,
    whole,
)
from tests.runtime.quality.test_replay import idle

FULL = error(429, "7 requests wait", "queue_full", retry_after="2")
HALF = Turn([ROLE, chunk("Hel"), chunk("lo "), CUT])
REST = Turn([ROLE, chunk("there"), chunk(finish="stop"), DONE])


def fleet(*peers: Turn, local: Turn | None = None, clouds: tuple[FakeBackend, ...] = (), **more: Any) -> Box:
    """A box whose engine is left for its load, beside one peer for each turn."""
    box = Box(able_to_resume(engine_backend((local or Turn([whole("here")]),))), clouds, LEAVE, **more)
    served = frozenset({"openai_chat", "openai_responses"})
    turns = {f"http://{name}:8000": turn for name, turn in zip("bcd", peers, strict=False)}

    def connect(address: str) -> FakeBackend:
        name = f"peer/{address.removeprefix('http://')}"
        target = Target(name, LOCAL, "small", box.local.target.capabilities, on_box=True, dialects=served, peer=True)
        return FakeBackend(target, [FakeLane(name, ScriptedHop(turns[address]), LOCAL)], EngineCodec())

    known = Peers(lambda: PeerSummary("a", "small", True), connect, box.clock)
    known.know(tuple(turns))
    for place, address in enumerate(turns):
        known.heard(address, PeerSummary(address[7:8], "small", True, predicted_ttft_ms=float(place)))
    box.desk.peers, box.fleet.peers = known.beside, known.backend
    return box


def hop(box: Box, name: str) -> ScriptedHop:
    assert box.fleet.peers is not None
    lane: Any = box.fleet.peers(f"peer/{name}:8000").lanes[0]
    return lane.hop  # type: ignore[no-any-return]


async def test_where_peers_refuse_the_record_says_who_was_asked() -> None:
    """The box answers for the reason for which it would have left, in words with each refusal."""
    box = fleet(FULL, FULL)
    settled, sink = await box.live(box.ask())
    assert not box.slept  # a peer is asked once
    made = settled.decision
    assert (sink.text, made.reason, made.degraded) == ("here", Reason.QUEUE_DEPTH, ("no_target",))
    assert "peer/b:8000: 7 requests wait" in made.words and "peer/c:8000" in made.words
    assert [each.lane for each in made.attempts] == ["peer/b:8000", "peer/c:8000", "replica-0"]


async def test_an_answer_of_a_peer_cut_before_its_first_content_moves_on_unseen() -> None:
    """To the next peer; the client gets one whole answer."""
    box = fleet(Turn([ROLE, CUT]), Turn(told("Paris")))
    settled, sink = await box.live(box.ask(stream=True))
    assert (sink.text, sink.starts, settled.decision.status) == ("Paris", 1, 200)
    assert settled.decision.attempts[0].outcome == "broken_stream"


async def test_an_answer_of_a_peer_cut_after_it_is_continued_by_the_engine_here() -> None:
    """The same model, as after a crash of the engine: no text comes twice."""
    box = fleet(HALF, local=REST)
    settled, sink = await box.live(box.ask(stream=True))
    assert (sink.text, sink.starts) == ("Hello there", 1)
    assert (settled.decision.degraded, settled.decision.status) == (("resumed",), 200)
    assert box.local.lanes[0].hop.bodies[0]["messages"][-1] == {"role": "assistant", "content": "Hello "}


@pytest.mark.parametrize("able", [True, False])
async def test_one_that_cannot_be_continued_ends_with_an_error(able: bool) -> None:
    """The engine here is not up, or the cut answer is more than text: never an answer that looks whole."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    cut = Turn([ROLE, chunk(choices=[choice]), CUT]) if able else HALF
    box = fleet(cut, local=REST, total_s=0.5)
    if not able:
        box.local.lanes[0].ready = False
        box.engine.change()
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    seen = await asked(box.app(), "/v1/chat/completions", body)
    assert b'"error"' in seen.body and b"[DONE]" not in seen.body and box.calls == [0]


async def test_responses_go_to_a_peer_in_their_own_wire() -> None:
    """With every item as it was written, those that only Hearth can read too."""
    answer = {"id": "resp_b.1", "object": "response", "status": "completed", "model": "small", "output": []}
    box = fleet(Turn([json.dumps(answer).encode()]))
    items = [{"type": "reasoning", "id": "rs_hearth1", "encrypted_content": "hearth:{}", "summary": []}]
    items.append({"role": "user", "content": "hi"})
    asking = box.ask(dialect=ResponsesDialect(owner="a"), input=items)
    settled, sink = await box.live(asking)
    assert settled.error is None and json.loads(sink.body)["id"] == "resp_a.1"
    sent = hop(box, "b")
    assert sent.calls[0].path == "/responses" and sent.bodies[0]["input"] == items


@pytest.mark.parametrize("model", ["auto", "local"])
async def test_a_replay_decides_as_if_there_were_no_peers(model: str) -> None:
    """Also where they turned a refusal into an answer."""
    box = fleet(Turn([whole("there")]))
    box.local.lanes[0].ready = False
    box.engine.change()
    settled, sink = await box.live(box.ask(model=model))
    assert (sink.text, settled.decision.status) == ("there", 200)
    kept = msgspec.convert(msgspec.json.decode(msgspec.json.encode(settled.decision.kept)), Kept)
    query = box.desk.planner.read("openai_chat", box.ask(model=model).body.data, {})
    inputs = box.desk.planner.inputs(query, box.desk.fleet, box.clock(), look=True)
    alone = plan_of(*inputs)
    assert alone.refusal is not None and kept.code == alone.refusal.code
    again = replayed(kept, box.desk.planner.policy, idle(inputs.fleet))
    assert again.refusal is not None and again.refusal.code == kept.code


async def test_an_explanation_names_the_peers_that_would_be_asked() -> None:
    """Before the cloud, with the reason for which the request would leave; no time is predicted for them here."""
    box = fleet(FULL, clouds=(cloud("claude", Turn([whole("cloud")])),))
    app = box.app()
    app._pages = {**app._pages, **ExplainPage(box.desk).table()}
    seen = await asked(app, "/hearth/explain", {"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
    shown = json.loads(seen.body)
    assert [each["name"] for each in shown["candidates"]][:2] == ["peer/b:8000", "claude"]
    assert shown["candidates"][0]["predicted_ttft_ms"] is None and "is asked first" in shown["words"]
