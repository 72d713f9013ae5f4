"""The composition root: settings in, a runtime out. The one place, with `cli`, that knows clouds and local models both."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple

from cloud import backend as cloud
from cloud.client import CloudClient
from cloud.providers import NAMES, PROVIDERS
from local_models import fleet as local_fleet
from local_models.backend import LocalBackend, idle_target
from runtime import __version__
from runtime.contract.backend import Backend
from runtime.contract.engine import Engine, EngineSpec
from runtime.contract.targets import Target
from runtime.conversations.store import ResponseStore
from runtime.dialects import openai
from runtime.dialects.anthropic_messages.counting import PATH as COUNT_TOKENS
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_chat.signatures import SignatureCache
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.seam import Dialect
from runtime.dispatch.dispatcher import Dispatcher, Effects
from runtime.fleet.fleet import Clouds, LiveFleet
from runtime.life.planning import IdleFleet, IdlePlanner, Planner
from runtime.media.fetching import Fetching, direct, resolved
from runtime.record.breakers import BreakerFile
from runtime.record.decisions import DecisionIds
from runtime.record.metrics import Metrics, Reading
from runtime.record.store import Store
from runtime.routing.plan import names
from runtime.routing.plan.names import Lent
from runtime.routing.plan.plan import Policy
from runtime.server import status
from runtime.server.answering import Desk
from runtime.server.app import App
from runtime.server.gate import Gate
from runtime.server.hosts_and_origins import Origins
from runtime.server.pages.conversations import PATH as RESPONSES
from runtime.server.pages.conversations import Conversations
from runtime.server.pages.counting import Counting
from runtime.server.pages.responses import Responses
from runtime.server.routes import own_pages
from runtime.settings import Loaded, Settings, TargetSettings, load, not_in_force
from runtime.trust.keys import Keys

PROVIDER_NAMES = NAMES
ADAPTERS = frozenset(PROVIDERS)
_LISTEN_S = 1.0
_RETIRES_SOON = timedelta(days=30)


def load_settings(path: Path | None, env: Mapping[str, str]) -> Loaded:
    """The settings, with the providers this version knows. Raises SettingsError."""
    return load(path, env, PROVIDER_NAMES)


def pending(settings: Settings) -> list[str]:
    """What the settings say that this version does not do yet."""
    return not_in_force(settings, ADAPTERS)


class StateLocked(Exception):
    """Another runtime owns the state folder."""


def lock_state(folder: Path) -> IO[str]:
    """Makes the state folder ours until the file is closed. Raises StateLocked with the owner's pid."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (folder / "lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise StateLocked(f"the state folder {folder} is in use by process {owner}") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


# Targets


@dataclass(frozen=True, slots=True)
class _Target:
    """A configured target: what it is, and the account it is asked on."""

    target: Target
    account: cloud.Account


def _target(name: str, settings: Settings) -> _Target:
    said = settings.targets[name]
    account = cloud.Account(
        said.provider,
        said.base_url,
        said.key.value if said.key is not None else None,
        frozenset(said.certified),
        said.api_version,
        settings.timeouts_of(name),
    )
    plain = cloud.plain_capabilities(said.provider, said.model, own_server=said.base_url is not None)
    price = said.price.contract if said.price is not None else None
    return _Target(cloud.facts(name, account, said.model, said.capabilities(plain), price), account)


def _why_absent(name: str, said: TargetSettings, settings: Settings) -> str | None:
    if said.provider not in ADAPTERS:
        return f"{said.provider} cannot be called yet in this version"
    return settings.absent.get(name)


class _Targets(NamedTuple):
    """The targets that can be called, and those that cannot with the reason, by name."""

    usable: dict[str, _Target]
    absent: dict[str, tuple[Target, str]]


def _targets(settings: Settings) -> _Targets:
    usable: dict[str, _Target] = {}
    absent: dict[str, tuple[Target, str]] = {}
    for name, said in settings.targets.items():
        why = _why_absent(name, said, settings)
        if why is None:
            usable[name] = _target(name, settings)
        else:
            absent[name] = (Target(name, said.provider, said.model, certified=frozenset(said.certified)), why)
    return _Targets(usable, absent)


def _clouds(targets: _Targets, client: CloudClient) -> Clouds:
    usable, absent = targets

    def now() -> datetime:
        return datetime.now(UTC)

    def lend(lent: Lent) -> Backend:
        account = usable[lent.lender].account
        return cloud.connect(client, cloud.facts(lent.target, account, lent.model, None, None), account, now)

    backends = {name: cloud.connect(client, each.target, each.account, now) for name, each in usable.items()}
    return Clouds(backends, absent, lend)


def _policy(settings: Settings, local: Target, targets: _Targets) -> Policy:
    """Raises ValueError where HEARTH_MODEL names nothing of this box."""
    usable, absent = targets
    every = [usable[name].target if name in usable else absent[name][0] for name in settings.targets]
    directory = names.build(local, every, settings.aliases, absent=tuple(absent), override=settings.model_override)
    return Policy(settings.escalation, settings.rules, settings.routes, directory)


def retiring(settings: Settings, today: date) -> list[str]:
    """A sentence for every configured model that its provider ends soon, or has ended."""
    lines = []
    for name, said in settings.targets.items():
        known = cloud.plain_capabilities(said.provider, said.model, own_server=False)
        if known.retires_on is not None and known.retires_on <= today + _RETIRES_SOON:
            verb = "was retired" if known.retires_on < today else "will be retired"
            lines.append(
                f"target {name}: {said.model} {verb} by its provider on {known.retires_on}: choose its successor"
            )
    return lines


# The engine


def engine_spec(settings: Settings, folder: Path) -> EngineSpec:
    said = settings.engine
    length = said.max_model_len
    return EngineSpec(
        model=said.model,
        state_dir=folder,
        device=said.device,
        replicas=said.replicas,
        max_model_len=length if isinstance(length, int) else None,
        gpu_memory_utilization=said.gpu_memory_utilization,
        args=said.args,
        urls=said.url,
        key=said.key.value if said.key is not None else None,
        python=said.python,
        offline=said.offline,
        start_timeout_s=said.start_timeout,
        hang_after_s=said.hang_after,
        canary_s=said.canary_timeout,
        drain_s=said.drain,
        backoff_first_s=said.backoff_first,
        backoff_most_s=said.backoff_most,
        give_up_after=said.give_up_after,
    )


def _local_facts(settings: Settings) -> Target:
    """The engine's target before there is an engine: for decisions about an idle box."""
    spec = engine_spec(settings, Path())
    return idle_target(spec, frozenset(settings.engine.certified), settings.timeouts_of("local"))


def offline_planner(settings: Settings) -> IdlePlanner:
    """Decides as a runtime on an idle box would. Opens no socket, starts nothing."""
    local = _local_facts(settings)
    targets = _targets(settings)
    usable, absent = targets
    accounts = {name: each.account for name, each in usable.items()}

    def lend(lent: Lent) -> Target:
        return cloud.facts(lent.target, accounts[lent.lender], lent.model, None, None)

    fleet = IdleFleet(local, {name: each.target for name, each in usable.items()}, absent, lend)
    return IdlePlanner(Planner(_policy(settings, local, targets)), fleet, time.monotonic)


# The runtime


class Runtime:
    """Everything that lives in the process, wired. `notice` takes one line of progress for the operator."""

    def __init__(self, loaded: Loaded, env: Mapping[str, str], folder: Path, notice: Callable[[str], None]) -> None:
        settings = loaded.settings
        self.settings, self.loaded, self._notice = settings, loaded, notice
        self.reloaded_at: float | None = None
        self.refused: Callable[[], str | None] = lambda: None  # why the last reload was refused
        self.started_at = time.time()
        self.engine: Engine = local_fleet.local_engine(
            engine_spec(settings, folder), environ=env, clock=time.monotonic, secrets=_secret_names(settings, env)
        )
        local = LocalBackend(
            self.engine,
            frozenset(settings.engine.certified),
            settings.timeouts_of("local"),
            ours=not settings.engine.url,
        )
        targets = _targets(settings)
        self.cloud_client = CloudClient(env)
        clouds = _clouds(targets, self.cloud_client)
        self.fleet = LiveFleet(
            self.engine, local, clouds, settings.escalation, time.monotonic, alone=not settings.engine.url
        )
        self._breaker_file = BreakerFile(folder / "breakers.json")
        self.fleet.remember(self._breaker_file.read(time.time()))
        self._fetching = Fetching(settings.media, resolved, direct)
        effects = Effects(time.monotonic, random.random, asyncio.sleep, self._fetching)
        self.store = Store(
            folder / "decisions.sqlite3",
            retention_days=settings.records.retention_days,
            max_mb=settings.records.max_mb,
            clock=time.time,
            notice=notice,
        )
        self.metrics = Metrics(self._reading, self._labels(clouds))
        self.desk = Desk(
            planner=Planner(_policy(settings, local.target, targets)),
            dispatcher=Dispatcher(self.fleet, settings.retries, effects),
            fleet=self.fleet,
            store=self.store,
            metrics=self.metrics,
            ids=DecisionIds(time.time, secrets.randbits(20)),
            clock=time.monotonic,
            wall=time.time,
            total_s=settings.timeouts.total,
            max_body=settings.server.max_body_mb * 1_000_000,
        )
        self.responses = ResponseStore(folder / "responses.sqlite3", time.time)
        self.app = self._door()

    def _door(self) -> App:
        """Every path, with what answers there."""
        pages = own_pages(self.desk, self.report, self.started_at)
        pages["POST", COUNT_TOKENS] = Counting(self.desk).count
        signatures = SignatureCache()
        dialect = ResponsesDialect(signatures=signatures)
        pages["POST", RESPONSES] = Conversations(self.desk, dialect, self.responses).answer
        pages |= Responses(self.responses).table()
        return App(self.desk, _gate(self.settings), _dialects(signatures), pages)

    def apply(self, settings: Settings) -> None:
        """Other settings in force, between two requests. Engine, address and records wait for a restart.

        Raises ValueError, and changes nothing, where what runs cannot take them.
        """
        targets = _targets(settings)
        clouds, policy = _clouds(targets, self.cloud_client), _policy(settings, self.fleet.local.target, targets)
        self.fleet.reload(clouds, settings.escalation)
        self.desk.planner.policy = policy
        self.desk.dispatcher.retries = settings.retries
        self._fetching.media = settings.media
        self.desk.total_s = settings.timeouts.total
        self.desk.max_body = settings.server.max_body_mb * 1_000_000
        self.app.gate = _gate(settings)
        self.metrics.know(self._labels(clouds))
        self.settings = settings
        self.reloaded_at = time.time()

    async def listen(self) -> None:
        """Hears what the engine says of itself, until cancelled."""
        while True:
            self.fleet.listen()
            self._breaker_file.write(self.fleet.open_breakers(), time.time())
            await asyncio.sleep(_LISTEN_S)

    def _labels(self, clouds: Clouds) -> list[str]:
        return [self.fleet.local.target.label, *(backend.target.label for backend in clouds.backends.values())]

    def _reading(self) -> Reading:
        return Reading(
            self.engine.views(),
            self.engine.gpus(),
            self.fleet.predicted_ttft_ms(),
            {self.fleet.target(name).label: state for name, state in self.fleet.breakers().items()},
            self.fleet.in_flight,
            self.store.dropped,
        )

    def report(self) -> status.StatusReport:
        """`/hearth/status`."""
        now = time.monotonic()
        views = self.engine.views()
        settings = self.settings
        troubled = not any(view.ready for view in views)
        server = settings.server
        return status.StatusReport(
            version=__version__,
            started_at=self.started_at,
            uptime_s=time.time() - self.started_at,
            address=f"http://{server.host}:{server.port}",
            engine=status.EngineStatus(
                model=self.engine.model,
                device="attached" if settings.engine.url else settings.engine.device,
                replicas=tuple(status.replica_status(view, now) for view in views),
                gpus=tuple(map(status.gpu_status, self.engine.gpus())),
                log_tail=self.engine.log_tail(20) if troubled else (),
            ),
            load=self._load(),
            targets=self._targets(),
            in_flight=sum(self.fleet.in_flight.values()),
            decisions=tuple(map(status.brief, self.desk.latest)),
            not_in_force=tuple(pending(settings)),
            settings=status.SettingsStatus(
                path=str(self.loaded.file) if self.loaded.file else None,
                reloaded_at=self.reloaded_at,
                error=self.refused(),
            ),
            notes=(
                *((self.store.trouble,) if self.store.trouble else ()),
                *retiring(settings, datetime.now(UTC).date()),
            ),
        )

    def _load(self) -> status.LoadStatus:
        seen = self.fleet.load()
        if seen is None:
            return status.LoadStatus()
        reading, pressure = seen
        return status.LoadStatus(
            waiting=reading.waiting,
            running=reading.running,
            predicted_ttft_ms=reading.predicted_ttft_s * 1000,
            kv_cache=reading.kv_cache,
            over=(pressure.over,) if pressure.over else (),
            words=pressure.words,
        )

    def _targets(self) -> tuple[status.TargetStatus, ...]:
        breakers = self.fleet.breakers()
        rows = [
            status.TargetStatus(
                name=name,
                label=backend.target.label,
                breaker=breakers[name],
                price_known=backend.target.price is not None,
                notes=backend.target.notes,
            )
            for name, backend in self.fleet.clouds.backends.items()
        ]
        rows += [
            status.TargetStatus(name=name, label=target.label, state="absent", why=why, price_known=False)
            for name, (target, why) in self.fleet.clouds.absent.items()
        ]
        return tuple(rows)


def _dialects(signatures: SignatureCache) -> dict[str, Dialect]:
    """The wires of the door, by path. signatures: what models want back, whichever wire their client speaks."""
    return {
        "/v1/chat/completions": ChatDialect(wall=time.time, signatures=signatures),
        "/v1/completions": openai.COMPLETIONS,
        "/v1/embeddings": openai.EMBEDDINGS,
        "/v1/messages": MESSAGES,
    }


def _gate(settings: Settings) -> Gate:
    return Gate(Keys(key.reveal() for key in settings.server.keys), Origins(settings.server.cors))


def _secret_names(settings: Settings, env: Mapping[str, str]) -> frozenset[str]:
    """Variables that hold our keys: no engine inherits them."""
    values = {key.value for key in settings.server.keys}
    values |= {target.key.value for target in settings.targets.values() if target.key is not None}
    return frozenset(name for name, value in env.items() if value and value in values)
