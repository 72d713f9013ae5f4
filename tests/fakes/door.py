"""A whole door over fake upstreams, listening on a loopback port: what a client sees, without processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from runtime.batch.lane import BatchLane, for_any_body
from runtime.batch.store import BatchStore
from runtime.conversations.store import ResponseStore
from runtime.dialects.anthropic_messages.counting import PATH as COUNT_TOKENS
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.pooling import EMBEDDINGS, RERANK
from runtime.dialects.seam import Dialect
from runtime.dispatch.candidates import Dispatcher
from runtime.dispatch.job import Effects
from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.fleet.peers import PeerSummary
from runtime.life.desk import Desk
from runtime.life.planning import Planner
from runtime.media.fetching import Fetching
from runtime.quality.drift.watch import DriftWatch
from runtime.quality.judge.estimate import Judges
from runtime.quality.judge.golden import GoldenJudge
from runtime.quality.judge.watch import JudgeFolders, JudgeWatch
from runtime.quality.runs.asking import Asker
from runtime.quality.runs.loop import Pace, QualityLoop
from runtime.quality.runs.runner import Runner
from runtime.quality.runs.store import QualityStore
from runtime.quality.runs.wallet import Wallet
from runtime.quality.signal_watch import SignalWatch
from runtime.record.decisions import DecisionIds
from runtime.record.metrics import Gauges, Metrics
from runtime.record.store import Store
from runtime.routing.plan import names
from runtime.routing.plan.plan import RoutingPolicy
from runtime.server.access_policy import AccessPolicy
from runtime.server.app import App
from runtime.server.hosts_and_origins import Origins
from runtime.server.live.feed import Feed
from runtime.server.live.series import Series
from runtime.server.pages.adapters import AdapterPages
from runtime.server.pages.audit import AuditPages
from runtime.server.pages.batches import BatchPages
from runtime.server.pages.catalogue import CatalogueModel, CataloguePage
from runtime.server.pages.conversations import PATH as RESPONSES
from runtime.server.pages.conversations import Conversations
from runtime.server.pages.cost import CostPages
from runtime.server.pages.counting import Counting
from runtime.server.pages.files import FilePages
from runtime.server.pages.fleet import FleetPage, FleetReport
from runtime.server.pages.keys import KeyPages
from runtime.server.pages.loading import LoadingPages
from runtime.server.pages.quality import QualityPages
from runtime.server.pages.responses import Responses
from runtime.server.pages.settings import SettingsPages
from runtime.server.routes import own_pages
from runtime.server.status import EngineStatus, StatusReport
from runtime.settings import BatchSettings, Escalation, Quality, Retries, Routes, Rule
from runtime.trust.audit.log import AuditLog
from runtime.trust.key_store import KeyStore
from runtime.trust.keys import Keys
from tests.fakes.engine import FakeEngine
from tests.fakes.grading import DirectGrader
from tests.fakes.house import FakeHouse
from tests.fakes.models import FakeAdapters, FakeModels, OwnCommands
from tests.fakes.served_app import served
from tests.fakes.upstream import FakeBackend


@dataclass
class Door:
    """`client` speaks to it; `slept` is what dispatch would have waited, in seconds."""

    url: str
    client: httpx.AsyncClient
    desk: Desk
    app: App
    engine: FakeEngine
    slept: list[float]
    lane: BatchLane
    batches: BatchStore
    feed: Feed
    series: Series
    house: FakeHouse
    models: FakeModels
    adapters: FakeAdapters
    quality: QualityLoop

    async def chat(self, text: str = "hi", *, model: str = "auto", **more: object) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return await self.client.post("/v1/chat/completions", json=body)


@dataclass
class Setup:
    """What a door is built from."""

    local: FakeBackend
    clouds: Iterable[FakeBackend] = ()
    escalation: Escalation = field(default_factory=Escalation)
    retries: Retries = field(default_factory=Retries)
    rules: tuple[Rule, ...] = ()
    aliases: dict[str, str] | None = None
    keys: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    local_admin: str | None = None
    origins: tuple[str, ...] = ()
    total_s: float = 5.0
    max_body: int = 1_000_000
    fetching: Fetching | None = None
    batch: BatchSettings = field(default_factory=BatchSettings)
    quality: Quality = field(default_factory=Quality)
    settings_file: Path | None = None
    report: Callable[[Desk], StatusReport] | None = None
    catalogue: list[CatalogueModel] = field(default_factory=list)


@contextlib.asynccontextmanager
async def opened(setup: Setup, folder: Path) -> AsyncIterator[Door]:
    engine = FakeEngine(setup.local)
    clouds = {backend.target.name: backend for backend in setup.clouds}
    fleet = LiveFleet(engine, setup.local, Clouds(clouds), setup.escalation, time.monotonic)
    directory = names.build(setup.local.target, [b.target for b in clouds.values()], setup.aliases or {})
    policy = RoutingPolicy(setup.escalation, setup.rules, Routes(default=tuple(clouds)), directory)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    store = Store(folder / "decisions.sqlite3", retention_days=1, max_mb=16, clock=time.time)
    metrics = Metrics(lambda: Gauges(engine.views()), ["local/small"])
    random = itertools.cycle((0.5,))
    effects = Effects(time.monotonic, lambda: next(random), sleep, setup.fetching)
    desk = Desk(
        Planner(policy),
        Dispatcher(fleet, setup.retries, effects),
        fleet,
        store,
        metrics,
        DecisionIds(time.time, 1),
        time.monotonic,
        time.time,
        setup.total_s,
        setup.max_body,
    )

    def report() -> StatusReport:
        if setup.report is not None:
            return setup.report(desk)
        return StatusReport(
            version="0", started_at=0, uptime_s=0, address="", engine=EngineStatus(model="small", device="cpu")
        )

    kept = KeyStore(folder, time.time)

    def access() -> AccessPolicy:
        return AccessPolicy(
            Keys(setup.keys, setup.admins, setup.local_admin, created=kept.admissions()), Origins(setup.origins)
        )

    def admit() -> None:
        app.policy = access()
        lane.owner = app.policy.keys.owner

    dialects: dict[str, Dialect] = {
        "/v1/chat/completions": ChatDialect(),
        "/v1/completions": COMPLETIONS,
        "/v1/embeddings": EMBEDDINGS,
        "/v1/rerank": RERANK,
        "/v1/messages": MESSAGES,
    }
    responses = ResponseStore(None, time.time)
    audit = AuditLog(folder / "audit")
    audit.views["answer"] = lambda made: {"decision": made.id}
    desk.settled = (*desk.settled, partial(audit.note, "answer"))
    audit.start()
    feed, series = Feed(desk, engine, report), Series(desk)
    house, models = FakeHouse(setup.settings_file), FakeModels("labels", "newer")
    adapters = FakeAdapters()
    note = partial(audit.note, "change")
    pages = own_pages(desk, report, 0.0, feed, series, note) | Responses(responses).table() | AuditPages(audit).table()
    pages |= LoadingPages(desk, models, OwnCommands(models), note, SettingsPages(desk, house, note)).table()
    pages |= AdapterPages(desk, adapters, note, SettingsPages(desk, house, note)).table()
    pages["POST", RESPONSES] = Conversations(desk, ResponsesDialect(), responses).answer
    pages["POST", COUNT_TOKENS] = Counting(desk).count
    batches = BatchStore(folder)
    made = for_any_body(dialects) | {RESPONSES: ResponsesDialect().session}
    lane = BatchLane(desk, batches, made, setup.batch, fleet.spare, idle_s=0.2, look_s=0.02)
    shown = BatchPages(desk, batches, lane, lambda: app.policy)
    pages |= FilePages(desk, batches, setup.batch).table() | shown.table()
    pages |= KeyPages(kept, admit, note, time.time).table() | SettingsPages(desk, house, note).table()
    pages |= CostPages(store, kept, time.time).table() | CataloguePage(lambda: tuple(setup.catalogue)).table()
    judged = QualityStore(folder)
    wallet = Wallet(folder, lambda: [each.target for each in clouds.values()])
    wallet.limit(setup.quality.daily_usd, "UTC")
    runner = Runner(desk, judged, Asker(desk, ChatDialect(), DirectGrader()), wallet)
    pace = Pace(look_s=0.05, start_s=1e9)
    quality = QualityLoop(desk, judged, runner, setup.quality, folder, DriftWatch(fleet, setup.quality), pace)
    judge = JudgeWatch(desk, judged, lambda since: (), setup.quality, JudgeFolders(folder, folder), lambda words: None)
    judges = Judges(desk, judge, GoldenJudge(desk, wallet, setup.quality.judge, lambda: judge.trusted))
    signals = SignalWatch(store, folder, time.time, lambda found: None)
    pages |= QualityPages(quality, wallet, judges, signals).table()
    pages |= FleetPage(lambda: FleetReport(PeerSummary())).table()
    app = App(desk, access(), dialects, pages)
    desk.settled = (
        *desk.settled,
        lambda made: app.limiter.spent(made.id, made.caller, made.prompt_tokens + made.completion_tokens),
    )
    store.start()
    working = asyncio.create_task(lane.run())
    evaluating = asyncio.create_task(quality.run())
    feeding = asyncio.create_task(feed.run())
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
            yield Door(
                url, client, desk, app, engine, slept, lane, batches, feed, series, house, models, adapters, quality
            )
    finally:
        working.cancel()
        feeding.cancel()
        evaluating.cancel()
        await asyncio.gather(working, feeding, evaluating, return_exceptions=True)
        batches.close()
        judged.close()
        wallet.close()
        responses.close()
        await asyncio.to_thread(store.close)
        await asyncio.to_thread(audit.close)
