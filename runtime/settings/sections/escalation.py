"""[escalation]: the thresholds at which a request leaves the box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from runtime.settings.kinds import (
    AutoCount,
    AutoShare,
    Complexity,
    Count,
    Dollars,
    Positive,
    PositiveShare,
    Share,
    Tasks,
)
from runtime.settings.sections.section import Section

DEFAULT_COMPLEXITY = 0.62


class Escalation(Section):
    """When a request leaves the box."""

    mode: Literal["act", "advise", "off"] = Field(
        default="act", description="act | advise (log what it would do, stay local) | off (never leave the box)"
    )
    prefer: str = Field(
        default="", description="the target of all `auto` traffic, like HEARTH_MODEL, which goes before it"
    )
    tasks: Tasks = Field(
        default=(), description="tasks that always leave if a target can take them", examples=[["code"]]
    )
    complexity: Complexity = Field(
        default=DEFAULT_COMPLEXITY,
        description="score at and above which a prompt leaves; 1: off; or by task: { default = 0.62, code = 0.5 }",
    )
    cloud_share: Share = Field(
        default=0.0,
        description="share of the `auto` requests free to stay that shall leave, held by moving `complexity`; 0: off",
    )
    classifier: Literal["off", "engine"] = Field(
        default="off",
        description="off | engine (within 0.15 of `complexity` the local model judges in one token how hard the prompt is)",
    )
    confidence: Share = Field(
        default=0.0,
        description="the local answer's early confidence below which it leaves (see `hearth calibrate`); 0: do not look",
    )
    confidence_wait_ms: Count = Field(default=400, description="longest wait for that confidence, in ms")
    context_tokens: Count = Field(default=6000, description="longer prompts than this leave")
    ttft_ms: Positive = Field(
        default=2000, description="predicted time to the first token, in ms, above which it leaves"
    )
    queue_depth: AutoCount = Field(
        default="auto",
        description="requests waiting for a first token, at and above: leave; 0: always; auto: 5 until ttft_ms can be judged",
    )
    kv_cache: AutoShare = Field(
        default="auto",
        description="share of the KV cache in use, at and above: leave; auto: 0.85 until then",
    )
    gpu_utilization: AutoShare = Field(
        default="auto", description="sustained for 5 s, and only together with running requests; auto: 0.95 until then"
    )
    wait_usd_per_s: Dollars = Field(
        default=0.0, description="dollars a second of predicted waiting is worth, weighed against the target's price"
    )
    release: PositiveShare = Field(
        default=0.7,
        description="return to local below this share of the thresholds",
    )
    admit_ttft_ms: Positive = Field(
        default=30_000, description="predicted time to the first token, in ms, beyond which the box answers 429"
    )

    def threshold(self, task: str, shift: float = 0.0) -> float:
        """The score at and above which a prompt of a task leaves. shift: by `cloud_share`; at 1 it is off and stays."""
        configured = self.complexity
        if isinstance(configured, Mapping):
            configured = configured.get(task, configured.get("default", DEFAULT_COMPLEXITY))
        return configured if not shift or configured >= 1 else max(0.0, min(configured + shift, 1.0))

    @property
    def thresholds(self) -> Mapping[str, float]:
        """`complexity` by task, the default one among them."""
        wanted = self.complexity
        return {"default": DEFAULT_COMPLEXITY, **wanted} if isinstance(wanted, Mapping) else {"default": wanted}

    # Until the prediction has learned, "auto" stands for these.

    @property
    def queue_limit(self) -> int:
        return 5 if self.queue_depth == "auto" else self.queue_depth

    @property
    def kv_limit(self) -> float:
        return 0.85 if self.kv_cache == "auto" else self.kv_cache

    @property
    def gpu_limit(self) -> float:
        return 0.95 if self.gpu_utilization == "auto" else self.gpu_utilization
