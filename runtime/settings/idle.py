"""Values of the settings that other values of the same file leave without effect."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.settings.model import Settings


def idle(settings: Settings) -> Iterator[str]:
    """A sentence for each, that begins with its key."""
    escalation, engine = settings.escalation, settings.engine
    thresholds = escalation.thresholds
    if thresholds.get("extraction", 1.0) < 1:
        yield "escalation.complexity.extraction has no effect: no score sends extraction away (escalation.tasks can)"
    if escalation.cloud_share and all(limit >= 1 for limit in thresholds.values()):
        yield "escalation.cloud_share has no effect: it moves escalation.complexity, and 1 is off; 0.62 is a place to begin"
    if engine.gpu_hour_usd is not None:
        for name in ("watts", "kwh_usd"):
            if getattr(engine, name) is not None:
                yield f"engine.{name} has no effect beside engine.gpu_hour_usd: a rent includes the electricity"
    elif (engine.watts is None) is not (engine.kwh_usd is None):
        given, lacking = ("watts", "kwh_usd") if engine.kwh_usd is None else ("kwh_usd", "watts")
        yield f"engine.{given} has no effect without engine.{lacking}: what a token costs here stays unknown"
