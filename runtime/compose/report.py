"""Fills `/hearth/status` from the parts of the process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import islice

import msgspec

from runtime import __version__
from runtime.chores import ChoreView
from runtime.compose.targets import retiring, unoffered
from runtime.contract.targets import LOCAL
from runtime.fleet.fleet import LiveFleet
from runtime.life.desk import Desk
from runtime.money.budget import ALL, KEY, BudgetLedger
from runtime.server import status
from runtime.settings import EngineSettings, Escalation, Server, Settings

_LOG_LINES = 20
_MOST_RUNNING = 100


class ProcessFacts(msgspec.Struct, frozen=True):
    """What only the process as a whole knows. Times are unix seconds.

    path: the settings file. refused: why the last reload was refused. without_effect: on this box.
    """

    started_at: float
    reloaded_at: float | None
    path: str | None
    refused: str | None
    without_effect: Sequence[str]
    chores: Sequence[ChoreView]
    troubles: Sequence[str | None] = ()  # of the stores on disk
    autoscale: status.AutoscaleStatus | None = None


def report(desk: Desk, settings: Settings, process: ProcessFacts) -> status.StatusReport:
    """The status at this moment."""
    fleet, wall = desk.fleet, desk.wall()
    notes = [each for each in process.troubles if each]
    notes += [f"{each.name}: {each.trouble}" for each in process.chores if each.trouble]
    notes += [f"{fleet.local.target.label} is {words}" for words in demotions_of(fleet, LOCAL)]
    return status.StatusReport(
        version=__version__,
        started_at=process.started_at,
        uptime_s=wall - process.started_at,
        address=address_of(settings.server),
        engine=_engine(fleet, settings, desk.clock()),
        models=models_of(fleet, desk.clock()),
        load=_load(fleet),
        cloud_share=_cloud_share(fleet, settings.escalation) if settings.escalation.cloud_share else None,
        targets=_targets(fleet, settings, desk.clock()),
        thresholds=thresholds_of(settings.escalation),
        draining=desk.draining,
        running=running(desk),
        budget=_budget(fleet.budget) if fleet.budget is not None and fleet.clouds.backends else None,
        autoscale=process.autoscale,
        in_flight=sum(fleet.in_flight.values()),
        decisions=tuple(map(status.brief, desk.latest)),
        not_in_force=tuple(process.without_effect),
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


def runs_on(settings: EngineSettings, gpus: Collection[object]) -> str:
    """The device that the engine runs on: "cuda", "cpu" or "attached"."""
    if settings.url:
        return "attached"
    return settings.device if settings.device != "auto" else "cuda" if gpus else "cpu"


def _engine(fleet: LiveFleet, settings: Settings, now: float) -> status.EngineStatus:
    engine = fleet.engine
    views, gpus = engine.views(), engine.gpus()
    # Log lines may hold prompts. Where there are keys, not everybody who may read the status may read them.
    hidden = bool(settings.server.keys) or any(view.ready for view in views)
    return status.EngineStatus(
        model=engine.model,
        device=runs_on(settings.engine, gpus),
        replicas=tuple(status.replica_status(view, now) for view in views),
        gpus=tuple(map(status.gpu_status, gpus)),
        log_tail=() if hidden else engine.log_tail(_LOG_LINES),
    )


def models_of(fleet: LiveFleet, now: float) -> tuple[status.ModelStatus, ...]:
    """The local models beside the engine's own."""
    predicted = fleet.predicted_ttft_ms() if fleet.models else {}
    rows = []
    for target in fleet.models.values():
        lane = target.backend.lanes[0]
        ttft_ms = round(predicted[lane.name], 1) if lane.ready else None
        rows.append(
            status.model_status(target.house.view(target.name), now, target.engine.views()[0].in_flight, ttft_ms)
        )
    return tuple(rows)


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


def demotions_of(fleet: LiveFleet, name: str) -> tuple[str, ...]:
    """The demotions of a target in force, in words. name: in a picture; the engine's is "local"."""
    return tuple([by[name].words for by in fleet.demoted.values() if name in by])


def drawn(escalation: Escalation) -> dict[str, float]:
    """The thresholds that are numbers, by kind, as `/metrics` has them."""
    found = thresholds_of(escalation)
    kinds = {
        "ttft_seconds": found.ttft_ms / 1000,
        "queue": found.queue,
        "kv_cache": found.kv_cache,
        "gpu": found.gpu,
        "release": found.release,
        "complexity": found.complexity,
        "context_tokens": found.context_tokens,
    }
    return {kind: float(value) for kind, value in kinds.items() if value is not None}


def thresholds_of(escalation: Escalation) -> status.ThresholdStatus:
    names = ("queue_depth", "kv_cache", "gpu_utilization")
    return status.ThresholdStatus(
        ttft_ms=escalation.ttft_ms,
        queue=escalation.queue_limit,
        kv_cache=escalation.kv_limit,
        gpu=escalation.gpu_limit,
        release=escalation.release,
        complexity=escalation.threshold("default"),
        context_tokens=escalation.context_tokens,
        auto=tuple(name for name in names if getattr(escalation, name) == "auto"),
    )


def running(desk: Desk) -> tuple[status.RunningStatus, ...]:
    """The requests under way, oldest first, the first hundred of them."""
    now, rows = desk.clock(), []
    for job, plan, outcome, _ in islice(desk.running.values(), _MOST_RUNNING):
        target = outcome.target or (plan.candidates[0].target if plan.candidates else None)
        # The content of an answer that is wanted whole is seen at its end, and so are its tokens.
        streamed = job.facts.stream and job.facts.hints.delivery == "live"
        tokens = outcome.meter.tokens if outcome.meter is not None else 0 if streamed else None
        since = None if outcome.first_token is None else now - outcome.first_token
        rows.append(
            status.RunningStatus(
                id=job.id,
                model=job.facts.model,
                target=target.label if target else "",
                phase="generating" if outcome.target is not None else "waiting" if streamed else "running",
                for_s=round(now - job.arrived, 2),
                prompt_tokens=job.facts.prompt_tokens,
                tokens=tokens,
                tokens_per_s=round(tokens / since, 1) if since and tokens and tokens > 1 else None,
            )
        )
    return tuple(rows)


def _budget(budget: BudgetLedger) -> status.BudgetStatus:
    limits = [
        status.BudgetLimitStatus(
            period=each.span,
            name=each.period,
            ends_in_s=each.ends_in_s,
            spent_usd=each.spent_usd,
            reserved_usd=each.reserved_usd,
            limit_usd=each.limit_usd,
            left_usd=each.left_usd,
            others_usd=each.others_usd,
            others_spent_usd=each.others_spent_usd,
            target=None if each.scope == ALL or each.scope.startswith(KEY) else each.scope,
            key=each.scope.removeprefix(KEY) if each.scope.startswith(KEY) else None,
            spent=each.is_spent,
        )
        for each in budget.standings()
    ]
    return status.BudgetStatus(when_spent=budget.when_spent, limits=tuple(limits))


def _targets(fleet: LiveFleet, settings: Settings, now: float) -> tuple[status.TargetStatus, ...]:
    breakers = fleet.breakers()
    held = {name: fleet.breaker(name) for name in fleet.clouds.backends}
    keyed = {name: each.key is not None and not each.key.empty for name, each in settings.targets.items()}
    rows = [
        status.TargetStatus(
            name=name,
            price_source=(backend.target.price and backend.target.price.source) or None,
            price_date=(backend.target.price and backend.target.price.date) or None,
            ttft_ms=round(1000 * ttft_s, 1) if (ttft_s := fleet.ttft_s(name)) is not None else None,
            label=backend.target.label,
            breaker=breakers[name],
            price_known=backend.target.price is not None,
            usd_per_million=(backend.target.price.input, backend.target.price.output) if backend.target.price else None,
            retry_in_s=round(wait_s, 1) if (wait_s := held[name].retry_in(now)) else None,
            held_s=round(by_hand, 1) if (by_hand := held[name].held_s(now)) else None,
            in_flight=fleet.in_flight.get(backend.target.label, 0),
            certified=tuple(sorted(backend.target.certified)),
            key=keyed.get(name),
            last_failure=held[name].trouble,
            notes=(*backend.target.notes, *demotions_of(fleet, name)),
        )
        for name, backend in fleet.clouds.backends.items()
    ]
    rows += [
        status.TargetStatus(name=name, label=target.label, state="absent", why=why, price_known=False)
        for name, (target, why) in fleet.clouds.absent.items()
    ]
    return tuple(rows)
