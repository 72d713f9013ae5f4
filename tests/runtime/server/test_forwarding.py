"""Requests about what another Hearth stores: two Hearths in memory, each the other's peer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from local_models.wire.codec import EngineCodec
from runtime.batch.lane import BatchLane, for_any_body
from runtime.batch.store import BatchStore
from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import HttpCall, Reply, relay_chunks, rest_of
from runtime.contract.owner_ids import owned, owner_of
from runtime.conversations.store import ResponseStore
from runtime.dialects.openai_responses.conversation import StoredResponse
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.record.decisions import Decision, DecisionIds
from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.forwarding import Forwarding, PeerWay
from runtime.server.hops import Hops
from runtime.server.item_search import ItemSearch
from runtime.server.pages.batches import BatchPages
from runtime.server.pages.conversations import Conversations
from runtime.server.pages.decisions import DecisionPages
from runtime.server.pages.files import FilePages
from runtime.server.pages.responses import Responses
from runtime.settings import BatchSettings
from runtime.trust.keys import Keys
from runtime.wire import sse
from tests.fakes.box import CHAT, Box, Exchanged
from tests.fakes.upstream import Turn, engine_backend, whole

FLEET_KEY, LINE = (
    "between-us",
    b'{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"local"}}',
)


class Kept:
    """A `Store` of one decision."""

    def __init__(self) -> None:
        self.rows: dict[str, Decision] = {}

    async def get(self, id: str) -> Decision | None:
        return self.rows.get(id)


@dataclass
class Hearth:
    """pages: as they are wired for a fleet. away: its connections are refused. cut: its answers break off."""

    name: str
    box: Box
    app: App
    responses: ResponseStore
    decisions: Kept
    others: dict[str, Hearth] = field(default_factory=dict)
    away: bool = False
    cut: bool = False
    sealed: bool = True
    heads: list[dict[str, str]] = field(default_factory=list)

    def way(self, name: str) -> PeerWay | None:
        """From this Hearth to another."""
        found = self.others.get(name)
        return None if found is None else PeerWay(Wire(found), self.sealed, alive=True)

    def ways(self) -> list[PeerWay]:
        return [PeerWay(Wire(each), self.sealed, alive=not each.away) for each in self.others.values()]


@dataclass
class Answered:
    """A `Reply` out of memory."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]
    cut: bool

    async def chunk(self) -> bytes:
        piece = next(self.pieces, b"")
        if not piece and self.cut:
            raise HopError(Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, "cut"))
        return piece

    async def relay(self, take: Any) -> bool:
        return await relay_chunks(self, take)

    async def read(self, at_most: int = 1 << 20) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None: ...


@dataclass
class Wire:
    """A `Hop` to another Hearth, with the fleet's key."""

    to: Hearth

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        if self.to.away:
            raise HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, "refused"))
        self.to.heads.append(dict(call.headers))
        seen = await sent(self.to.app, call.method, call.path, call.body, dict(call.headers), FLEET_KEY)
        body = seen.body[:-20] if self.to.cut else seen.body
        return Answered(seen.status, seen.headers, iter([body] if body else []), self.to.cut)

    async def aclose(self) -> None: ...


async def sent(
    app: App, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, key: str = ""
) -> Exchanged:
    """One request through an application."""
    path, _, query = target.partition("?")
    shown = {"host": "localhost", **(headers or {}), **({"authorization": f"Bearer {key}"} if key else {})}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in shown.items()],
        "client": ("127.0.0.1", 5000),
    }
    seen, pending = Exchanged(), [body]

    async def receive() -> Any:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.status = message["status"]
            seen.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        seen.body += message.get("body", b"")
        seen.ended = not message.get("more_body", False)

    await app(scope, receive, send)
    return seen


def hearth(name: str, folder: Path, *turns: Turn, keys: tuple[str, ...] = ()) -> tuple[Hearth, BatchStore]:
    backend = engine_backend(turns or (Turn([whole("Paris")]),))
    backend.target = replace(backend.target, dialects=frozenset({"openai_chat", "openai_responses"}))
    backend.codec = EngineCodec()
    box = Box(backend)
    box.desk.ids = DecisionIds(time.time, 1, name)
    (folder / name).mkdir()
    store, responses, decisions = BatchStore(folder / name), ResponseStore(None, time.time), Kept()
    dialect = ResponsesDialect(owner=name)
    lane = BatchLane(box.desk, store, for_any_body({"/v1/chat/completions": CHAT}), BatchSettings(), lambda own: 0)
    batches = BatchPages(box.desk, store, lane, lambda: AccessPolicy(Keys(())))
    pages = FilePages(box.desk, store, BatchSettings()).table() | batches.table()
    pages |= Responses(responses).table() | DecisionPages(decisions).table()  # type: ignore[arg-type]
    pages["POST", "/v1/responses"] = Conversations(box.desk, dialect, responses).answer
    others: dict[str, Hearth] = {}
    made = Hearth(name, box, None, responses, decisions, others)  # type: ignore[arg-type]
    made.app = App(
        box.desk,
        AccessPolicy(Keys(keys, fleet=FLEET_KEY)),
        {"/v1/chat/completions": CHAT},
        Forwarding(box.desk, name, made.way).around(pages),
    )
    made.app.hops = Hops(box.desk)
    responses.elsewhere = ItemSearch(made.ways).find
    return made, store


@asynccontextmanager
async def two(folder: Path, *turns: Turn, keys: tuple[str, ...] = ()) -> AsyncIterator[tuple[Hearth, Hearth]]:
    """a and b. turns: of a's engine."""
    a, kept_a = hearth("a", folder, *turns, keys=keys)
    b, kept_b = hearth("b", folder, keys=keys)
    a.others["b"], b.others["a"] = b, a
    try:
        yield a, b
    finally:
        for each in (kept_a, kept_b, a.responses, b.responses):
            each.close()


def stored(hearth: Hearth, id: str = "resp_a.1", owner: str = "", requires: frozenset[str] = frozenset()) -> bytes:
    answer = json.dumps({"id": id, "object": "response", "output": []}).encode()
    hearth.responses.add(StoredResponse(id, None, b'[{"role":"user","content":"hi"}]', answer, requires), owner)
    return answer


def frame(data: dict[str, Any]) -> bytes:
    return sse.encode(json.dumps(data).encode(), data["type"].encode())


def responded(id: str, text: str = "Paris") -> bytes:
    item = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    answer = {"id": id, "object": "response", "status": "completed", "model": "small", "output": [item]}
    return json.dumps(answer).encode()


@pytest.mark.parametrize(
    ("id", "named"),
    [
        ("resp_68af", "resp_b.68af"),
        ("resp_a.68af", "resp_b.68af"),  # a peer's answer is this Hearth's to store
        ("msgbatch_0c", "msgbatch_b.0c"),
        ("file-0c-output", "file-b.0c-output"),
        ("7f3", "id_b.7f3"),
    ],
)
def test_ids_name_their_owner(id: str, named: str) -> None:
    """And nobody where there is no fleet."""
    assert (owned(id, "b"), owner_of(named), owned(id, "")) == (named, "b", id)
    assert owner_of("resp_68af") == owner_of("dec_00000000000000ff") == owner_of("../b.x") == ""


async def test_a_response_is_read_and_deleted_through_any_hearth(tmp_path: Path) -> None:
    """With its input items; then it is gone on both."""
    async with two(tmp_path) as (a, b):
        answer = stored(a)
        assert (await sent(b.app, "GET", "/v1/responses/resp_a.1")).body == answer
        items = await sent(b.app, "GET", "/v1/responses/resp_a.1/input_items?limit=1")
        assert json.loads(items.body)["data"][0]["content"][0]["text"] == "hi"
        assert a.heads[0]["x-hearth-hop"] == "1"
        assert json.loads((await sent(b.app, "DELETE", "/v1/responses/resp_a.1")).body)["deleted"]
        for each in (a, b):
            assert (await sent(each.app, "GET", "/v1/responses/resp_a.1")).status == 404


async def test_only_its_owners_key_sees_it_through_another_hearth(tmp_path: Path) -> None:
    """The sender's fleet key opens nothing; without a key nobody comes in."""
    async with two(tmp_path, keys=("one", "other")) as (a, b):
        owner = a.app.policy.keys.admit({"x-api-key": "one"}).id
        answer = stored(a, owner=owner)
        path = "/v1/responses/resp_a.1"
        assert (await sent(b.app, "GET", path, key="one")).body == answer
        assert (await sent(b.app, "GET", path, key="other")).status == 404
        assert (await sent(b.app, "GET", path)).status == 401
        assert (await sent(a.app, "GET", path, headers={"x-hearth-hop": "1"}, key=FLEET_KEY)).status == 400
        asking = {"x-hearth-hop": "1", "x-hearth-for": owner}
        assert (await sent(a.app, "GET", path, headers=asking, key="other")).status == 400  # a client cannot set them
        assert (await sent(a.app, "GET", path, headers={**asking, "x-hearth-for": ""}, key=FLEET_KEY)).status == 401
        assert (await sent(a.app, "GET", "/v1/files", headers=asking, key=FLEET_KEY)).status == 400  # for no list


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_a.1"),
        ("DELETE", "/v1/responses/resp_a.1"),
        ("POST", "/v1/batches/batch_a.1/cancel"),
        ("GET", "/v1/files/file-a.1/content"),
        ("GET", "/v1/messages/batches/msgbatch_a.1/results"),
        ("GET", "/hearth/decisions/dec_a.00000000000000ff"),
        ("GET", "/v1/responses/resp_nobody.1"),
    ],
)
async def test_an_owner_that_is_away_is_no_404(tmp_path: Path, method: str, path: str) -> None:
    """503 with a wait, also for a Hearth that this one has never heard."""
    async with two(tmp_path) as (a, b):
        a.away = True
        seen = await sent(b.app, method, path)
        assert (seen.status, seen.headers["retry-after"]) == (503, "5")
        assert json.loads(seen.body)["error"]["message"]


async def test_a_request_is_sent_on_once(tmp_path: Path) -> None:
    """Of two Hearths that think the other is the owner, the second one answers that it has nothing."""
    async with two(tmp_path) as (a, b):
        a.others["c"] = b.others["c"] = b
        assert (await sent(a.app, "GET", "/v1/responses/resp_c.1")).status == 404
        assert len(b.heads) == 1 and not a.heads


async def test_a_conversation_is_continued_where_it_is_stored(tmp_path: Path) -> None:
    """By its owner's engine, with the history; the answer's id names the owner too. Unknown to it: the wire's own 400."""
    async with two(tmp_path, Turn([responded("resp_2")])) as (a, b):
        stored(a)
        body = json.dumps({"model": "local", "input": "and?", "previous_response_id": "resp_a.1"}).encode()
        seen = await sent(b.app, "POST", "/v1/responses", body, {"content-type": "application/json"})
        assert (seen.status, json.loads(seen.body)["id"]) == (200, "resp_a.2")
        assert a.box.calls == [1] and b.box.calls == [0] and seen.headers["x-hearth-decision"].startswith("dec_a.")
        assert b'"hi"' in a.box.local.lanes[0].hop.calls[0].body
        assert (await sent(b.app, "GET", "/v1/responses/resp_a.2")).status == 200
        unknown = await sent(b.app, "POST", "/v1/responses", body.replace(b"resp_a.1", b"resp_a.9"))
        assert json.loads(unknown.body)["error"]["code"] == "previous_response_not_found"


def with_items(hearth: Hearth, *ids: str, owner: str = "", requires: frozenset[str] = frozenset()) -> None:
    """A stored response whose output is messages with these ids, each with its id as its text."""
    output = [
        {
            "type": "message",
            "id": id,
            "role": "assistant",
            "content": [{"type": "output_text", "text": f"text of {id}"}],
        }
        for id in ids
    ]
    answer = json.dumps({"id": f"resp_{hearth.name}.{ids[0]}", "object": "response", "output": output}).encode()
    hearth.responses.add(StoredResponse(f"resp_{hearth.name}.{ids[0]}", None, b"[]", answer, requires), owner)


async def referring(hearth: Hearth, *ids: str, key: str = "") -> Exchanged:
    """A request to the engine that refers to items by their ids."""
    items = [*({"type": "item_reference", "id": id} for id in ids), {"role": "user", "content": "and?"}]
    body = json.dumps({"model": "local", "input": items}).encode()
    return await sent(hearth.app, "POST", "/v1/responses", body, {"content-type": "application/json"}, key=key)


async def test_an_item_is_had_from_whichever_hearth_stores_it(tmp_path: Path) -> None:
    """One of each in this request: here, there, and nowhere, which stays a reference for the engine. It is answered here."""
    ids = [f"msg_{n}" for n in range(60)]  # more than are asked for at a time
    async with two(tmp_path, Turn([responded("resp_2")])) as (a, b):
        with_items(b, *ids)
        with_items(a, "msg_here")
        seen = await referring(a, *ids, "msg_here", "msg_nowhere")
        assert (seen.status, a.box.calls, b.box.calls) == (200, [1], [0])
        asked = json.loads(a.box.local.lanes[0].hop.calls[0].body)["input"]
        assert [each["content"][0]["text"] for each in asked[:-2]] == [f"text of {id}" for id in (*ids, "msg_here")]
        assert asked[-2] == {"type": "item_reference", "id": "msg_nowhere"}
        assert len(b.heads) == 2


async def test_what_is_known_here_is_asked_of_nobody(tmp_path: Path) -> None:
    async with two(tmp_path, Turn([responded("resp_2")])) as (a, b):
        with_items(a, "msg_here")
        b.away = True
        assert (await referring(a, "msg_here")).status == 200


async def test_an_item_that_a_hearth_may_have_that_is_away_is_no_400(tmp_path: Path) -> None:
    """503 with a wait, and nothing reaches the engine; of one that is found all the same it is of no matter who is away."""
    async with two(tmp_path, Turn([responded("resp_2")])) as (a, b):
        with_items(b, "msg_1", "msg_2")
        a.others["c"] = replace(b, name="c", away=True)
        assert (await referring(a, "msg_1")).status == 200
        b.away = True
        seen = await referring(a, "msg_2")
        assert (seen.status, seen.headers["retry-after"], a.box.calls) == (503, "5", [1])
        assert json.loads(seen.body)["error"]["code"] == "owner_away"
        assert (await a.responses.items(["msg_1"])).items  # with the response to it, which is stored here


async def test_an_item_of_another_key_is_not_had(tmp_path: Path) -> None:
    """And a client asks for items of nobody."""
    async with two(tmp_path, Turn([responded("resp_2")]), keys=("one", "other")) as (a, b):
        with_items(b, "msg_1", owner=b.app.policy.keys.admit({"x-api-key": "one"}).id)
        await referring(a, "msg_1", key="other")
        assert b'"item_reference"' in a.box.local.lanes[0].hop.calls[0].body
        assert (await sent(b.app, "GET", "/v1/responses/items?id=msg_1", key="one")).status == 404


async def test_an_item_under_a_demand_crosses_no_connection_in_the_clear(tmp_path: Path) -> None:
    """Over TLS it comes, and its demand with it: an engine elsewhere without the certificate is not asked."""
    async with two(tmp_path, Turn([responded("resp_2")])) as (a, b):
        with_items(b, "msg_1", requires=frozenset({"hipaa"}))
        a.sealed = False
        refused = await referring(a, "msg_1")
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "no_compliant_target")
        a.sealed = True
        a.box.local.target = replace(a.box.local.target, on_box=False)
        refused = await referring(a, "msg_1")
        assert (refused.status, a.box.calls) == (403, [0])


async def test_a_stream_names_its_owner_in_each_of_its_events(tmp_path: Path) -> None:
    """An owner that breaks off is an error event, and no closing one."""
    begun = {"id": "resp_2", "object": "response", "status": "in_progress", "model": "small", "output": []}
    stream = [
        frame({"type": "response.created", "response": begun, "sequence_number": 0}),
        frame({"type": "response.output_text.delta", "delta": "Paris", "sequence_number": 1}),
        frame({"type": "response.completed", "response": json.loads(responded("resp_2")), "sequence_number": 2}),
    ]
    async with two(tmp_path, Turn(stream), Turn(stream)) as (a, b):
        stored(a)
        asked = {"model": "local", "input": "?", "previous_response_id": "resp_a.1", "stream": True}
        seen = await sent(b.app, "POST", "/v1/responses", json.dumps(asked).encode())
        assert seen.ended and seen.body.count(b'"resp_a.2"') == 2 and b'"resp_2"' not in seen.body
        a.cut = True
        seen = await sent(b.app, "POST", "/v1/responses", json.dumps(asked).encode())
        assert seen.status == 200 and seen.ended
        assert b"event: error" in seen.body and b'"response.completed"' not in seen.body


async def test_an_answer_of_known_length_that_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    """Its connection ends unfinished."""
    async with two(tmp_path) as (a, b):
        stored(a)
        a.cut = True
        seen = await sent(b.app, "GET", "/v1/responses/resp_a.1")
        assert seen.status == 200 and not seen.ended


async def test_a_batch_is_made_where_its_file_is(tmp_path: Path) -> None:
    """And read, listed as content, and cancelled from anywhere."""
    form = b'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    form += b'--x\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n' + LINE + b"\r\n--x--\r\n"
    async with two(tmp_path) as (a, b):
        made = await sent(a.app, "POST", "/v1/files", form, {"content-type": "multipart/form-data; boundary=x"})
        file = json.loads(made.body)["id"]
        assert owner_of(file) == "a"
        assert (await sent(b.app, "GET", f"/v1/files/{file}/content")).body == LINE
        wanted = {"input_file_id": file, "endpoint": "/v1/chat/completions"}
        batch = json.loads((await sent(b.app, "POST", "/v1/batches", json.dumps(wanted).encode())).body)["id"]
        assert owner_of(batch) == "a"
        assert json.loads((await sent(b.app, "GET", f"/v1/batches/{batch}")).body)["input_file_id"] == file
        cancelled = await sent(b.app, "POST", f"/v1/batches/{batch}/cancel")
        assert json.loads(cancelled.body)["status"] == "cancelling"
        assert (await sent(b.app, "DELETE", f"/v1/files/{file}")).status == 200


async def test_a_decision_is_read_from_its_owner(tmp_path: Path) -> None:
    """One that is here too, as of a request for its engine, is read here."""
    async with two(tmp_path) as (a, b):
        id = a.box.desk.ids.next()
        a.decisions.rows[id] = Decision(id=id, at=1.0, dialect="openai_chat", model="auto", words="a's")
        assert json.loads((await sent(b.app, "GET", f"/hearth/decisions/{id}")).body)["words"] == "a's"
        b.decisions.rows[id] = Decision(id=id, at=1.0, dialect="openai_chat", model="local", words="b's")
        assert json.loads((await sent(b.app, "GET", f"/hearth/decisions/{id}")).body)["words"] == "b's"


async def test_what_demands_a_certificate_crosses_no_connection_in_the_clear(tmp_path: Path) -> None:
    """Neither what was stored, nor what would continue it."""
    async with two(tmp_path) as (a, b):
        answer = stored(a, requires=frozenset({"hipaa"}))
        b.sealed = False
        refused = await sent(b.app, "GET", "/v1/responses/resp_a.1")
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "no_compliant_target")
        body = {"model": "local", "input": "and?", "previous_response_id": "resp_a.1"}
        refused = await sent(b.app, "POST", "/v1/responses", json.dumps(body).encode())
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "no_compliant_target")
        b.sealed = True
        assert (await sent(b.app, "GET", "/v1/responses/resp_a.1")).body == answer
