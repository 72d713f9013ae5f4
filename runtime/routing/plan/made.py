"""A plan as it was made: candidates in their order, with reasons, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.routing.confidence import EarlyLook
from runtime.routing.plan.demotion import DemotedFor
from runtime.routing.plan.refusals import PlanRefusal
from runtime.routing.plan.waiting import LateMove


class Candidate(msgspec.Struct, frozen=True):
    """target: as it was when the plan was made, whatever a reload does to its name. words: why it stands here, with numbers."""

    target: Target
    reason: Reason
    words: str


class Rejected(msgspec.Struct, frozen=True):
    """A target that is no candidate, with its first obstacle."""

    target: Target
    reason: Reason
    words: str


class Plan(msgspec.Struct, frozen=True):
    """Candidates, best first, or a refusal.

    pinned: the target may be retried and never replaced. look: at the engine's answer as it begins, where that may send
    the request to the candidates behind it. move: the second look at a request while it waits for the engine.
    undecided: the local model's opinion, which was not asked, would decide; the plan is that of the score alone.
    free: to stay or to leave, as `cloud_share` counts it; False while that is off. demoted: candidates that failed their
    golden set, by name. loads: a local model that would be asked if it were loaded; "local" while
    the engine's is exchanged.
    degraded: parts of `x-hearth-degraded`. advice: the plan of `mode = "act"` in words, "" if it is
    the same.
    """

    candidates: tuple[Candidate, ...]
    reason: Reason
    words: str
    degraded: tuple[str, ...] = ()
    refusal: PlanRefusal | None = None
    considered: tuple[Rejected, ...] = ()
    pinned: bool = False
    advice: str = ""
    look: EarlyLook | None = None
    move: LateMove | None = None
    undecided: bool = False
    free: bool = False
    demoted: frozenset[str] = frozenset()
    loads: str = ""


def weakened(plan: Plan, demoted: Mapping[str, DemotedFor]) -> Plan:
    """The same plan, with every demoted candidate marked. demoted: by name in the picture, the engine's is "local"."""
    found: dict[str, DemotedFor] = {}
    for each in plan.candidates:
        own = each.target.local and not each.target.name.startswith("local/")
        gone = demoted.get("local" if own else each.target.name)
        if gone is not None:
            found[each.target.name] = gone
    if not found:
        return plan
    first, *behind = plan.candidates
    words, degraded = plan.words, plan.degraded
    if plan.reason is not Reason.SESSION and first.target.name in found:
        words = f"{words}; it is {found[first.target.name].words}, and no other can answer"
        first, degraded = replace(first, words=words), (*degraded, str(Reason.QUALITY))
    marked = [
        replace(each, reason=Reason.QUALITY, words=found[each.target.name].words) if each.target.name in found else each
        for each in behind
    ]
    return replace(plan, candidates=(first, *marked), words=words, degraded=degraded, demoted=frozenset(found))
