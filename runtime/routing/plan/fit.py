"""Hard constraints: the obstacles between a request and a target, in the order in which they are reported.

A constraint is checked for what is known: a capability that is not known never excludes. Prices and certificates are
the other way round: a promise is only made if it can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.contract.guard import missing
from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.picture import LocalState, TargetState
from runtime.routing.plan.waiting import USUAL_OUTPUT
from runtime.wire import limits

UNCERTAIN = 2.0  # an estimate of prompt tokens may be so many times too high: simple words have six characters a token

# All else is chat.
_OPERATIONS = {"openai_completions": "completions", "openai_embeddings": "embeddings", "rerank": "rerank"}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a target cannot take a request.

    passing: it is the moment's, not the target's: the same request may do later.
    doubtful: by an estimate only; the target itself counts exactly. spent: of a budget that ends with its period.
    """

    reason: Reason
    words: str
    passing: bool = False
    doubtful: bool = False
    spent: bool = False


def obstacles(facts: Facts, target: Target) -> list[Obstacle]:
    """Everything a target lacks for a request, whatever its state."""
    found: list[Obstacle] = []
    can, hints = target.capabilities, facts.hints
    # (1) Certificates come first, because nothing may hide them.
    if hints.requires and not target.on_box and (lacking := missing(hints.requires, target.certified)):
        found.append(Obstacle(Reason.REQUIRES, f"{target.name} is not certified for {_and(lacking)}"))
    # (2) Capabilities.
    operation = _OPERATIONS.get(facts.dialect, "chat")
    if not getattr(can, operation):
        found.append(Obstacle(Reason.CAPABILITY, f"{target.name} has no {operation}"))
    if facts.tools and not can.tools:
        found.append(Obstacle(Reason.CAPABILITY, "it calls no tools"))
    if facts.logprobs and not can.logprobs:
        found.append(Obstacle(Reason.CAPABILITY, "it gives no log probabilities"))
    if not facts.modalities <= can.modalities:
        unread = facts.modalities - can.modalities
        found.append(Obstacle(Reason.MODALITY, f"{target.name} does not read {_and(unread)}"))
    # (3) The window. A limit above the longest answer is lowered on the way. None: the client set no limit.
    asked = facts.max_tokens
    if asked is not None:
        asked = limits.least(asked, can.max_output_tokens)
    window, most, prompt = can.context_tokens, asked or 0, facts.longest or facts.prompt_tokens
    if window is not None and prompt + most > window:
        output = f" and {most} of output" if most else ""
        words = f"about {prompt} tokens of prompt{output}, the window of {target.name} is {window}"
        doubtful = prompt / UNCERTAIN + most <= window
        found.append(Obstacle(Reason.CONTEXT, words, doubtful=doubtful))
    # (4) The caller's own limit on the cost.
    if hints.max_cost_usd is not None and not target.local:
        allowed = f"at most ${hints.max_cost_usd:g} is allowed"
        if target.price is None:
            found.append(Obstacle(Reason.BUDGET, f"no price is known for {target.name}, {allowed}"))
        else:
            expected = USUAL_OUTPUT if asked is None else asked
            cost = target.price.most(Usage(facts.prompt_tokens, expected * facts.n)) / 1e6
            if cost > hints.max_cost_usd:
                found.append(Obstacle(Reason.BUDGET, f"about ${cost:.6f} on {target.name}, {allowed}"))
    return found


def cloud_obstacles(facts: Facts, state: TargetState) -> list[Obstacle]:
    """Those of a target as it is now: its breaker is open, it has no usable key, or a budget has no room for the request."""
    found = obstacles(facts, state.target)
    if not state.available:
        why = state.why or f"{state.target.name} is not available"
        found.append(Obstacle(Reason.FALLBACK, why, passing=not state.absent))
    if state.spent:
        found.append(Obstacle(Reason.BUDGET, state.spent, spent=True))
    return found


def but_for_money(found: Sequence[Obstacle]) -> bool:
    """True if nothing but a spent budget stands certainly between the request and a target."""
    certain = [item for item in found if not item.doubtful]
    return bool(certain) and all(item.spent for item in certain)


def local_obstacles(facts: Facts, state: LocalState) -> list[Obstacle]:
    """Those of the engine as it is now."""
    found = obstacles(facts, state.target)
    if not state.replicas_ready:
        found.append(Obstacle(Reason.ENGINE_DOWN, down_words(state), passing=True))
    return found


def down_words(state: LocalState) -> str:
    """The cause why the engine cannot answer now, and when it may."""
    if state.state:
        return state.state
    cause = f": {state.why}" if state.why else ""
    if state.given_up:
        return f"the engine was given up{cause}"
    if not state.starting:
        return f"the engine is down{cause}"
    when = f", ready in about {state.ready_in_s:.0f} s" if state.ready_in_s is not None else ""
    return f"the engine is starting{when}{cause}"


def _and(names: frozenset[str]) -> str:
    return " and ".join(sorted(names))
