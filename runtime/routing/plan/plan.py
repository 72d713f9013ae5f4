"""The decision: facts, the fleet and the settings -> an ordered list of candidates, each with its reason in words.

    1 name        pinned: that target or a refusal, nothing else
    2 override    HEARTH_MODEL, or `prefer`, moves what is automatic
    3 rule        the first that matches
    4 session     a tool's result, and what a model signed, return to the target that made the conversation's latest answer
    5 model       a local model has its task (`among.py`)
    6 inability   the engine lacks it (certificate, operation, tools, modality, window), or is not up
    7 task        one of `tasks`
    8 context     prompts past `context_tokens`
    9 complexity  the score reaches the task's threshold, or near it the local model finds the prompt hard; labelling and
                  reading out of a given text never leave for it
   10 hurry       the caller's own `ttft_ms`
   11 load        queue depth, KV cache, GPU, predicted TTFT
   12 waiting     what a later first token costs by `wait_usd_per_s` is more than what the target costs

A target that failed the golden set of the request's task stands behind every able one that did not: reason `quality` where
that changes who is asked first. The first line that applies says where a request goes. A conversation whose beginning is in a
cloud's prompt cache stays there if moving, by lines 6, 8 and 10 to 12 or for want of any, would cost more than staying: reason
`session` again. Hard constraints filter every line: a target that fails one is no candidate, whatever names it. Local is first
if nothing applies, with the fitting route behind it, and last if something does and it is able. A rule that names only "local"
keeps its requests on the box, failures included.

Pure: `now` is the only clock. Breakers, ledgers and prices come in as values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import msgspec
from msgspec.structs import replace

from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL, Target
from runtime.routing.confidence import EarlyLook
from runtime.routing.facts.query import RoutingQuery
from runtime.routing.plan.among import by_task, overfull, without_own
from runtime.routing.plan.demotion import DemotedFor, of_task, ranked
from runtime.routing.plan.fit import Obstacle, but_for_money, cloud_obstacles, local_obstacles
from runtime.routing.plan.made import Candidate, Plan, Rejected, weakened
from runtime.routing.plan.names import Auto, Named, Pinned, Unknown
from runtime.routing.plan.opinion import HARD, can_be_asked, hard, in_band
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.policy import RoutingPolicy
from runtime.routing.plan.preference import Preference
from runtime.routing.plan.refusals import PlanRefusal, absent, queue_full, refusal, unknown
from runtime.routing.plan.rules import first_match, route_targets, words_of
from runtime.routing.plan.waiting import UNSEEN_TTFT_S, LateMove, Weighed, expense, late, weighed

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

# Reasons that no cached prefix is weighed against: what the operator or the model's own state demands, and quality.
_FIRM = frozenset({Reason.DEFAULT, Reason.RULE, Reason.SESSION, Reason.TASK, Reason.COMPLEXITY})
# The lines of the ladder below which nothing but price, speed and quality decides.
_FREE = frozenset({Reason.COMPLEXITY, Reason.TTFT, Reason.QUEUE_DEPTH, Reason.KV_CACHE, Reason.GPU})
_FORBIDS = (Reason.REQUIRES, Reason.BUDGET)
EXTRACTION = "extraction"  # the task that no score and no confidence sends away
_VECTORS = "openai_embeddings"  # never moved: the vectors of two models have nothing in common
_POOLING = frozenset({_VECTORS, "rerank"})
_GENERATING = frozenset({"openai_chat", "openai_completions", "openai_responses", "anthropic_messages"})
NO_TARGET = "no_target"  # degraded: it would have left the box, and no target could take it


class _Case(msgspec.Struct, frozen=True):
    """The material of one decision. obstacles: of every target by name, those of the engine under "local".

    full: the refusal of a request that only the engine could take, if its queue is full. demoted: for the request's task.
    """

    query: RoutingQuery
    fleet: Fleet
    policy: RoutingPolicy
    now: float
    obstacles: Mapping[str, list[Obstacle]]
    full: PlanRefusal | None
    demoted: Mapping[str, DemotedFor]

    def able(self, name: str) -> bool:
        """True if no certain obstacle stands between the request and a target."""
        found = self.obstacles.get(name)
        return found is not None and all(item.doubtful for item in found)

    def unpaid(self, chain: tuple[str, ...]) -> bool:
        """True if a chain leaves the box, and a target of it would do but for a spent budget."""
        leaves = chain[:1] != (LOCAL,) and not self.fleet.models.keys() & chain[:1]
        return leaves and any(but_for_money(self.obstacles.get(name, ())) for name in chain)

    def target(self, name: str) -> Target:
        """By its name in the fleet, or "local"."""
        if name in self.fleet.models:
            return self.fleet.models[name].target
        return self.fleet.local.target if name == LOCAL and self.fleet.local else self.fleet.targets[name].target

    def route(self, *, scored: bool = False) -> tuple[str, ...]:
        """Names of the targets that take such a request when it leaves the box, in order. scored: it leaves for its score."""
        policy = self.policy
        order = policy.directory.order
        return (
            route_targets(self.query, policy.routes, order, policy.escalation.context_tokens, scored=scored)
            if order
            else ()
        )

    @property
    def home(self) -> str | None:
        """The target that gave the conversation's latest answer, if it may and can take the request."""
        session = self.fleet.session
        if session is None:
            return None
        name = LOCAL if session.home == self.policy.directory.local else session.home
        if name in self.demoted and not self.query.facts.signed:
            return None
        return name if self.able(name) and self.target(name).label == session.label else None

    def free(self, wish: Preference | None) -> bool:
        """True if the request may stay and may leave: no demand on its place, an able engine, and an able target."""
        if self.policy.escalation.mode != "act" or self.query.facts.dialect in _POOLING:
            return False
        if not self.able(LOCAL) or LOCAL in self.demoted or (wish is not None and wish.reason not in _FREE):
            return False
        return any(map(self.able, self.route(scored=True)))

    def weighed(self) -> Weighed | None:
        """The box against the first target that could take the request; None where there is none with a price."""
        local, worth = self.fleet.local, self.policy.escalation.wait_usd_per_s
        name = next((name for name in self.route() if self.able(name)), None)
        if local is None or name is None:
            return None
        cached = self.fleet.session.cached.get(name, 0) if self.fleet.session is not None else 0
        return weighed(self.query.facts, local, self.fleet.targets[name], worth, cached)

    def rejected(self, names: Iterable[str]) -> tuple[Rejected, ...]:
        """Every target with a certain obstacle, and the first of them."""
        firsts = [(n, next((i for i in self.obstacles[n] if not i.doubtful), None)) for n in names if self.obstacles[n]]
        return tuple([Rejected(self.target(name), item.reason, item.words) for name, item in firsts if item])

    def refused(self, *only: str) -> Plan:
        """The refusal of a request that no target can take, or none of those it may go to."""
        known = {name: found for name, found in self.obstacles.items() if not only or name in only}
        offered = self.policy.directory.offered
        renews = self.policy.when_spent == "queue"
        refused = refusal(self.query.facts, self.fleet, known, self.now, offered, renews=renews)
        return _refused(refused, self.rejected(known))


def plan(query: RoutingQuery, named: Named, fleet: Fleet, policy: RoutingPolicy, now: float) -> Plan:
    """Decides where a request goes. named: its model, resolved. now: seconds on the clock of `TargetState.until`."""
    if isinstance(named, Unknown):
        return _refused(unknown(named))
    pinned = None if isinstance(named, Auto) else named.target
    first = named.first if isinstance(named, Auto) else None
    obstacles = {LOCAL: local_obstacles(query.facts, fleet.local)} if fleet.local else {}
    for name, model in fleet.models.items():
        obstacles[name] = local_obstacles(query.facts, model)
    for name in (*policy.directory.order, pinned or (first.target if first else "")):
        state = fleet.targets.get(name)
        if state is not None and name not in obstacles:
            obstacles[name] = cloud_obstacles(query.facts, state)
    stays = query.facts.hints.priority == "batch" and not policy.batch_leaves
    if stays:
        for name in obstacles.keys() - {LOCAL} - fleet.models.keys():
            obstacles[name].append(Obstacle(Reason.RULE, "batch work stays on the box (batch.escalate is off)"))
    local, full = fleet.local, None
    if local is not None:
        # A long prompt that is alone would not be read sooner later.
        total = local.target.timeouts.total
        longest = total if local.alone else min(total, policy.escalation.admit_ttft_ms / 1000)
        # A caller with less than an equal share of what may wait is not refused for what others sent.
        if local.predicted_ttft_s >= longest and local.share * longest < local.predicted_ttft_s:
            full = queue_full(local, longest)
    demoted = of_task(fleet.demoted, query.task) if fleet.demoted and pinned is None else {}
    case = _Case(query, fleet, policy, now, obstacles, full, demoted)
    if pinned is not None:
        return replace(_pinned(case, pinned, named.served if isinstance(named, Pinned) else None), pinned=True)
    home = Preference(Reason.DEFAULT, "batch work stays on the box", (LOCAL,))
    places = first is not None or policy.rules or policy.tasks or fleet.session is not None
    wish = _tasked(case) if stays and local else _placed(case, named) if places and isinstance(named, Auto) else None
    wish = wish or (home if stays and local and (case.able(LOCAL) or not fleet.models) else _wish(case))
    if fleet.session is not None and (wish is None or wish.reason not in _FIRM):
        wish = _held(case, wish)
    made = _act(case, wish) if policy.escalation.mode == "act" else _stay_home(case, wish)
    made = weakened(made, demoted) if demoted else made
    made = replace(made, loads=wish.loads) if wish is not None and wish.loads else made
    hangs = policy.escalation.classifier != "off" and _hangs_on_an_opinion(case, wish)
    made = replace(made, undecided=True) if hangs else made
    return replace(made, free=True) if policy.escalation.cloud_share and case.free(wish) else made


def _pinned(case: _Case, name: str, served: str | None) -> Plan:
    """(1) The target that the request names, whatever the load, or a refusal. served: another model of the engine."""
    state = case.fleet.targets.get(name)
    if state is not None and state.absent:
        return _refused(absent(state))
    local = name == case.policy.directory.local
    key = LOCAL if local else name
    model = case.fleet.models.get(key)
    if not case.able(key):
        comes = model is not None and not model.replicas_ready and not model.given_up
        if local and case.fleet.local is not None and case.fleet.local.state:  # its model is being exchanged
            comes = all(item.passing or item.doubtful for item in case.obstacles[LOCAL])
        return replace(case.refused(key), loads=key) if comes else case.refused(key)
    full = case.full if local else None
    full = overfull([key], case.fleet, None, None) if model is not None else full
    if full:
        return _refused(full)
    target, words = case.target(key), f"the request names {name}"
    if served is not None:
        shown = PurePath(served).name if served.startswith("/") else served
        target = dataclasses.replace(target, model=shown, served=served)
        words = f"the request names {target.label}"
    return Plan((Candidate(target, Reason.PINNED, words),), Reason.PINNED, words)


def _placed(case: _Case, auto: Auto) -> Preference | None:
    """Lines 2 to 5: the place that a setting or the conversation demands, whatever the load; None if none does."""
    facts = case.query.facts
    # (2) The override.
    if auto.first is not None:
        first = auto.first.target
        start = LOCAL if first == case.policy.directory.local else first
        return Preference(Reason.DEFAULT, f"{auto.by} moves automatic traffic to {first}", (start, *case.route()))
    # (3) The first rule that matches, unless neither its targets nor the engine can take the request.
    if case.policy.rules and (found := first_match(case.query, case.policy.rules)) is not None:
        number, rule = found
        model = case.fleet.models.get(rule.to[0])
        loads = rule.to[0] if model is not None and not model.replicas_ready and not model.given_up else ""
        if not [name for name in rule.to if name != LOCAL and name not in case.fleet.models]:
            return Preference(Reason.RULE, f"{words_of(number, rule)} keeps it on the box", rule.to, loads, strict=True)
        if case.able(LOCAL) or any(map(case.able, rule.to)):
            return Preference(Reason.RULE, f"{words_of(number, rule)} sends it to {rule.to[0]}", rule.to, loads)
    # (4) What belongs to one model returns to it.
    if case.fleet.session is not None and (facts.tool_result or facts.signed) and (home := case.home) is not None:
        what = "a tool's result" if facts.tool_result else "signed state"
        return Preference(Reason.SESSION, f"{what} goes back to {case.target(home).label}", (home, *case.route()))
    # (5) A local model has its task.
    return _tasked(case) if case.policy.tasks else None


def _tasked(case: _Case) -> Preference | None:
    """The local models that have the request's task, which vectors and rankings have not."""
    if case.query.facts.dialect in _POOLING:
        return None
    tasks, beyond = case.policy.tasks, case.policy.beyond
    if beyond and case.query.task in tasks:
        # Past those that it is too hard for: the engine's own, or a cloud, by the lines below.
        within = [name for name in tasks[case.query.task] if not hard(case.query, beyond.get(name, 1.0), asked=False)]
        tasks = {case.query.task: tuple(within)}
    return by_task(case.query.task, tasks, case.fleet, case.obstacles, case.route())


def _wish(case: _Case) -> Preference | None:
    """Lines 6 to 12: the first that applies; None if the request may stay."""
    facts, local, escalation = case.query.facts, case.fleet.local, case.policy.escalation
    # (6) The engine is missing, cannot do it, may be too small, or is down: lasting obstacles before passing ones.
    if local is None:
        return Preference(Reason.ENGINE_DOWN, "there is no engine on this box", case.route())
    if obstacles := case.obstacles[LOCAL]:
        worst = min(obstacles, key=lambda obstacle: obstacle.passing)
        waits = worst.passing and facts.dialect == _VECTORS
        if waits or not case.fleet.models:
            return Preference(worst.reason, worst.words, (LOCAL,) if waits else case.route(), strict=waits)
        chain, loads = without_own(case.fleet, case.obstacles, case.route(), moves=facts.dialect != _VECTORS)
        strict = facts.dialect == _VECTORS and bool(case.fleet.models.keys() & chain)
        return Preference(worst.reason, worst.words, chain, loads, strict)
    if facts.dialect == _VECTORS:
        return None
    # (7) A task that leaves.
    judged = bool(case.policy.directory.order) and facts.dialect not in _POOLING
    if judged and escalation.tasks and case.query.task in escalation.tasks:
        return Preference(Reason.TASK, f"its task is {case.query.task}, which leaves the box", case.route())
    # (8) A long prompt.
    if (prompt := facts.longest or facts.prompt_tokens) > (most := escalation.context_tokens):
        return Preference(Reason.CONTEXT, f"about {prompt} prompt tokens, the threshold is {most}", case.route())
    # (9) A prompt from which a stronger model is expected to make more.
    task = case.query.task if judged and escalation.complexity != 1 else EXTRACTION
    threshold = 1.0 if task == EXTRACTION else escalation.threshold(task, case.fleet.shift)
    if threshold < 1 and (words := hard(case.query, threshold, escalation.classifier != "off")):
        return Preference(Reason.COMPLEXITY, words, case.route(scored=True))
    # (10) The caller wants a first token sooner than the engine is predicted to give it.
    if facts.hints.ttft_ms is not None and (words := late(facts.hints.ttft_ms, local)):
        return Preference(Reason.TTFT, words, case.route())
    # (11) A threshold is crossed, or the engine takes no more although none is.
    if local.pressure.over is not None:
        return Preference(local.pressure.over, local.pressure.words, case.route())
    if case.full is not None:
        return Preference(Reason.TTFT, case.full.message, case.route())
    # (12) Waiting costs more than the target does.
    if escalation.wait_usd_per_s and (sums := case.weighed()) is not None and sums.leaves:
        return Preference(Reason.TTFT, sums.words, case.route())
    return None


def _held(case: _Case, wish: Preference | None) -> Preference | None:
    """The same wish, or a conversation's stay at the cloud that answered it last, if moving costs more than it saves.

    The engine needs no such line: what its cache holds shortens the predicted TTFT that lets a request leave.
    """
    facts, fleet, worth = case.query.facts, case.fleet, case.policy.escalation.wait_usd_per_s
    home, chain = case.home, (LOCAL, *case.route()) if wish is None else wish.chain
    first = next((name for name in chain if case.able(name)), None)
    cached = fleet.session.cached.get(home, 0) if home is not None and fleet.session is not None else 0
    if first is None or home is None or home in (LOCAL, first, *fleet.models) or home not in chain or not cached:
        return wish
    here, there = expense(facts, fleet, home, worth), expense(facts, fleet, first, worth)
    if here is None or there is None or there < here:
        return wish
    words = f"{cached} tokens of it are cached at {home}: ${here:.5f} there, ${there:.5f} at {first}"
    return Preference(Reason.SESSION, words, (home, *chain))


def _act(case: _Case, wish: Preference | None) -> Plan:
    """The plan of `mode = "act"`."""
    # (0) Nothing speaks against the engine: it comes first, with the fitting route behind it.
    local = case.fleet.local
    calm = "nothing crosses a threshold" if local else ""
    if local and local.predicted_ttft_s:
        calm += f"; first token predicted in {local.predicted_ttft_s * 1000:.0f} ms"
    if case.policy.escalation.classifier != "off" and case.query.opinion is not None:
        calm += f"; the local model's opinion is {case.query.opinion:.2f}, hard from {HARD:g} on"
    if wish is None and case.policy.escalation.wait_usd_per_s and (sums := case.weighed()) is not None:
        calm += f"; {sums.words}"
    chosen = wish or Preference(Reason.DEFAULT, calm, (LOCAL, *case.route()))
    # (1) The able ones of the chain, and the engine behind them if the chain does not place it.
    chain = chosen.chain if chosen.strict or LOCAL in chosen.chain else (*chosen.chain, LOCAL)
    names = [name for name in dict.fromkeys(chain) if case.able(name)]
    names = names[:1] if case.query.facts.dialect == _VECTORS else names
    if case.demoted:
        chosen, names = _by_quality(case, chosen, names)
    able, rejected = [case.target(name) for name in names], case.rejected(case.obstacles)
    # (2) None is able, the settings refuse what would leave and has no budget, or every queue is full.
    inside = not [each for each in able if not each.local]
    spent = wish is not None and inside and case.unpaid(wish.chain)
    if not able or (spent and case.policy.when_spent != "local"):
        return replace(case.refused(*(chosen.chain if chosen.strict else ())), considered=rejected)
    full = case.full if inside else None
    if full := overfull(names, case.fleet, full, case.policy.escalation) if inside and case.fleet.models else full:
        return _refused(full, rejected)
    # (3) Somebody off the box is able, first or behind the engine.
    if len(able) > 1 or not able[0].local:
        behind = [Candidate(target, Reason.FALLBACK, f"behind {able[0].name}") for target in able[1:]]
        stays = wish is None and able[0].local and names[1] not in case.demoted
        look = _look(case, wish, names)
        words = f"{chosen.words}; it leaves if its early confidence is below {look.least:g}" if look else chosen.words
        candidates = (Candidate(able[0], chosen.reason, words), *behind)
        move = None
        if stays and case.query.facts.stream:
            state, wanted = case.fleet.targets[able[1].name], case.query.facts.hints.ttft_ms
            limit_ms = min(case.policy.escalation.ttft_ms, wanted or math.inf)
            move = LateMove(limit_ms / 1000, UNSEEN_TTFT_S if state.ttft_s is None else state.ttft_s)
        return Plan(candidates, chosen.reason, words, considered=rejected, look=look, move=move)
    # (4) Only the engine is left: by wish,
    reason, words, degraded = chosen.reason, chosen.words, tuple[str, ...]()
    if wish is not None and wish.chain[:1] != (names[0],):
        # (5) or for want of another. The caller's own demand keeps it here without weakening the answer.
        words = f"{words}; it stays: {'; '.join([item.words for item in rejected]) or 'no target is configured'}"
        forbidden = [item.reason for item in rejected if item.reason in _FORBIDS]
        reason, degraded = (forbidden[0], ()) if forbidden else (reason, (NO_TARGET,))
        if spent:
            reason, degraded = Reason.BUDGET, (str(Reason.BUDGET),)
    return Plan((Candidate(able[0], reason, words),), reason, words, degraded, considered=rejected)


def _by_quality(case: _Case, wish: Preference, names: list[str]) -> tuple[Preference, list[str]]:
    """The wish and the able targets, with the demoted ones behind the others. A full engine moves up before nobody."""
    kept = names[:1] if wish.reason is Reason.SESSION and case.query.facts.signed else []
    order = [*kept, *ranked(names[len(kept) :], case.demoted, LOCAL if case.full else "")]
    if order == names or order[0] == names[0]:
        return wish, order
    words = f"{case.target(names[0]).label} is {case.demoted[names[0]].words}; {wish.words}"
    return replace(wish, reason=Reason.QUALITY, words=words), order


def _hangs_on_an_opinion(case: _Case, wish: Preference | None) -> bool:
    """True if nothing but the score decides, it is near its threshold, and the engine can be asked for its opinion."""
    escalation, query, local = case.policy.escalation, case.query, case.fleet.local
    if (
        local is None
        or LOCAL in case.demoted
        or escalation.mode == "off"
        or (wish is not None and wish.reason is not Reason.COMPLEXITY)
    ):
        return False
    if not (case.policy.directory.order and case.able(LOCAL) and can_be_asked(query, local, local.target)):
        return False
    threshold = escalation.threshold(query.task, case.fleet.shift)
    near = query.task != EXTRACTION and threshold < 1 and in_band(query.score, threshold)
    return near and any(map(case.able, case.route(scored=True)))


def _look(case: _Case, wish: Preference | None, names: list[str]) -> EarlyLook | None:
    """The look at the answer of the first of these targets, if that is a local one which nothing speaks against.

    A model that was chosen for its task is looked at too: another one, the engine's own say, stands behind it.
    """
    calm = wish is None or (wish.reason is Reason.TASK and names[0] in case.fleet.models)
    if not calm or names[1] in case.demoted:
        return None
    facts, escalation, known = case.query.facts, case.policy.escalation, case.policy.confidence.get(names[0])
    if not escalation.confidence or known is None or facts.n != 1 or facts.dialect not in _GENERATING:
        return None
    if not case.target(names[0]).capabilities.logprobs or case.query.task == EXTRACTION:
        return None
    return EarlyLook(known, escalation.confidence, escalation.confidence_wait_ms / 1000)


def _stay_home(case: _Case, wish: Preference | None) -> Plan:
    """The plan of `mode = "advise"` and `"off"`: local models alone. Advice names the first choice of "act"."""
    mode, advice, models = case.policy.escalation.mode, "", case.fleet.models
    chain = wish.chain if wish is not None else (LOCAL,)
    leaving = chain[:1] != (LOCAL,) and not models.keys() & chain[:1]
    if wish and leaving and mode == "advise":
        able = [name for name in chain if name != LOCAL and name not in models and case.able(name)]
        cause = f"({wish.reason}: {wish.words})"
        advice = (
            f"would have gone to {able[0]} {cause}" if able else f"would have left {cause}, but no target can take it"
        )
    elif mode == "advise" and LOCAL in case.demoted:
        better = [name for name in case.route() if case.able(name) and name not in case.demoted]
        cause = f"({Reason.QUALITY}: the local model is {case.demoted[LOCAL].words})"
        advice = f"would have gone to {better[0]} {cause}" if better else ""
    names = [name for name in dict.fromkeys((*chain, LOCAL)) if (name == LOCAL or name in models) and case.able(name)]
    if not names:
        return replace(case.refused(LOCAL, *models), advice=advice)
    if full := overfull(names, case.fleet, case.full, case.policy.escalation) if models else case.full:
        return replace(_refused(full), advice=advice)
    reason, words = Reason.DEFAULT, f'mode is "{mode}": nothing leaves the box'
    if wish and not leaving and (wish.reason is Reason.RULE or models):
        reason, words = wish.reason, wish.words if models else words
    first, *behind = [case.target(name) for name in names]
    others = [Candidate(target, Reason.FALLBACK, f"behind {first.name}") for target in behind]
    return Plan((Candidate(first, reason, words), *others), reason, words, advice=advice)


def _refused(refused: PlanRefusal, considered: tuple[Rejected, ...] = ()) -> Plan:
    return Plan((), refused.reason, refused.message, refusal=refused, considered=considered)
