"""Refusals: the status, code and words for a request with no candidate left.

The most useful truth first: what nobody is certified for (403), what a spent budget forbids (402), what passes by itself
(503), what one certificate forbids (403), what money forbids (402), what no window holds (400 `context_length_exceeded`),
what no target can do (400 `unsupported`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL, Target
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.fit import Obstacle, but_for_money, obstacles
from runtime.routing.plan.names import Unknown
from runtime.routing.plan.picture import Fleet, LocalState, TargetState

Known = Mapping[str, list[Obstacle]]

MODEL_NOT_FOUND = "model_not_found"
NO_COMPLIANT_TARGET = "no_compliant_target"
UNSUPPORTED = "unsupported"
CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
BUDGET_EXCEEDED = "budget_exceeded"
QUEUE_FULL = "queue_full"
BATCH_ESCALATION_OFF = "batch_escalation_off"
ENGINE_NOT_READY = "engine_not_ready"
TARGET_NOT_AVAILABLE = "target_not_available"


@dataclass(frozen=True, slots=True)
class PlanRefusal:
    """An answer instead of a plan. retry_after: estimated seconds; None if not known, or if waiting would not help."""

    status: int
    code: str
    message: str
    retry_after: float | None = None
    reason: Reason = Reason.DEFAULT


def unknown(name: Unknown) -> PlanRefusal:
    """404: a name this box does not answer to, quoted with its control characters escaped."""
    if not name.name:
        words = 'the request names no model; "auto" decides by itself'
        return PlanRefusal(404, MODEL_NOT_FOUND, words, reason=Reason.PINNED)
    shown = name.name[:100]
    near = f"; the nearest names are {', '.join(name.nearest)}" if name.nearest else '; "auto" decides by itself'
    return PlanRefusal(404, MODEL_NOT_FOUND, f"no model is called {shown!r}{near}", reason=Reason.PINNED)


def absent(state: TargetState) -> PlanRefusal:
    """404: a name of the settings that cannot be used until they change."""
    why = state.why or "it has no usable key"
    return PlanRefusal(
        404, MODEL_NOT_FOUND, f"{state.target.name} is configured but absent: {why}", reason=Reason.PINNED
    )


def queue_full(local: LocalState, admitted_s: float) -> PlanRefusal:
    """429: the engine's first token is predicted later than a request may wait, and nobody else can answer."""
    wait = local.wait_s if local.wait_s is not None else local.predicted_ttft_s - admitted_s
    words = (
        f"the engine's queue is full: the first token is predicted in {local.predicted_ttft_s:.0f} s, "
        f"a request may wait for {admitted_s:g} s"
    )
    return PlanRefusal(
        429, QUEUE_FULL, words, retry_after=max(1.0, wait), reason=local.pressure.over or Reason.QUEUE_DEPTH
    )


def refusal(
    facts: Facts, fleet: Fleet, known: Known, now: float, offered: Sequence[Target] = (), *, renews: bool = False
) -> PlanRefusal:
    """The reason why none of `known`, targets with their obstacles, can take the request, and the names of others that could.

    offered: models that no setting names, of every provider. renews: callers come back when a spent budget is renewed.
    """
    # (1) There is nothing to ask.
    if not known or not any(known.values()):
        return PlanRefusal(503, ENGINE_NOT_READY, "there is no engine on this box and no target is configured")
    firsts = [found[0] for found in known.values() if found]
    asked = f"requires {', '.join(sorted(facts.hints.requires))}: " if facts.hints.requires else ""
    lacks = asked + "; ".join(dict.fromkeys(item.words for item in firsts)) + able(facts, fleet, offered, known)
    # (2) No target is certified: neither money nor time nor a smaller prompt would help.
    if all(found and found[0].reason is Reason.REQUIRES for found in known.values()):
        return PlanRefusal(403, NO_COMPLIANT_TARGET, lacks, reason=Reason.REQUIRES)
    # (3) A budget is spent, and no other target that is paid for will be back sooner.
    spent = [name for name, found in known.items() if but_for_money(found)]
    own = (LOCAL, fleet.local.target.name) if fleet.local is not None else ()
    here = [name for name in known if name in own or name in fleet.models]
    others = [name for name, found in known.items() if name not in (*spent, *here)]
    if spent and not any(item.passing for name in others for item in known[name]):
        waits = [fleet.targets[name].renews_s for name in spent] if renews else []
        if here and fleet.local is not None and not fleet.local.replicas_ready and not fleet.local.given_up:
            waits.append(fleet.local.ready_in_s)
        wait = min([each for each in waits if each is not None], default=None)
        words = "; ".join(dict.fromkeys(item.words for name in (*spent, *here) for item in known[name]))
        return PlanRefusal(402, BUDGET_EXCEEDED, words, wait, Reason.BUDGET)
    # (4) Some obstacles pass by themselves: come again after the shortest of the known waits.
    passing = [name for name, found in known.items() if found and all(item.passing or item.doubtful for item in found)]
    if passing:
        due: list[float] = []
        for name in passing:
            state, local = fleet.targets.get(name), fleet.local if name in own else fleet.models.get(name)
            if local is not None:
                due += [local.ready_in_s] if local.ready_in_s is not None and not local.given_up else []
            elif state is not None and state.until is not None:
                due.append(state.until - now)
        words = "; ".join(item.words for name in passing for item in known[name] if item.passing)
        engine = any(item.reason is Reason.ENGINE_DOWN for name in passing for item in known[name])
        code, reason = (ENGINE_NOT_READY, Reason.ENGINE_DOWN) if engine else (TARGET_NOT_AVAILABLE, Reason.FALLBACK)
        return PlanRefusal(503, code, words, max(1.0, min(due)) if due else None, reason)
    # (5) A target would do but for one reason, and for a certificate.
    for reason, status, code in _LADDER:
        for found in known.values():
            certain = {item.reason for item in found if not item.passing and not item.doubtful}
            if reason in certain and certain <= {reason, Reason.REQUIRES}:
                return PlanRefusal(status, code, lacks, reason=reason)
    # (6) No target can.
    return PlanRefusal(400, UNSUPPORTED, lacks, reason=firsts[0].reason)


def able(facts: Facts, fleet: Fleet, offered: Sequence[Target], known: Known, most: int = 3) -> str:
    """The end of a refusal: up to `most` models that nothing speaks against. Those on an account of this box come first.

    known: as for `refusal`. Batch work that may not leave is no better off with the name of another cloud.
    """
    held = any(item.reason is Reason.RULE for found in known.values() for item in found)
    states = [state.target for state in fleet.targets.values() if not (state.absent or held)]
    models = [state.target for state in fleet.models.values()]
    here = [*([fleet.local.target] if fleet.local else ()), *models, *states]
    accounts = {target.provider for target in states}
    lent = [target for target in offered if target.provider in accounts]
    named = [target.name for target in (*here, *lent) if not obstacles(facts, target)]
    if named:
        return f"; {_or(named[:most])} could, asked for by name"
    others = [target.label for target in offered if not (held or obstacles(facts, target))]
    return f"; {_or(others[:most])} could, with a usable target of that provider" if others else ""


def _or(names: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(names))


_LADDER = (
    (Reason.REQUIRES, 403, NO_COMPLIANT_TARGET),
    (Reason.BUDGET, 402, BUDGET_EXCEEDED),
    (Reason.CONTEXT, 400, CONTEXT_LENGTH_EXCEEDED),
    (Reason.RULE, 400, BATCH_ESCALATION_OFF),
)
