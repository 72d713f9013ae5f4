"""The whole of a request's way in memory: a desk over fake upstreams, and the application over it. No socket, no disk.

`Box.live` runs a life without a door; `Box.asked` sends a request through the application.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from runtime.contract.targets import LOCAL
from runtime.conversations.store import ResponseStore
from runtime.dialects.anthropic_messages.counting import PATH as COUNT_TOKENS
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.pooling import EMBEDDINGS, RERANK
from runtime.dialects.seam import Dialect
from runtime.dispatch.candidates import Dispatcher
from runtime.dispatch.job import Effects, Head
from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.life.ask import Ask
from runtime.life.desk import Desk
from runtime.life.life import Work, generate, live
from runtime.life.planning import Planner
from runtime.life.settled import Settled
from runtime.media.fetching import Fetching
from runtime.record.decisions import Decision, DecisionIds
from runtime.record.metrics import Gauges, Metrics
from runtime.record.store import Store
from runtime.record.traces.context import TraceIds
from runtime.routing.confidence import ConfidenceMap
from runtime.routing.plan import names
from runtime.routing.plan.names import Lent
from runtime.routing.plan.plan import RoutingPolicy
from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.asgi import WRITE_NOW, Message, Page
from runtime.server.hosts_and_origins import Origins
from runtime.server.pages.conversations import PATH as RESPONSES
from runtime.server.pages.conversations import Conversations
from runtime.server.pages.counting import Counting
from runtime.server.routes import Route
from runtime.settings import Escalation, Retries, Routes
from runtime.trust.keys import Keys
from runtime.wire.raw_body import RawBody
from tests.fakes.engine import FakeEngine
from tests.fakes.upstream import FakeBackend

CHAT = ChatDialect()
LEAVE = Escalation(queue_depth=0)  # everything leaves the box


class MemorySink:
    """A `runtime.dispatch.job.Sink`. on_write: called before each write is taken."""

    def __init__(self, on_write: Callable[[bytes], None] | None = None) -> None:
        self.head: Head | None = None
        self.starts = 0
        self.written: list[bytes] = []
        self.gone = False
        self._on_write = on_write

    async def start(self, head: Head) -> None:
        self.head = head
        self.starts += 1

    def write_now(self, data: bytes) -> bool:
        """A client that is always written to by the task."""
        return False

    async def write(self, data: bytes) -> None:
        if self._on_write is not None:
            self._on_write(data)
        self.written.append(data)

    @property
    def body(self) -> bytes:
        return b"".join(self.written)

    @property
    def text(self) -> str:
        """The text of a streamed or whole chat answer."""
        return text_of(self.body)


@dataclass
class Exchanged:
    """A client's view of one request. status: 0 without a head. ended: the last byte was announced as the last."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False


class Records:
    """A `Store` in memory: the decisions, in order."""

    def __init__(self) -> None:
        self.rows: list[Decision] = []

    def add(self, decision: Decision) -> None:
        self.rows.append(decision)


@dataclass
class Box:
    """slept: seconds that dispatch would have waited between attempts."""

    local: FakeBackend
    clouds: Sequence[FakeBackend] = ()
    escalation: Escalation = field(default_factory=Escalation)
    retries: Retries = field(default_factory=Retries)
    total_s: float = 5.0
    fetching: Fetching | None = None
    lend: Callable[[Lent], FakeBackend] | None = None
    clock: Callable[[], float] = time.monotonic
    most_lent: int = 256
    wall: Callable[[], float] = time.time
    confidence: ConfidenceMap | None = None
    trace: TraceIds | None = None

    def __post_init__(self) -> None:
        self.slept: list[float] = []
        self.records = Records()
        self.engine = FakeEngine(self.local)
        self.fleet = LiveFleet(
            self.engine, self.local, self._clouds(), self.escalation, self.clock, most_lent=self.most_lent
        )
        metrics = Metrics(lambda: Gauges(self.engine.views()), [self.local.target.label])
        self.desk = Desk(
            planner=Planner(self._policy()),
            dispatcher=Dispatcher(
                self.fleet,
                self.retries,
                Effects(self.clock, lambda: 0.5, self._sleep, self.fetching, self.wall, self.trace),
            ),
            fleet=self.fleet,
            store=cast("Store", self.records),
            metrics=metrics,
            ids=DecisionIds(time.time, 1),
            clock=self.clock,
            wall=self.wall,
            total_s=self.total_s,
            max_body=4_000_000,
        )
        self._numbers = itertools.count(1)

    def reload(self, clouds: Sequence[FakeBackend]) -> None:
        """Other targets in force, as `Runtime.apply` puts them."""
        self.clouds = clouds
        self.fleet.reload(self._clouds(), self.escalation)
        self.desk.planner.policy = self._policy()

    @property
    def backends(self) -> tuple[FakeBackend, ...]:
        return (self.local, *self.clouds)

    @property
    def calls(self) -> list[int]:
        """Calls that each backend had, the engine first, the clouds in order."""
        return [sum(len(lane.hop.calls) for lane in each.lanes) for each in self.backends]

    def ask(self, text: str = "hi", *, dialect: Dialect = CHAT, headers: Any = None, **members: Any) -> Ask:
        """A chat request, unless `dialect` and `members` make another of it."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], **members}
        return Ask(
            f"dec_{next(self._numbers)}", dialect, RawBody(json.dumps(body).encode()), headers or {}, self.clock()
        )

    async def live(self, ask: Ask, sink: Any = None, work: Work = generate) -> tuple[Settled, MemorySink]:
        sink = sink if sink is not None else MemorySink()
        return await live(self.desk, ask, sink, work), sink

    def app(self, responses: ResponseStore | None = None) -> App:
        """The door over this desk. responses: the conversations; kept in memory if left out."""
        pages: dict[Route, Page] = {("POST", COUNT_TOKENS): Counting(self.desk).count}
        store = responses if responses is not None else ResponseStore(None, time.time)
        pages["POST", RESPONSES] = Conversations(self.desk, ResponsesDialect(), store).answer
        dialects: dict[str, Dialect] = {
            "/v1/chat/completions": CHAT,
            "/v1/completions": COMPLETIONS,
            "/v1/embeddings": EMBEDDINGS,
            "/v1/rerank": RERANK,
            "/v1/messages": MESSAGES,
        }
        return App(self.desk, AccessPolicy(Keys(()), Origins(())), dialects, pages)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def _clouds(self) -> Clouds:
        return Clouds({each.target.name: each for each in self.clouds}, lend=self.lend)

    def _policy(self) -> RoutingPolicy:
        targets = [each.target for each in self.clouds]
        directory = names.build(self.local.target, targets, {})
        routes = Routes(default=tuple(target.name for target in targets))
        return RoutingPolicy(
            self.escalation, (), routes, directory, {LOCAL: self.confidence} if self.confidence else {}
        )


async def asked(
    app: App, path: str, body: dict[str, Any] | bytes, *, gone: asyncio.Event | None = None, key: str = ""
) -> Exchanged:
    """One POST through the application, in memory. body: JSON. gone: set, the client hangs up; otherwise it stays."""
    shown = [(b"x-api-key", key.encode())] if key else []
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), *shown],
        "client": ("127.0.0.1", 5000),
    }
    seen, pending = Exchanged(), [body if isinstance(body, bytes) else json.dumps(body).encode()]
    away = gone or asyncio.Event()

    async def receive() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        await away.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert seen.status == 0, "two heads"
            seen.status = message["status"]
            seen.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            return
        seen.body += message.get("body", b"")
        seen.ended = not message.get("more_body", False)

    def write_now(data: bytes) -> bool:
        seen.body += data
        return True

    scope["extensions"] = {WRITE_NOW: write_now}
    await app(scope, receive, send)
    return seen


def text_of(body: bytes) -> str:
    """The text of a chat answer, streamed or whole."""
    if not body.startswith((b"data:", b":")):
        return str(json.loads(body)["choices"][0]["message"]["content"])
    chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in chunks if each.get("choices"))


def able_to_resume(backend: FakeBackend) -> FakeBackend:
    """The backend as one whose model continues a partial answer."""
    can = replace(backend.target.capabilities, continues=True)
    backend.target = replace(backend.target, capabilities=can)
    return backend
