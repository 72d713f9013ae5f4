"""The tally of decisions by the settings: the zone of the days, and the target that savings are measured against."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from cloud import backend as cloud
from cloud.providers import NAMES
from runtime.compose.targets import Targets
from runtime.contract.targets import Target
from runtime.record.sums import PriceBaseline, Tally
from runtime.settings import Settings


def tally_of(settings: Settings, known: Targets) -> Tally:
    """A target that cannot be called now can still be the baseline: only its price counts."""
    named = settings.budget.baseline or next(iter((*settings.routes.default, *settings.targets)), "")
    target = _target(named, known)
    baseline, why = None, "no target is configured"
    if target is not None and target.price is not None:
        baseline, why = PriceBaseline(named, target.label, target.price), ""
    elif named:
        why = f"no price is known for {target.label if target is not None else named}"
    zone = ZoneInfo(settings.budget.timezone)
    return Tally(zone, baseline, settings.escalation.context_tokens, why)


def _target(named: str, known: Targets) -> Target | None:
    """The target of a name in the settings, or of PROVIDER/MODEL. None for the box itself."""
    if named in known.usable:
        return known.usable[named].target
    label = known.absent[named][0].label if named in known.absent else named
    provider, slash, model = label.partition("/")
    if not slash or provider not in NAMES:
        return None
    return cloud.facts(named, cloud.Account(provider, None, None), model, None, None)
