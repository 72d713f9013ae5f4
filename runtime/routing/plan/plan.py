"""The decision: facts, what there is, and the settings -> an ordered list of candidates, each with its reason in words.

    name        pinned: that target or a refusal, nothing else
    override    HEARTH_MODEL moves what is automatic
    rule        the first that matches
    inability   what the engine cannot do: certificate, operation, tools, modality, window
    down        the engine is not up
    context     prompts past `context_tokens`
    load        queue depth, KV cache, GPU, predicted TTFT

The first line that applies says where a request goes. Hard constraints filter every line: a target that fails one is no
candidate, whatever names it. Local is first where nothing applies, with the fitting route behind it, and last where
something does, if it is able. A rule that names only "local" keeps its requests on the box, failures included.

Pure: `now` is the only clock. Breakers, ledgers and prices come in as values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL, Target
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.fit import Obstacle, cloud_obstacles, down_words, local_obstacles
from runtime.routing.plan.names import Directory, Lent, Named, Pinned, Unknown
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.refusals import PlanRefusal, absent, overloaded, refusal, unknown
from runtime.routing.plan.rules import first_match, route_of, route_targets, words_of
from runtime.settings import Escalation, Routes, Rule

__all__ = [
    "NO_TARGET",
    "Candidate",
    "Fleet",
    "LocalState",
    "Plan",
    "PlanRefusal",
    "Rejected",
    "RoutingPolicy",
    "TargetState",
    "plan",
]

_FORBIDS = (Reason.REQUIRES, Reason.BUDGET)
NO_TARGET = "no_target"  # degraded: it would have left, and there was nowhere to go


class Candidate(msgspec.Struct, frozen=True):
    """target: as it was when the plan was made, whatever a reload does to its name. words: why it stands here, with numbers."""

    target: Target
    reason: Reason
    words: str


class Rejected(msgspec.Struct, frozen=True):
    """A target that was looked at and is no candidate, with its first obstacle."""

    target: Target
    reason: Reason
    words: str


class Plan(msgspec.Struct, frozen=True):
    """Either candidates, best first, or a refusal.

    pinned: the target may be retried and never replaced.
    degraded: what `x-hearth-degraded` is to say. advice: what `mode = "act"` would have done, "" where the same.
    """

    candidates: tuple[Candidate, ...]
    reason: Reason
    words: str
    degraded: tuple[str, ...] = ()
    refusal: PlanRefusal | None = None
    considered: tuple[Rejected, ...] = ()
    pinned: bool = False
    advice: str = ""


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """The settings that decide."""

    escalation: Escalation = field(default_factory=Escalation)
    rules: tuple[Rule, ...] = ()
    routes: Routes = field(default_factory=Routes)
    directory: Directory = field(default_factory=Directory)


class _Case(msgspec.Struct, frozen=True):
    """One decision's material: obstacles of the engine (None: there is no engine) and of every target, by name."""

    query: RoutingQuery
    fleet: Fleet
    policy: RoutingPolicy
    now: float
    local: list[Obstacle] | None
    clouds: Mapping[str, list[Obstacle]]

    @property
    def local_able(self) -> bool:
        return self.local is not None and not any(_certain(self.local))

    def target(self, name: str) -> Target:
        """By its name in the fleet, or "local"."""
        local = self.fleet.local
        return local.target if local and name in (LOCAL, local.target.name) else self.fleet.targets[name].target

    def able(self, name: str) -> bool:
        found = self.clouds.get(name)
        return found is not None and not any(_certain(found))


class _Wish(msgspec.Struct, frozen=True):
    """What ought to happen: a chain of target names ("local" among them where it stands there), and why.

    strict: no other candidate may be added to the chain.
    """

    reason: Reason
    words: str
    chain: tuple[str, ...]
    strict: bool = False


def plan(query: RoutingQuery, named: Named, fleet: Fleet, policy: RoutingPolicy, now: float) -> Plan:
    """Decides where a request goes. named: its model, resolved. now: seconds on the clock of `TargetState.until`."""
    if isinstance(named, Unknown):
        return _refused(unknown(named), ())
    if isinstance(named, Pinned | Lent):
        return _pinned(named.target, _case(query, fleet, policy, now, also=named.target))
    first = named.first.target if named.first else None
    case = _case(query, fleet, policy, now, also=first)
    wish = _wish(case, first)
    if policy.escalation.mode == "act":
        return _act(case, wish)
    return _stay_home(case, wish)


def _case(query: RoutingQuery, fleet: Fleet, policy: RoutingPolicy, now: float, *, also: str | None) -> _Case:
    clouds: dict[str, list[Obstacle]] = {}
    for name in (*policy.directory.order, also or ""):
        state = fleet.targets.get(name)
        if state is not None and name not in clouds:
            clouds[name] = cloud_obstacles(query.facts, state)
    local = local_obstacles(query.facts, fleet.local) if fleet.local else None
    return _Case(query, fleet, policy, now, local, clouds)


# What a name pins


def _pinned(name: str, case: _Case) -> Plan:
    state = case.fleet.targets.get(name)
    if state is not None and state.absent:
        return replace(_refused(absent(state), ()), pinned=True)
    words = f"the request names {name}"
    local = name == case.policy.directory.local
    able = case.local_able if local else case.able(name)
    if not able:
        known = {name: (case.local or []) if local else case.clouds.get(name, [])}
        refused = refusal(case.query.facts, case.fleet, known, case.now)
        return replace(_refused(refused, _rejected(case, known)), pinned=True)
    if local and (full := overloaded(case.fleet.local)):
        return replace(_refused(full, ()), pinned=True)
    return Plan((Candidate(case.target(name), Reason.PINNED, words),), Reason.PINNED, words, pinned=True)


# What ought to happen


def _wish(case: _Case, first: str | None) -> _Wish | None:
    """The first line of the ladder that applies; None where a request may stay and nothing speaks against it."""
    return (
        _override(case, first)
        or _rule(case)
        or _inability(case)
        or _context(case)
        or _wanted_ttft(case)
        or _load(case)
    )  # fmt: skip


def _override(case: _Case, first: str | None) -> _Wish | None:
    if first is None:
        return None
    words = f"HEARTH_MODEL moves automatic traffic to {first}"
    if first == case.policy.directory.local:
        return _Wish(Reason.DEFAULT, words, (LOCAL, *_route(case)))
    return _Wish(Reason.DEFAULT, words, (first, *_route(case)))


def _rule(case: _Case) -> _Wish | None:
    found = first_match(case.query, case.policy.rules)
    if found is None:
        return None
    number, rule = found
    if rule.to == (LOCAL,):
        return _Wish(Reason.RULE, f"{words_of(number, rule)} keeps it on the box", (LOCAL,), strict=True)
    wish = _Wish(Reason.RULE, f"{words_of(number, rule)} sends it to {rule.to[0]}", rule.to)
    someone = any(case.able(name) if name != LOCAL else case.local_able for name in rule.to)
    return wish if someone or case.local_able else None


def _inability(case: _Case) -> _Wish | None:
    """The engine is missing, cannot do it, may be too small, or is down: the first of its obstacles."""
    if case.local is None:
        return _Wish(Reason.ENGINE_DOWN, "there is no engine on this box", _route(case))
    if not case.local:
        return None
    worst = min(case.local, key=lambda obstacle: obstacle.passing)
    return _Wish(worst.reason, worst.words, _route(case))


def _context(case: _Case) -> _Wish | None:
    most = case.policy.escalation.context_tokens
    if case.query.facts.prompt_tokens <= most:
        return None
    words = f"about {case.query.facts.prompt_tokens} prompt tokens, the threshold is {most}"
    return _Wish(Reason.CONTEXT, words, _route(case))


def _wanted_ttft(case: _Case) -> _Wish | None:
    """The caller's own wish for a first token, where the engine is predicted to miss it."""
    wanted, local = case.query.facts.hints.ttft_ms, case.fleet.local
    if wanted is None or local is None or local.predicted_ttft_s * 1000 <= wanted:
        return None
    words = f"first token predicted in {local.predicted_ttft_s * 1000:.0f} ms, the request wants {wanted:g} ms"
    return _Wish(Reason.TTFT, words, _route(case))


def _load(case: _Case) -> _Wish | None:
    local = case.fleet.local
    if local is None or local.pressure.over is None:
        return None
    return _Wish(local.pressure.over, local.pressure.words, _route(case))


def _route(case: _Case) -> tuple[str, ...]:
    if not case.policy.directory.order:
        return ()
    route = route_of(case.query, case.policy.escalation.context_tokens)
    return route_targets(route, case.policy.routes, case.policy.directory.order)


# What happens


def _act(case: _Case, wish: _Wish | None) -> Plan:
    staying = wish is None or wish.chain[:1] == (LOCAL,)
    chosen = wish or _Wish(Reason.DEFAULT, _calm_words(case.fleet.local), (LOCAL, *_route(case)))
    candidates = _candidates(case, chosen)
    rejected = _rejected(case, _known(case))
    if not candidates:
        known = {LOCAL: case.local or []} if chosen.strict else _known(case)
        return _refused(refusal(case.query.facts, case.fleet, known, case.now), rejected)
    if len(candidates) == 1 and candidates[0].target.local:
        return _local_only(case, chosen, rejected, degraded=not staying)
    return Plan(candidates, candidates[0].reason, candidates[0].words, considered=rejected)


def _candidates(case: _Case, wish: _Wish) -> tuple[Candidate, ...]:
    """The able ones of the chain; local behind them where the chain does not place it."""
    chain = wish.chain if wish.strict or LOCAL in wish.chain else (*wish.chain, LOCAL)
    able = [name for name in dict.fromkeys(chain) if (case.local_able if name == LOCAL else case.able(name))]
    targets = [case.target(name) for name in able]
    if not targets:
        return ()
    behind = [Candidate(target, Reason.FALLBACK, f"behind {targets[0].name}") for target in targets[1:]]
    return (Candidate(targets[0], wish.reason, wish.words), *behind)


def _local_only(case: _Case, wish: _Wish, rejected: tuple[Rejected, ...], *, degraded: bool) -> Plan:
    """Only the engine is left, by wish or for want of another."""
    if full := overloaded(case.fleet.local):
        return _refused(full, rejected)
    reason, words = wish.reason, wish.words
    if degraded:
        forbidden = [item.reason for item in rejected if item.reason in _FORBIDS]
        why = "; ".join(item.words for item in rejected) or "no target is configured"
        words = f"{words}; it stays: {why}"
        if forbidden:
            reason, degraded = forbidden[0], False  # the caller's own wish keeps it here: nothing was weakened
    candidate = Candidate(case.target(LOCAL), reason, words)
    return Plan((candidate,), reason, words, (NO_TARGET,) if degraded else (), considered=rejected)


def _stay_home(case: _Case, wish: _Wish | None) -> Plan:
    """`mode = "advise"` and `"off"`: the engine alone. Advice says what would have been done."""
    leaving = wish is not None and wish.chain[:1] != (LOCAL,)
    advice = _advice(case, wish) if wish and leaving and case.policy.escalation.mode == "advise" else ""
    known = {_local_name(case): case.local or []}
    if not case.local_able:
        refused = refusal(case.query.facts, case.fleet, known, case.now)
        return replace(_refused(refused, _rejected(case, known)), advice=advice)
    if full := overloaded(case.fleet.local):
        return replace(_refused(full, ()), advice=advice)
    words = f'mode is "{case.policy.escalation.mode}": nothing leaves the box'
    reason = Reason.RULE if wish and wish.reason is Reason.RULE and not leaving else Reason.DEFAULT
    return Plan((Candidate(case.target(LOCAL), reason, words),), reason, words, advice=advice)


def _advice(case: _Case, wish: _Wish) -> str:
    able = [name for name in wish.chain if name != LOCAL and case.able(name)]
    if not able:
        return f"would have left ({wish.reason}: {wish.words}), but no target can take it"
    return f"would have gone to {able[0]} ({wish.reason}: {wish.words})"


def _local_name(case: _Case) -> str:
    return case.fleet.local.target.name if case.fleet.local else LOCAL


def _known(case: _Case) -> dict[str, list[Obstacle]]:
    local = {_local_name(case): case.local} if case.local is not None else {}
    return {**local, **case.clouds}


def _rejected(case: _Case, known: Mapping[str, list[Obstacle]]) -> tuple[Rejected, ...]:
    """Every target with a certain obstacle, and the first of them."""
    firsts = [(name, certain[0]) for name, found in known.items() if found and (certain := _certain(found))]
    return tuple([Rejected(case.target(name), item.reason, item.words) for name, item in firsts])


def _certain(found: list[Obstacle]) -> list[Obstacle]:
    """Those that are no mere doubt."""
    return [item for item in found if not item.doubtful] if found else found


def _refused(refused: PlanRefusal, considered: tuple[Rejected, ...]) -> Plan:
    return Plan((), refused.reason, refused.message, refusal=refused, considered=considered)


def _calm_words(local: LocalState | None) -> str:
    if local is None or not local.ready:
        return down_words(local) if local else ""
    if not local.predicted_ttft_s:
        return "nothing crosses a threshold"
    return f"nothing crosses a threshold; first token predicted in {local.predicted_ttft_s * 1000:.0f} ms"
