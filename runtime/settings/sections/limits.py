"""[budget], [prices], [privacy], [records], [notices] and [telemetry]: what may be spent, sent, kept and shown."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings.kinds import (
    Certificates,
    Count,
    Days,
    Limit,
    Names,
    OptionalReference,
    OptionalUrl,
    OptionalWebhook,
    Positive,
    Seconds,
    Share,
    Zone,
)
from runtime.settings.sections.section import Section


class Budget(Section):
    """Limits on what clouds may cost."""

    daily_usd: Limit = Field(default=20.0, description='dollars per day; "none": no limit')
    monthly_usd: Limit = Field(default=None, description='dollars per month; "none": no limit', examples=[300.0])
    timezone: Zone = Field(default="UTC", description="whose midnight ends a day and a month")
    when_spent: Literal["local", "queue", "refuse"] = Field(
        default="local",
        description="local (marked degraded) | queue (batch lines wait for the next period; else 402 with the time) | "
        "refuse (402)",
    )
    baseline: str = Field(
        default="", description="target or PROVIDER/MODEL that savings are measured against; default: of routes.default"
    )


class PriceUpdates(Section):
    """The price lists of the clouds."""

    update: bool = Field(
        default=False, description="fetch the newest list of genai-prices once a day; false: the one of this version"
    )


class Privacy(Section):
    """Personal data in requests that are about to leave."""

    detect: Literal["off", "warn", "enforce"] = Field(default="off", description="off | warn | enforce")
    add: Certificates = Field(default=("zdr",), description="what enforce then requires of a target")
    names: Literal["off", "engine", "presidio"] = Field(
        default="off",
        description="names and health words: off | engine (asks the local model) | presidio (names alone)",
    )
    names_within: Seconds = Field(default=1.0, description="seconds for that search; then it counts as not looked into")


class Records(Section):
    """Limits on the kept decisions. Whichever is reached first removes the oldest. Their hourly sums are kept for 400 days."""

    retention_days: Days = Field(default=30, description="days")
    max_mb: Positive = Field(default=1024, description="size on disk, in MB")
    audit_days: Count = Field(default=0, description="days the audit log is kept; 0: for ever")


class NoticeSettings(Section):
    """Notices to the operator: a budget is spent, an engine was given up."""

    url: OptionalWebhook = Field(default="", description="webhook that gets each notice as JSON; empty: none")
    key: OptionalReference = Field(
        default=None, description="its bearer key, by reference", examples=["env:NOTICE_KEY"]
    )
    command: Names = Field(default=(), description="program and arguments; it gets each notice as JSON on its input")
    timeout: Seconds = Field(default=10.0, description="seconds that a receiver may take")


class TelemetrySettings(Section):
    """Traces over OTLP; the standard OTEL_* variables hold too."""

    endpoint: OptionalUrl = Field(default="", description="address of a collector; empty: off")
    sampled: Share = Field(default=0.1, description="share of requests that are traced")
    propagate: Literal["off", "engine", "all"] = Field(
        default="engine", description="off | engine | all (trace headers go to clouds too)"
    )
