"""The shape of `/hearth/status`, shared by the server that fills it and the commands that show it.

Wire types only: no clock and no live objects. Every time is relative ("for", "in", "ago", seconds), so that a reader
needs no clock of its own; `at` and `started_at` are unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from runtime.chores import ChoreView
from runtime.contract.engine import Gpu, ReplicaView
from runtime.contract.models import ModelView
from runtime.record.decisions import Decision


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One engine process. Counts and kv_cache (0..1) come from the engine's metrics, seconds late; None before the first.

    slots: sequences it runs at a time, None if unknown. asleep: ready, and woken by the next request.
    """

    name: str
    state: str
    for_s: float
    models: tuple[str, ...] = ()
    max_model_len: int | None = None
    pid: int | None = None
    address: str = ""
    restarts: int = 0
    cause: str | None = None
    ready_in_s: float | None = None
    waiting: int | None = None
    running: int | None = None
    kv_cache: float | None = None
    in_flight: int = 0
    last_byte_ago_s: float | None = None
    slots: int | None = None
    asleep: bool = False


class GpuStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Memory in bytes, utilization 0..1."""

    index: int
    name: str
    memory_total: int
    memory_used: int
    utilization: float


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """device: what it runs on ("cuda", "cpu", "attached"). log_tail: the engine's last lines, shown when in trouble."""

    model: str
    device: str
    replicas: tuple[ReplicaStatus, ...] = ()
    gpus: tuple[GpuStatus, ...] = ()
    log_tail: tuple[str, ...] = ()


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One local model beside the engine's own. state: absent, fetching, loading, ready, draining, stopping or failed.

    why: of the present wait, which ends within wait_s. cause: of its last failure. memory: bytes it has on each of `gpus`.
    waiting: requests that wait for it.
    """

    name: str
    model: str
    state: str
    for_s: float
    load: str
    why: str = ""
    wait_s: float | None = None
    cause: str = ""
    gpus: tuple[int, ...] = ()
    memory: int = 0
    waiting: int = 0
    in_flight: int = 0
    predicted_ttft_ms: float | None = None


class LoadStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The runtime's own view of the best replica. over: the thresholds that are crossed, words: the same in words."""

    waiting: int = 0
    running: int = 0
    predicted_ttft_ms: float | None = None
    kv_cache: float | None = None
    over: tuple[str, ...] = ()
    words: str = ""


class ThresholdStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The values at which `auto` leaves the box, and `release`, the share of them below which it returns. KV and GPU: 0..1.

    auto: those of them that are "auto", and lead only until the prediction has learned.
    """

    ttft_ms: float
    queue: int
    kv_cache: float
    gpu: float
    release: float
    complexity: float
    context_tokens: int
    auto: tuple[str, ...] = ()


class RunningStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A request under way. target: that answers, or else its first choice. phase: "waiting" before its first content,
    "generating" after it; "running" for an answer that is not streamed, whose content is seen at its end alone.

    tokens: of its answer so far; None for an answer that is not streamed.
    """

    id: str
    model: str
    target: str
    phase: str
    for_s: float
    prompt_tokens: int = 0
    tokens: int | None = 0
    tokens_per_s: float | None = None
    caller: str = ""


class CloudShareStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The controller of `[escalation] cloud_share`. share: of the `counted` latest requests free to stay, those that left;
    None before the first. thresholds: the score at and above which a prompt leaves now, by task.
    """

    wanted: float
    share: float | None
    counted: int
    thresholds: Mapping[str, float]


class BudgetLimitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One period, "day" or "month", of all targets (target and key None), one target, or one key by its id. Dollars.

    others_usd: held by the other Hearths of a fleet; others_spent_usd: of it spent, as last heard, None without a fleet.
    limit_usd, left_usd: None without a limit.
    spent: no ordinary call has room until the period ends, in ends_in_s.
    """

    period: str
    name: str
    ends_in_s: float
    spent_usd: float
    reserved_usd: float
    limit_usd: float | None = None
    left_usd: float | None = None
    others_usd: float = 0.0
    others_spent_usd: float | None = None
    target: str | None = None
    key: str | None = None
    spent: bool = False


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`[budget]`: its limits with what is left of each, and what happens once one is spent."""

    when_spent: str
    limits: tuple[BudgetLimitStatus, ...]


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One target. state: "available", or "absent" with the reason in why; breaker: "closed", "open", "half_open".

    retry_in_s: until an open breaker lets a probe through. held_s: until a hold by hand ends. key: true if an account key is
    set, None for a target that is not configured. last_failure: of its latest attempts. usd_per_million: input, output.

    price_source, price_date: where and when its price was read. ttft_ms: time to a first token within which nine in ten of
    its latest answers began; None before the first.
    """

    name: str
    label: str
    state: str = "available"
    why: str = ""
    breaker: str = "closed"
    price_known: bool = True
    retry_in_s: float | None = None
    held_s: float | None = None
    in_flight: int = 0
    certified: tuple[str, ...] = ()
    key: bool | None = None
    last_failure: str = ""
    usd_per_million: tuple[float, float] | None = None
    price_source: str | None = None
    price_date: str | None = None
    ttft_ms: float | None = None
    notes: tuple[str, ...] = ()


class AutoscaleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`[autoscale]`. leader: this Hearth is the one that acts. Replicas that are running, that Ray aims at (target), and that
    are wanted here, with the reason in words; None while they are not known. trouble: the last error of Ray.
    """

    mode: str
    leader: bool
    running: int | None = None
    target: int | None = None
    wanted: int | None = None
    words: str = ""
    trouble: str = ""

    @property
    def line(self) -> str:
        """All of it, for people."""
        who = self.mode if self.leader else f"{self.mode}, led by another Hearth"
        if self.running is None or self.wanted is None:
            return f"{who}: {self.trouble or 'nothing is known yet'}"
        return f"{who}: {self.running} of {self.target} replicas run, {self.wanted} wanted: {self.words}"


class DecisionBrief(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a decision."""

    id: str
    at: float
    model: str
    target: str | None
    reason: str
    status: int
    ttft_ms: float | None = None
    total_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    attempts: int = 0
    degraded: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reason for its target; where nobody answered and nothing but the default chose, that."""
        if self.target is not None or self.reason != "default":
            return self.reason
        return "client left" if self.status == 499 else "unanswered" if self.status >= 500 else "refused"


class SettingsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """path: None without a file. error: why the last reload was refused, the old settings being in force."""

    path: str | None = None
    reloaded_at: float | None = None
    error: str | None = None


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    started_at: float
    uptime_s: float
    address: str
    engine: EngineStatus
    models: tuple[ModelStatus, ...] = ()
    load: LoadStatus = LoadStatus()
    thresholds: ThresholdStatus | None = None
    draining: bool = False
    running: tuple[RunningStatus, ...] = ()
    cloud_share: CloudShareStatus | None = None
    targets: tuple[TargetStatus, ...] = ()
    budget: BudgetStatus | None = None
    autoscale: AutoscaleStatus | None = None
    in_flight: int = 0
    decisions: tuple[DecisionBrief, ...] = ()
    not_in_force: tuple[str, ...] = ()
    settings: SettingsStatus = SettingsStatus()
    notes: tuple[str, ...] = ()
    chores: tuple[ChoreView, ...] = ()


def replica_status(view: ReplicaView, now: float) -> ReplicaStatus:
    """now: the monotonic second the view was taken at."""
    heard = view.telemetry
    return ReplicaStatus(
        name=view.name,
        state=str(view.state),
        for_s=max(0.0, now - view.since),
        models=view.models,
        max_model_len=view.max_model_len,
        pid=view.pid,
        address=view.address,
        restarts=view.restarts,
        cause=view.cause,
        ready_in_s=None if view.ready_at is None else max(0.0, view.ready_at - now),
        waiting=heard.waiting if heard else None,
        running=heard.running if heard else None,
        kv_cache=heard.kv_cache if heard else None,
        in_flight=view.in_flight,
        last_byte_ago_s=None if view.last_byte_at is None else max(0.0, now - view.last_byte_at),
        asleep=view.asleep,
        slots=view.slots,
    )


def model_status(
    view: ModelView, now: float, in_flight: int = 0, predicted_ttft_ms: float | None = None
) -> ModelStatus:
    """now: the monotonic second the view was taken at."""
    return ModelStatus(
        name=f"local/{view.name}",
        model=view.model,
        state=str(view.state),
        for_s=max(0.0, now - view.since) if view.since else 0.0,
        load=view.load,
        why=view.why,
        wait_s=None if view.until is None else max(0.0, view.until - now),
        cause=view.cause,
        gpus=view.gpus,
        memory=view.memory,
        waiting=view.waiting,
        in_flight=in_flight,
        predicted_ttft_ms=predicted_ttft_ms,
    )


def gpu_status(gpu: Gpu) -> GpuStatus:
    return GpuStatus(
        index=gpu.index,
        name=gpu.name,
        memory_total=gpu.memory_total,
        memory_used=gpu.memory_used,
        utilization=gpu.utilization,
    )


def brief(decision: Decision) -> DecisionBrief:
    return DecisionBrief(
        id=decision.id,
        at=decision.at,
        model=decision.model,
        target=decision.target,
        reason=decision.reason,
        status=decision.status,
        ttft_ms=decision.ttft_ms,
        total_ms=decision.total_ms,
        prompt_tokens=decision.prompt_tokens,
        completion_tokens=decision.completion_tokens,
        cost_usd=decision.cost_usd,
        attempts=len(decision.attempts),
        degraded=decision.degraded,
    )
