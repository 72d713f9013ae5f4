"""The status report as lines of text. Pure: a report and a paint in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo

from runtime.cli.paint import Cell, Paint, amount, columns, duration
from runtime.server.status import (
    BudgetLimitStatus,
    CloudShareStatus,
    DecisionBrief,
    EngineStatus,
    LoadStatus,
    ModelStatus,
    ReplicaStatus,
    StatusReport,
    TargetStatus,
)

_STATE_STYLE = {"ready": "green", "starting": "yellow", "draining": "yellow", "stopping": "yellow", "stopped": "dim"}
_BREAKER_STYLE = {"closed": "green", "half_open": "yellow", "open": "red"}
_LOG_LINES = 5


def report_lines(report: StatusReport, paint: Paint, zone: tzinfo | None = None) -> list[str]:
    """The whole report, in sections. zone: of the times of day; None is this machine's."""
    settings = report.settings
    targets = columns((_target(target) for target in report.targets), paint)
    return [
        f"{paint('hearth', 'bold')} {report.version} at {report.address}, up {duration(report.uptime_s)}",
        paint(f"settings: {settings.path or 'defaults and environment'}", "dim"),
        *(
            [paint(f"the last reload was refused, the old settings hold: {settings.error}", "red")]
            if settings.error
            else ()
        ),
        *(paint(note, "yellow") for note in report.notes),
        *_section("engine", paint, _engine(report.engine, paint)),
        *_section("models", paint, columns((_model(each) for each in report.models), paint)),
        *_section("load", paint, _load(report.load, report.in_flight, paint)),
        *_section("cloud share", paint, [_cloud_share(report.cloud_share)] if report.cloud_share else []),
        *_section("autoscale", paint, [f"  {report.autoscale.line}"] if report.autoscale else []),
        *_section("targets", paint, targets or [paint("  none: everything is answered on this box", "dim")]),
        *_section(
            "budget", paint, columns((_limit(each) for each in report.budget.limits), paint) if report.budget else []
        ),
        *_section("last decisions", paint, columns((_decision(each, zone) for each in report.decisions), paint)),
        *_section("not in force", paint, [f"  {line}" for line in report.not_in_force]),
    ]


def _section(title: str, paint: Paint, lines: Iterable[str]) -> list[str]:
    kept = list(lines)
    return ["", paint(title, "bold"), *kept] if kept else []


def _cloud_share(moved: CloudShareStatus) -> str:
    seen = "none counted yet" if moved.share is None else f"{moved.share:.1%} of the last {moved.counted}"
    by_task = ", ".join(
        f"{limit:.2f}" if task == "default" else f"{limit:.2f} for {task}" for task, limit in moved.thresholds.items()
    )
    return f"  wanted {moved.wanted:.1%}, left {seen}; the complexity threshold is {by_task} now"


def _engine(engine: EngineStatus, paint: Paint) -> Iterator[str]:
    yield f"  {engine.model}, attached" if engine.device == "attached" else f"  {engine.model} on {engine.device}"
    yield from columns((_replica(replica) for replica in engine.replicas), paint)
    for replica in engine.replicas:
        if replica.cause:  # kept in view after the recovery, dimmed
            style = "dim" if replica.state == "ready" else "yellow"
            yield "  " + paint(f"{replica.name}: last failure: {replica.cause}", style)
    gpus: list[Sequence[Cell]] = []
    for gpu in engine.gpus:
        memory = f"{amount(gpu.memory_used)} of {amount(gpu.memory_total)}"
        gpus.append(((f"GPU {gpu.index}", ""), (gpu.name, ""), (memory, ""), (f"{gpu.utilization:.0%} busy", "")))
    yield from columns(gpus, paint)
    if engine.log_tail:
        yield paint("  the engine's last log lines:", "dim")
        yield from (paint(f"    {line}", "dim") for line in engine.log_tail[-_LOG_LINES:])


def _replica(replica: ReplicaStatus) -> Sequence[Cell]:
    soon = f", ready in about {duration(replica.ready_in_s)}" if replica.ready_in_s else ""
    state = replica.state.replace("_", " ") + (", asleep" if replica.asleep else "")
    return (
        (replica.name, ""),
        (state, _STATE_STYLE.get(replica.state, "red")),
        (f"for {duration(replica.for_s)}{soon}", ""),
        (f"{replica.in_flight} in flight" + (f" of {replica.slots}" if replica.slots else ""), ""),
        (f"{replica.restarts} restarts", "yellow" if replica.restarts else "dim"),
        (f"pid {replica.pid}" if replica.pid else replica.address, "dim"),
    )


def _model(model: ModelStatus) -> Sequence[Cell]:
    gpus = f"GPU {', '.join(map(str, model.gpus))}" if model.gpus else "this machine"
    where = f"{amount(model.memory)} of {gpus}" if model.memory else model.load.replace("_", " ")
    waits = f"{model.in_flight} in flight" + (f", {model.waiting} waiting" if model.waiting else "")
    return (
        (model.name, ""),
        (model.model, "dim"),
        (model.state, _STATE_STYLE.get(model.state, "dim" if model.state == "absent" else "yellow")),
        (waits, ""),
        (where, "dim"),
        (model.cause or model.why, "red" if model.state == "failed" else "yellow"),
    )


def _load(load: LoadStatus, in_flight: int, paint: Paint) -> Iterator[str]:
    parts = [f"{in_flight} in flight", f"{load.waiting} waiting", f"{load.running} running"]
    if load.predicted_ttft_ms is not None:
        parts.append(f"next first token in about {duration(load.predicted_ttft_ms / 1000)}")
    if load.kv_cache is not None:
        parts.append(f"KV cache {load.kv_cache:.0%}")
    yield "  " + ", ".join(parts)
    if load.over:
        yield "  " + paint(f"over {', '.join(load.over)}: {load.words}", "yellow")


def _target(target: TargetStatus) -> Sequence[Cell]:
    here = target.state == "available"
    breaker = "" if target.breaker == "closed" else f"breaker {target.breaker.replace('_', ' ')}"
    price = f"price of {target.price_date}" if target.price_date else ""
    price = price if target.price_known or not here else "price unknown"
    ttft = f"first token within {target.ttft_ms:.0f} ms" if target.ttft_ms is not None else ""
    said = [text for text in (breaker, target.why, ttft, price, *target.notes) if text]
    state = (target.state, _BREAKER_STYLE.get(target.breaker, "red") if here else "red")
    return (
        (target.name, ""),
        (target.label, "dim"),
        state,
        ("; ".join(said), "" if here and not breaker else "yellow"),
    )


def _limit(limit: BudgetLimitStatus) -> Sequence[Cell]:
    who = f"key {limit.key}" if limit.key else limit.target or "all targets"
    reserved = f", ${limit.reserved_usd:.2f} reserved" if limit.reserved_usd else ""
    if limit.limit_usd is None:
        used = f"${limit.spent_usd:.2f} spent{reserved}, no limit"
    elif limit.others_spent_usd is None:
        used = f"${limit.spent_usd:.2f} of ${limit.limit_usd:.2f} spent{reserved}, ${limit.left_usd or 0.0:.2f} left"
    else:
        total = f"${limit.spent_usd + limit.others_spent_usd:.2f} of ${limit.limit_usd:.2f} spent in the fleet"
        parts = f"${limit.spent_usd:.2f} here, ${limit.others_spent_usd:.2f} by other Hearths"
        used = f"{total} ({parts}){reserved}, ${limit.left_usd or 0.0:.2f} left"
    style = "red" if limit.spent else ""
    return (
        (who, ""),
        (f"{limit.period} {limit.name}", "dim"),
        (used, style),
        (f"{'spent; ' if limit.spent else ''}ends in {duration(limit.ends_in_s)}", style or "dim"),
    )


def _decision(decision: DecisionBrief, zone: tzinfo | None) -> Sequence[Cell]:
    failed = decision.status >= 400
    times = duration(decision.total_ms / 1000)
    if decision.ttft_ms is not None:
        times = f"{duration(decision.ttft_ms / 1000)} / {times}"
    cost = f"${decision.cost_usd:.4f}" if decision.cost_usd else ""
    more = [cost] if cost else []
    more += [f"{decision.attempts} attempts"] if decision.attempts > 1 else []
    more += [f"degraded: {', '.join(decision.degraded)}"] if decision.degraded else []
    return (
        (datetime.fromtimestamp(decision.at, zone).strftime("%H:%M:%S"), "dim"),
        (str(decision.status), "red" if failed else "green"),
        (decision.target or "nobody", "red" if decision.target is None else ""),
        (decision.why, "cyan"),
        (f"{decision.prompt_tokens} + {decision.completion_tokens} tokens", ""),
        (times, ""),
        (", ".join(more), "yellow"),
        (decision.id, "dim"),
    )
