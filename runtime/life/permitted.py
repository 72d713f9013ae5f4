"""The models, priorities and targets that a caller's key may use, applied to a plan. Patterns such as `PROVIDER/*` hold."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from msgspec import structs

from runtime.contract.targets import Target
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.plan import Plan
from runtime.trust.caller import Caller
from runtime.wire.api_error import ApiError

_ORDINARY = "default"


def permitted(caller: Caller, facts: Facts, plan: Plan, error: ApiError | None) -> tuple[Plan, ApiError | None]:
    """The plan with the allowed targets alone, and an error for what the key forbids. error: the plan's own."""
    priority = facts.hints.priority or _ORDINARY
    if caller.models and not any(fnmatchcase(facts.model, each) for each in caller.models):
        return plan, ApiError(403, f"this key may not ask for the model {facts.model[:200]!r}", "model_not_allowed")
    if caller.priorities and priority not in caller.priorities:
        return plan, ApiError(403, f"this key may not ask with priority {priority!r}", "priority_not_allowed")
    if not caller.targets or plan.refusal is not None:
        return plan, error
    left = limited(plan, caller.targets)
    if left is None:
        return plan, ApiError(403, "this key allows no target that could answer", "target_not_allowed")
    return left, None


def limited(plan: Plan, patterns: Collection[str]) -> Plan | None:
    """The plan with those candidates alone that a key's patterns allow; None if none is left.

    A pattern matches a target's name, its label (PROVIDER/MODEL), or `local` for the box's own.
    """

    def allowed(target: Target) -> bool:
        names = (target.name, target.label, *(("local",) if target.local else ()))
        return any(fnmatchcase(name, each) for each in patterns for name in names)

    kept = tuple(each for each in plan.candidates if allowed(each.target))
    if kept == plan.candidates or not kept:
        return plan if kept else None
    first, look, move = (kept[0], plan.look, plan.move) if len(kept) > 1 else (kept[0], None, None)
    if first is plan.candidates[0]:
        return structs.replace(plan, candidates=kept, look=look, move=move)
    words = f"{first.words}; the key allows no {plan.candidates[0].target.name}"
    return structs.replace(plan, candidates=kept, reason=first.reason, words=words, look=None, move=None)
