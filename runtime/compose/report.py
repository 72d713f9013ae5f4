"""Fills `/hearth/status` from the parts of the process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from runtime import __version__
from runtime.chores import ChoreView
from runtime.compose.targets import retiring, unoffered
from runtime.fleet.fleet import LiveFleet
from runtime.life.desk import Desk
from runtime.server import status
from runtime.settings import Escalation, Server, Settings

_LOG_LINES = 20


class ProcessFacts(msgspec.Struct, frozen=True):
    """What only the process as a whole knows. Times are unix seconds.

    path: the settings file. refused: why the last reload was refused. pending: settings that are not in force.
    """

    started_at: float
    reloaded_at: float | None
    path: str | None
    refused: str | None
    pending: Sequence[str]
    chores: Sequence[ChoreView]
    troubles: Sequence[str | None] = ()  # of the stores on disk


def report(desk: Desk, settings: Settings, process: ProcessFacts) -> status.StatusReport:
    """The status at this moment."""
    fleet, wall = desk.fleet, desk.wall()
    notes = [each for each in process.troubles if each]
    notes += [f"{each.name}: {each.trouble}" for each in process.chores if each.trouble]
    return status.StatusReport(
        version=__version__,
        started_at=process.started_at,
        uptime_s=wall - process.started_at,
        address=address_of(settings.server),
        engine=_engine(fleet, desk.clock(), "attached" if settings.engine.url else settings.engine.device),
        load=_load(fleet),
        cloud_share=_cloud_share(fleet, settings.escalation) if settings.escalation.cloud_share else None,
        targets=_targets(fleet),
        in_flight=sum(fleet.in_flight.values()),
        decisions=tuple(map(status.brief, desk.latest)),
        not_in_force=tuple(process.pending),
        settings=status.SettingsStatus(path=process.path, reloaded_at=process.reloaded_at, error=process.refused),
        notes=(*notes, *unoffered(settings), *retiring(settings, datetime.fromtimestamp(wall, UTC).date())),
        chores=tuple(process.chores),
    )


def address_of(server: Server) -> str:
    """The address that clients use: the Unix socket if there is one, else host and port."""
    if server.socket:
        return f"unix:{server.socket}"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"http://{host}:{server.port}{server.path_prefix}"


def _engine(fleet: LiveFleet, now: float, device: str) -> status.EngineStatus:
    engine = fleet.engine
    views = engine.views()
    return status.EngineStatus(
        model=engine.model,
        device=device,
        replicas=tuple(status.replica_status(view, now) for view in views),
        gpus=tuple(map(status.gpu_status, engine.gpus())),
        log_tail=() if any(view.ready for view in views) else engine.log_tail(_LOG_LINES),
    )


def _load(fleet: LiveFleet) -> status.LoadStatus:
    load = fleet.load()
    if load is None:
        return status.LoadStatus()
    reading, pressure = load.reading, load.pressure
    return status.LoadStatus(
        waiting=reading.waiting,
        running=reading.running,
        predicted_ttft_ms=reading.predicted_ttft_s * 1000,
        kv_cache=reading.kv_cache,
        over=(pressure.over,) if pressure.over else (),
        words=pressure.words,
    )


def _cloud_share(fleet: LiveFleet, escalation: Escalation) -> status.CloudShareStatus:
    moved = fleet.cloud_share
    return status.CloudShareStatus(
        wanted=moved.wanted,
        share=moved.share,
        counted=moved.counted,
        thresholds={task: escalation.threshold(task, moved.shift) for task in escalation.thresholds},
    )


def _targets(fleet: LiveFleet) -> tuple[status.TargetStatus, ...]:
    breakers = fleet.breakers()
    rows = [
        status.TargetStatus(
            name=name,
            price_source=(backend.target.price and backend.target.price.source) or None,
            price_date=(backend.target.price and backend.target.price.date) or None,
            ttft_ms=round(1000 * ttft_s, 1) if (ttft_s := fleet.ttft_s(name)) is not None else None,
            label=backend.target.label,
            breaker=breakers[name],
            price_known=backend.target.price is not None,
            notes=backend.target.notes,
        )
        for name, backend in fleet.clouds.backends.items()
    ]
    rows += [
        status.TargetStatus(name=name, label=target.label, state="absent", why=why, price_known=False)
        for name, (target, why) in fleet.clouds.absent.items()
    ]
    return tuple(rows)
