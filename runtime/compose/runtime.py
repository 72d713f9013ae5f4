"""The process, wired: settings in, a runtime out. The one place, with `cli`, that knows clouds and local models both."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from msgspec import structs

from cloud.client import CloudClient
from cloud.prices import update
from cloud.providers import NAMES
from local_models.models.planner import ModelCase
from runtime.batch.lane import BatchLane, for_any_body
from runtime.batch.store import BatchStore
from runtime.chores import Chores
from runtime.compose.baseline import tally_of
from runtime.compose.budget import beside_others, budget_of, dollars_of, put_in_force
from runtime.compose.catalogue import listed
from runtime.compose.confidence import maps_folder, read_maps
from runtime.compose.door import access_policy
from runtime.compose.effect import without_effect
from runtime.compose.house import LiveHouse
from runtime.compose.local import LocalRoom
from runtime.compose.price_list import PriceList
from runtime.compose.quality import QualityRoom
from runtime.compose.report import ProcessFacts, drawn, report, runs_on
from runtime.compose.targets import certificates, clouds, policy, targets
from runtime.compose.telemetry import OutgoingTelemetry
from runtime.contract.engine import Engine, ReplicaState
from runtime.contract.targets import LOCAL
from runtime.conversations.store import ResponseStore
from runtime.dialects.anthropic_messages.counting import PATH as COUNT_TOKENS
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.format import CHECKS
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.pooling import EMBEDDINGS, RERANK
from runtime.dialects.seam import Dialect
from runtime.dispatch.candidates import Dispatcher
from runtime.dispatch.job import Effects
from runtime.fleet.fleet import Clouds
from runtime.fleet.peers import PeerSummary
from runtime.life.desk import Desk
from runtime.life.planning import Planner
from runtime.media.fetching import Fetching, direct, resolved
from runtime.notices import BUDGET_SPENT, ENGINE_GIVEN_UP, Notices
from runtime.quality.sample.sample import Sample
from runtime.record.breakers import BreakerFile, OpenTime
from runtime.record.decisions import Decision, DecisionIds, placement
from runtime.record.metrics import FleetGauges, Gauges, Metrics
from runtime.record.store import Store
from runtime.routing.plan.plan import RoutingPolicy
from runtime.server.app import App
from runtime.server.live.feed import Feed
from runtime.server.live.series import Series
from runtime.server.pages.audit import AuditPages
from runtime.server.pages.batches import BatchPages
from runtime.server.pages.catalogue import CataloguePage
from runtime.server.pages.conversations import PATH as RESPONSES
from runtime.server.pages.conversations import Conversations
from runtime.server.pages.cost import CostPages
from runtime.server.pages.counting import Counting
from runtime.server.pages.files import FilePages
from runtime.server.pages.fleet import FleetPage, FleetReport
from runtime.server.pages.keys import KeyPages
from runtime.server.pages.responses import Responses
from runtime.server.pages.settings import SettingsPages
from runtime.server.routes import own_pages
from runtime.server.status import StatusReport
from runtime.settings import Loaded, Settings, load
from runtime.trust.audit.log import AuditLog
from runtime.trust.guard import ExitGuard
from runtime.trust.key_store import KeyStore

_LISTEN_S = 1.0
_BATCH_IN_CLOUDS = 8  # lines at a time while there is no engine


def load_settings(path: Path | None, env: Mapping[str, str], *, keyless: bool = False) -> Loaded:
    """The settings, with the providers this version knows. keyless: no key needs a value. Raises SettingsError."""
    return load(path, env, NAMES, keyless=keyless)


class Runtime:
    """Everything that lives in the process. notice: takes one line of progress for the operator; it never raises.

    fatal: ends the process on purpose, with a sentence. chores: the background tasks; who serves starts them.
    """

    reloaded_at: float | None = None

    def __init__(
        self,
        loaded: Loaded,
        env: Mapping[str, str],
        folder: Path,
        notice: Callable[[str], None],
        fatal: Callable[[str], None],
    ) -> None:
        settings = loaded.settings
        self.settings, self.loaded, self._env, self._folder, self._notice = settings, loaded, env, folder, notice
        self.house, self.started_at = LiveHouse(loaded, folder), time.time()
        self.chores, self._cloud_client = Chores(fatal, clock=time.monotonic), CloudClient(env)
        self.audit = AuditLog(folder / "audit", notice=notice, keep_days=settings.records.audit_days)
        self.guard = ExitGuard(certificates(settings), partial(self.audit.note, "departure"))
        self.notices = Notices(settings.notices, self.guard, time.time, env)
        self.local = LocalRoom(settings, folder, env, self.guard, notice)
        self.engine: Engine = self.local.engine
        self.audit.views["answer"] = partial(placement, self.engine.on_box)
        callable_clouds = clouds(known := targets(settings), self._cloud_client, self.guard)
        self.fleet = self.local.fleet(settings, callable_clouds)
        self.fleet.budget = self.budget = budget_of(settings, folder, notice, partial(self.notices.give, BUDGET_SPENT))
        self._breaker_file = BreakerFile(folder / "breakers.json")
        self.fleet.remember(self._breaker_file.read(time.time()))
        self._fetching = Fetching(settings.media, self.guard, resolved, direct)
        self.store = Store(
            folder / "decisions.sqlite3",
            retention_days=settings.records.retention_days,
            max_mb=settings.records.max_mb,
            clock=time.time,
            notice=notice,
        )
        decides = replace(policy(settings, self.fleet.local.target, known), confidence=read_maps(settings, env, folder))
        self.desk = self._desk(settings, decides, callable_clouds)
        self.price_list = PriceList(partial(update, self.guard), time.monotonic)
        self.responses, self.batches = ResponseStore(folder / "responses.sqlite3", time.time), BatchStore(folder)
        self._door(QualityRoom(self.desk, loaded, folder, self.notices.give, self.sample.rows))

    def _desk(self, settings: Settings, decides: RoutingPolicy, callable_clouds: Clouds) -> Desk:
        """The desk over the fleet. Each settled decision is a record of the audit log too."""
        metrics = Metrics(self._reading, self._labels(callable_clouds))
        self.telemetry = OutgoingTelemetry(settings, self._env, self.guard, metrics.families)
        effects = Effects(time.monotonic, random.random, asyncio.sleep, self._fetching, trace=self.telemetry.trace)
        desk = Desk(
            planner=Planner(decides),
            dispatcher=Dispatcher(self.fleet, settings.retries, effects),
            fleet=self.fleet,
            store=self.store,
            metrics=metrics,
            ids=DecisionIds(time.time, secrets.randbits(20), settings.fleet.name if settings.fleet.key else ""),
            clock=time.monotonic,
            wall=time.time,
            total_s=settings.timeouts.total,
            max_body=settings.server.max_body_mb * 1_000_000,
        )
        desk.privacy = settings.privacy
        answered = partial(self.audit.note, "answer")
        desk.settled = (*desk.settled, answered, *self.telemetry.settled)
        self.sample = Sample(self._folder, settings.quality.sample, time.time)
        desk.sample = self.sample if settings.quality.sample.keep else None
        desk.evaluated = (*desk.evaluated, answered)
        desk.delivers = partial(self.audit.note, "delivery")
        return desk

    def _door(self, quality: QualityRoom) -> None:
        """The app: every path, with the handler that answers it."""
        self.quality = quality
        # Reasoning signatures that models want back, for clients of every wire that drop unknown members.
        signatures = SignatureCache()
        note = partial(self.audit.note, "change")
        self.feed, self.series = Feed(self.desk, self.engine, self.report), Series(self.desk)
        pages = own_pages(self.desk, self.report, self.started_at, self.feed, self.series, note)
        written = SettingsPages(self.desk, self.house, note)
        pages |= self.local.pages(self.desk, note, written, self._rename) | written.table()
        pages |= CataloguePage(lambda: listed(self.fleet, self.settings)).table()
        pages["POST", COUNT_TOKENS] = Counting(self.desk).count
        dialect = ResponsesDialect(signatures=signatures, owner=self.desk.ids.owner)
        pages["POST", RESPONSES] = Conversations(self.desk, dialect, self.responses).answer
        pages |= Responses(self.responses).table() | AuditPages(self.audit).table() | self.quality.pages
        dialects: dict[str, Dialect] = {
            "/v1/chat/completions": ChatDialect(wall=time.time, signatures=signatures),
            "/v1/completions": COMPLETIONS,
            "/v1/embeddings": EMBEDDINGS,
            "/v1/rerank": RERANK,
            "/v1/messages": MESSAGES,
        }
        made = for_any_body(dialects) | {RESPONSES: dialect.session}
        self.lane = BatchLane(self.desk, self.batches, made, self.settings.batch, self._room_for_batches)
        self._files = FilePages(self.desk, self.batches, self.settings.batch)
        keys = KeyStore(self._folder, time.time)
        pages |= KeyPages(keys, self.admit, note, time.time).table()
        pages |= CostPages(self.store, keys, time.time, partial(beside_others, self.budget)).table()
        batches = BatchPages(self.desk, self.batches, self.lane, lambda: self.app.policy)
        pages |= self._files.table() | batches.table()
        pages |= FleetPage(self._fleet_report).table()
        self._peers = self.shared = None
        if self.settings.fleet.key is not None or self.settings.fleet.store:
            from runtime.compose.peers import PeerRoom  # noqa: PLC0415 - nothing of a fleet is loaded where there is none

            self._peers = PeerRoom(self.desk, self.settings, self.guard)
            pages = self._peers.around(pages, self._fleet_report, self.responses)
        self.app = App(self.desk, access_policy(self.settings, self._folder), dialects, pages)
        self.app.hops = self._peers.admit if self._peers is not None else None
        if self._peers is not None and self.settings.fleet.store:
            from runtime.compose.store import StoreRoom  # noqa: PLC0415 - the same

            self.shared = StoreRoom(self.desk, self.budget, self.settings, self._folder, self.admit, self._peers)
            self.app.limiter = self.shared.limiter
        self._autoscale = None
        if self.settings.autoscale.ray:
            from runtime.compose.autoscale import autoscale_room  # noqa: PLC0415 - the same

            self._autoscale = autoscale_room(self.desk, self.settings, self.shared.store.lease if self.shared else None)
        self._bind_keys()

    def _fleet_report(self) -> FleetReport:
        """`/hearth/fleet`, with this Hearth alone where it has no peers."""
        own, ready = self.fleet.local.target.model, self.fleet.engine_ready
        alone = FleetReport(PeerSummary(self.settings.fleet.name, own, ready))
        report = alone if self._peers is None else self._peers.report()
        if self.shared is None:
            return report
        return structs.replace(report, store=self.shared.store.standing(), attached=self.shared.attached())

    def admit(self) -> None:
        """Reads the keys anew and puts them in force."""
        self.app.policy = access_policy(self.settings, self._folder)
        self._bind_keys()

    def _bind_keys(self) -> None:
        """The keys' limits hold for batches too. Answers are counted only where a key has a limit on its tokens."""
        self.lane.owner = self.app.policy.keys.owner
        put_in_force(self.budget, self.settings, self.app.policy.keys.owners)
        others = tuple(each for each in self.desk.settled if each != self._count)
        self.desk.settled = (*others, self._count) if self.app.policy.keys.counted else others

    def _count(self, made: Decision) -> None:
        self.desk.limiter.spent(made.id, made.caller, made.prompt_tokens + made.completion_tokens)
        if made.completion_tokens:
            self.desk.lengths.learn(made.caller, made.completion_tokens)

    async def reload(self, settings: Settings) -> None:
        """Puts other settings in force. Raises ValueError, and changes nothing, where what runs cannot take them."""
        self.apply(settings, await self.local.models.judged(settings))

    def apply(self, settings: Settings, cases: Mapping[str, ModelCase] | None = None) -> None:
        """Puts other settings in force, between two requests. Engine, address and records wait for a restart.

        cases: of the local models beside the engine's own; None: these are as they were. Raises ValueError, and changes
        nothing, where what runs cannot take them.
        """
        known, local = targets(settings), self.fleet.local.target
        callable_clouds = clouds(known, self._cloud_client, self.guard)
        decides = replace(
            policy(settings, local, known, self.engine.served, self.local.adapters.targets()),
            confidence=self.desk.planner.policy.confidence,
        )
        self.guard.certified = certificates(settings)
        if cases is not None:
            self.local.models.apply(settings, cases)
            self.fleet.rehouse(self.local.models.targets)
        self.fleet.reload(callable_clouds, settings.escalation)
        self.store.tally = tally_of(settings, known)
        self.desk.planner.policy = decides
        self.desk.dispatcher.retries = settings.retries
        self._fetching.media = settings.media
        self.desk.total_s, self.desk.privacy = settings.timeouts.total, settings.privacy
        self.desk.max_body = settings.server.max_body_mb * 1_000_000
        self.desk.metrics.know(self._labels(callable_clouds))
        self.lane.settings = self._files.settings = settings.batch
        self.sample.settings = settings.quality.sample
        self.desk.sample = self.sample if settings.quality.sample.keep else None
        self.settings, self.notices.settings = settings, settings.notices
        self.quality.apply(settings)
        self.local.want(settings)
        self._rename()
        if self._peers is not None:
            self._peers.apply(settings)
        if self._autoscale is not None:
            self._autoscale.apply(settings)
        self.admit()

    def record(self) -> None:
        """Starts the threads that write decisions and the audit log, and send telemetry. `aclose` ends them."""
        self.store.tally = tally_of(self.settings, targets(self.settings))
        self.store.start()
        self.audit.start()
        self.telemetry.start()

    def background(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """The chores that run as long as the process, by name."""
        return {
            "telemetry": self.listen,
            "events": self.feed.run,
            "series": self.series.run,
            "names": self.follow_names,
            "batches": self.lane.run,
            "quality": self.quality.loop.run,
            "judge": self.quality.judge.run,
            "signals": self.quality.signals.run,
            "sample": self.sample.run,
            "prices": lambda: self.price_list.run(
                lambda: self.settings.prices.update, lambda: self.apply(self.settings)
            ),
            "notices": self.notices.run,
            **({"peers": self._peers.run} if self._peers is not None and self._peers.admit is not None else {}),
            **(self.shared.chores() if self.shared is not None else {}),
            **self.local.chores(),
            **({"autoscale": self._autoscale.run} if self._autoscale is not None else {}),
        }

    async def listen(self) -> None:
        """Takes telemetry and new confidence maps in, until cancelled. The breakers are kept for the next start."""
        maps, seen = maps_folder(self._folder), None
        opened = OpenTime(self.store.opened, time.monotonic())
        lost = set[str]()  # replicas that were given up
        while True:
            for view in self.engine.views():
                if view.state is ReplicaState.GIVEN_UP and view.name not in lost:
                    self.notices.give(ENGINE_GIVEN_UP, f"{view.name} of {self.engine.model} was given up: {view.cause}")
            lost = {view.name for view in self.engine.views() if view.state is ReplicaState.GIVEN_UP}
            self.fleet.listen()
            self.local.speeds.learn(self.fleet.speeds(), time.monotonic())
            self.audit.trim()
            self._breaker_file.write(self.fleet.open_breakers(), time.time())
            opened.look([label for label, state in self._breakers().items() if state == "open"], time.monotonic())
            # Another revision of the model may be here since the engine started.
            mark = (maps.stat().st_mtime_ns if maps.is_dir() else 0, self.engine.revision)
            if mark != seen:
                seen, found = mark, read_maps(self.settings, self._env, self._folder)
                self.desk.planner.policy = replace(self.desk.planner.policy, confidence=found)
            await asyncio.sleep(_LISTEN_S)

    async def follow_names(self) -> None:
        """Takes the names of the engine's models in as they change, until cancelled."""
        seen = -1
        while True:
            seen = await self.engine.changed(seen)
            self._rename()

    def _rename(self) -> None:
        """The names of local models and adapters, as they are now, in force."""
        served, adapters = self.engine.served, self.local.adapters.targets()
        with contextlib.suppress(
            ValueError
        ):  # HEARTH_MODEL names a model that the engine has no more: the old ones hold
            decides = policy(self.settings, self.fleet.local.target, targets(self.settings), served, adapters)
            self.desk.planner.policy = replace(decides, confidence=self.desk.planner.policy.confidence)
        self.desk.metrics.know(self._labels(self.fleet.clouds))

    async def aclose(self) -> None:
        """Closes the connections to clouds and the records. The decisions written last reach the disk first."""
        await self._cloud_client.aclose()
        CHECKS.close()
        self.responses.close()
        self.batches.close()
        self.quality.close()
        self.sample.close()
        if self.shared is not None:
            await self.shared.aclose()
        self.budget.close()
        await asyncio.to_thread(self.telemetry.close)
        await asyncio.to_thread(self.store.close)
        await asyncio.to_thread(self.audit.close)

    def report(self) -> StatusReport:
        """`/hearth/status`."""
        process = ProcessFacts(
            started_at=self.started_at,
            reloaded_at=self.reloaded_at,
            path=str(self.loaded.file) if self.loaded.file else None,
            refused=self.house.refusal,
            without_effect=without_effect(self.settings, self._env),
            chores=self.chores.views(),
            troubles=(
                self.store.trouble,
                self.responses.trouble,
                self.batches.trouble,
                self.audit.trouble,
                self.budget.trouble,
                *self.quality.troubles,
                self.sample.trouble,
                self.telemetry.trouble,
                self.price_list.trouble,
                *self.local.troubles,
                self.notices.trouble,
                self.app.policy.keys.trouble,
                *(self._peers.peers.troubles() if self._peers is not None else ()),
                self.shared.trouble if self.shared is not None else None,
                self._autoscale.trouble if self._autoscale is not None else None,
            ),
            autoscale=self._autoscale.report() if self._autoscale is not None else None,
        )
        return report(self.desk, self.settings, process)

    def _room_for_batches(self, own: int) -> int:
        """Lines that may start now. Those that may leave the box do not wait for an engine that is not up."""
        if self.settings.batch.escalate and not self.fleet.engine_ready:
            return max(0, _BATCH_IN_CLOUDS - own)
        return self.fleet.spare(own)

    def _labels(self, known: Clouds) -> list[str]:
        models = [each.backend.target.label for each in self.fleet.models.values()]
        adapters = [f"{LOCAL}/{each.name}" for each in self.local.adapters.views()]
        return [
            self.fleet.local.target.label,
            *models,
            *adapters,
            *(backend.target.label for backend in known.backends.values()),
        ]

    def _breakers(self) -> dict[str, str]:
        """The state of each breaker, by the label of its target."""
        return {self.fleet.backend(name).target.label: state for name, state in self.fleet.breakers().items()}

    def _reading(self) -> Gauges:
        fleet = self.fleet
        return Gauges(
            self.engine.views(),
            self.engine.gpus(),
            fleet.predicted_ttft_ms(),
            self._breakers(),
            fleet.in_flight,
            self.store.dropped,
            self.chores.views(),
            self.telemetry.dropped,
            dollars_of(self.budget) if fleet.clouds.backends else {},
            drawn(self.settings.escalation),
            self.house.refusal is not None,
            self.reloaded_at or self.started_at,
            self.engine.model,
            runs_on(self.settings.engine, self.engine.gpus()),
            len(self.feed.viewers),
            {(gone.target, gone.task): 1.0 for gone in self.quality.watch.demoted},
            self.quality.judge_gauges(),
            fleet=self._peers.gauges() if self._peers is not None else FleetGauges(),
            store=0.0 if self.shared is None else self.shared.store.away_s() or 0.0,
            others=self.shared.gauges() if self.shared is not None else {},
            autoscale=self._autoscale.gauges() if self._autoscale is not None else {},
        )
