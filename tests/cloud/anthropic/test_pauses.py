"""A turn that pauses for the vendor's own tools is one answer to a client of another wire."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.anthropic import pauses
from cloud.anthropic.pauses import PausedTurn, Pauses, PausingCall
from cloud.backend import Account, connect, facts
from cloud.client import CloudClient
from runtime.contract.events import Event, Failed, OpaqueBlock, Stop, TextDelta, UsageReport
from runtime.contract.failures import HopError
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Message, Request, Role, Text, Tool
from runtime.contract.usage import Usage
from runtime.wire import sse
from tests.cloud.anthropic.recorded import NOW, codec, target
from tests.fakes.guard import GUARD
from tests.fakes.upstream import CUT, RESET, ScriptedHop, Silence, Turn

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
ASKED = Request(
    "m", (Message(Role.USER, (Text("What is new?"),)),), extra={"openai_chat": {"tools": [SEARCH]}}, stream=True
)
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def block(index: int, begun: dict[str, Any], *deltas: dict[str, Any]) -> Iterator[bytes]:
    yield event("content_block_start", index=index, content_block=begun)
    for delta in deltas:
        yield event("content_block_delta", index=index, delta=delta)
    yield event("content_block_stop", index=index)


def said(*blocks: Iterator[bytes], stop: str, container: str | None = None) -> list[bytes]:
    used = {"input_tokens": 10, "output_tokens": 1, "server_tool_use": {"web_search_requests": 1}}
    delta = {"stop_reason": stop, "stop_sequence": None} | ({"container": {"id": container}} if container else {})
    return [
        event("message_start", message={"id": "msg_1", "model": "m", "content": [], "usage": used}),
        *(piece for each in blocks for piece in each),
        event("message_delta", delta=delta, usage={"output_tokens": 5}),
        event("message_stop"),
    ]


def text(index: int, words: str) -> Iterator[bytes]:
    return block(index, {"type": "text", "text": ""}, {"type": "text_delta", "text": words})


def search(index: int) -> Iterator[bytes]:
    begun = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
    pieces = ('{"query":', ' "news"}')
    return block(index, begun, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


PAUSED = Turn(said(text(0, "I look."), text(1, ""), search(2), stop="pause_turn", container="box"))
ENDED = Turn(said(block(0, FOUND), text(1, "Nothing."), stop="end_turn"))


async def pieces(hop: ScriptedHop, call: HttpCall | None = None) -> AsyncIterator[bytes]:
    call = call or codec().encode(ASKED, target("claude-sonnet-5-5")).call
    reply = await Pauses(hop).open(call, connect_s=1.0)
    while piece := await reply.chunk():
        yield piece


async def events(hop: ScriptedHop) -> list[Event]:
    decoder, framing, out = codec().decoder(ASKED), sse.Events(), list[Event]()
    async for piece in pieces(hop):
        for each in framing.feed(piece):
            out += decoder.feed(each.name.decode(), each.data or b"")
    return [*out, *decoder.finish()]


async def test_the_requests_of_a_turn_are_one_answer() -> None:
    """Blocks are numbered on, tokens added up, and the pause is not shown."""
    out = await events(ScriptedHop(PAUSED, ENDED))
    assert [(each.index, each.text) for each in out if isinstance(each, TextDelta)] == [(0, "I look."), (4, "Nothing.")]
    assert [each.index for each in out if isinstance(each, OpaqueBlock)] == [2, 3]
    assert [(each.finish, each.raw) for each in out if isinstance(each, Stop)] == [("stop", "end_turn")]
    last = [each for each in out if isinstance(each, UsageReport)][-1]
    assert last.usage == Usage(prompt=20, completion=10, searches=2)
    assert last.extra["anthropic_messages"]["server_tool_use"] == {"web_search_requests": 2}


async def test_what_the_model_said_goes_back_as_it_was() -> None:
    """It follows the unchanged messages, without empty texts, and names the container of its tools."""
    hop = ScriptedHop(PAUSED, ENDED)
    await events(hop)
    first, second = (json.loads(call.body) for call in hop.calls)
    assert second["messages"][:-1] == first["messages"]
    assert second["messages"][-1] == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "news"}},
        ],
    }
    assert second == first | {"messages": second["messages"], "container": "box"}
    assert hop.calls[1].headers == hop.calls[0].headers


async def test_all_of_a_turn_goes_back_each_time() -> None:
    """The turn is one turn, although it paused twice."""
    hop = ScriptedHop(PAUSED, Turn(said(block(0, FOUND), search(1), stop="pause_turn")), ENDED)
    out = await events(hop)
    kinds = [each["type"] for each in json.loads(hop.calls[2].body)["messages"][-1]["content"]]
    assert kinds == ["text", "server_tool_use", "web_search_tool_result", "server_tool_use"]
    assert [each for each in out if isinstance(each, UsageReport)][-1].usage == Usage(30, 15, searches=3)


async def test_a_turn_is_not_gone_on_with_for_ever() -> None:
    """Beyond the bound the answer ends as unfinished."""
    hop = ScriptedHop(PAUSED)
    out = await events(hop)
    assert len(hop.calls) == 1 + pauses.MOST_ROUNDS
    assert [(each.finish, each.raw) for each in out if isinstance(each, Stop)] == [("length", "pause_turn")]


def test_a_turn_without_end_is_not_kept() -> None:
    """Content beyond the bound is shown and forgotten: the turn is not continued, and little of it stays in memory."""
    turn = PausedTurn(most_kept=10_000)
    begun = b"".join(block(0, {"type": "text", "text": ""}))
    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * 1000})
    shown = turn.feed(begun) + b"".join(turn.feed(delta) for _ in range(100))
    assert shown == begun + delta * 100
    turn.feed(event("message_delta", delta={"stop_reason": "pause_turn"}))
    for _ in range(100):
        turn.feed(delta)
    assert not turn.can_continue
    assert len(turn.held) < 20_000 and not turn._blocks


@pytest.mark.parametrize("after", [Turn(status=429), Turn(refuse=RESET)])
async def test_a_turn_that_cannot_go_on_ends_unfinished(after: Turn) -> None:
    """The client gets the part that arrived, not shown as complete."""
    out = await events(ScriptedHop(PAUSED, after))
    assert [(each.finish, each.raw) for each in out if isinstance(each, Stop)] == [("length", "pause_turn")]
    assert not any(isinstance(each, Failed) for each in out)


async def test_a_cut_in_a_later_request_is_a_cut() -> None:
    """A cut in a later request is reported as one in the first is."""
    with pytest.raises(HopError):
        await events(ScriptedHop(PAUSED, Turn([*said(text(0, "x"), stop="end_turn")[:2], CUT])))


async def test_the_next_request_does_not_wait_for_the_connection_to_close() -> None:
    """The closing event is enough: the connection before it is closed."""
    hop = ScriptedHop(Turn([*PAUSED.pieces, Silence()]), ENDED)
    assert any(isinstance(each, Stop) for each in await events(hop))
    assert hop.replies[0].closed_early


async def test_any_cut_of_the_stream_reads_the_same() -> None:
    """Events may be split over pieces anywhere."""
    whole = b"".join(PAUSED.pieces)  # type: ignore[arg-type]  # all of them are bytes
    torn = Turn([whole[at : at + 7] for at in range(0, len(whole), 7)])
    assert await events(ScriptedHop(torn, ENDED)) == await events(ScriptedHop(PAUSED, ENDED))


async def test_a_clients_own_bytes_pass_through() -> None:
    """A client of this wire knows the stop reason and continues itself."""
    hop = ScriptedHop(PAUSED, ENDED)
    call = HttpCall("/v1/messages", b'{"messages":[]}')
    assert [piece async for piece in pieces(hop, call)] == list(PAUSED.pieces)
    assert len(hop.calls) == 1


async def test_errors_are_given_as_they_are() -> None:
    """An error answer is passed on unchanged."""
    hop = ScriptedHop(Turn([b'{"type":"error"}'], 529))
    reply = await Pauses(hop).open(PausingCall("/v1/messages"), connect_s=1.0)
    assert (reply.status, await reply.read()) == (529, b'{"type":"error"}')


def test_only_answers_that_may_pause_are_looked_into() -> None:
    """Only an answer of a model with a tool of the vendor's can pause."""
    plain = Request("m", (Message(Role.USER, (Text("x"),)),), tools=(Tool("f", schema={"type": "object"}),))
    aimed = target("claude-sonnet-5-5")
    assert not isinstance(codec().encode(plain, aimed).call, PausingCall)
    assert isinstance(codec().encode(ASKED, aimed).call, PausingCall)


def test_the_vendors_targets_have_it() -> None:
    """Only the vendor's own targets join paused turns."""
    for provider, wanted in (("anthropic", True), ("openai", False)):
        account = Account(provider, None, "k")
        backend = connect(CloudClient({}), facts("t", account, "m", None, None), account, GUARD, lambda: NOW)
        assert isinstance(backend.lanes[0].hop, Pauses) is wanted


def _recorded(shared: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Streams that paused, each with the exchange that followed."""
    for file in sorted((shared / "recordings" / "anthropic").glob("*.json")):
        told = json.loads(file.read_text())["interactions"]
        for first, second in itertools.pairwise(told):
            if '"pause_turn"' in (first["response"].get("text") or ""):
                yield first, second


async def test_recorded_turns_go_on_as_the_vendors_client_went_on(shared: Path) -> None:
    """The content sent back equals the one that a client of the wire sent."""
    found = list(_recorded(shared))
    assert found
    for first, second in found:
        call = PausingCall("/v1/messages", json.dumps(first["request"]["body"]).encode())
        hop = ScriptedHop(*(Turn([each["response"]["text"].encode()]) for each in (first, second)))
        assert [piece async for piece in pieces(hop, call)]
        sent, wanted = json.loads(hop.calls[1].body)["messages"], second["request"]["body"]["messages"]
        assert _plain(sent[-1]["content"]) == _plain(wanted[-1]["content"])


_LOST = frozenset({"caller", "title"})


def _plain(value: Any) -> Any:
    """The value without empty members, one that not every client returns, and titles, recorded with other dashes."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _plain(each) for name, each in value.items() if each not in (None, []) and name not in _LOST}
