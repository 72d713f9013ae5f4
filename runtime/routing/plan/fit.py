"""Hard constraints: what stands between a request and a target, in the order in which it is told.

A constraint is checked for what is known: a capability that is not known never excludes. Prices and certificates are
the other way round: a promise is only made where it can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.contract.reasons import Reason
from runtime.contract.targets import Target
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.picture import LocalState, TargetState
from runtime.wire import limits

UNCERTAIN = 2.0  # an estimate of prompt tokens may be so many times too high: simple words have six characters a token
_USUAL_OUTPUT = 512  # tokens assumed for a cost where the request sets no limit

_OPERATIONS = {"openai_completions": "completions", "openai_embeddings": "embeddings"}  # all else is chat


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a target cannot take a request.

    passing: it is the moment's, not the target's: the same request may do later.
    doubtful: by an estimate only; the target itself counts exactly.
    """

    reason: Reason
    words: str
    passing: bool = False
    doubtful: bool = False


def obstacles(facts: Facts, target: Target) -> list[Obstacle]:
    """What a target lacks for a request, whatever its state: compliance first, because nothing may hide it."""
    return [found for check in _CHECKS if (found := check(facts, target)) is not None]


def cloud_obstacles(facts: Facts, state: TargetState) -> list[Obstacle]:
    found = obstacles(facts, state.target)
    if not state.available:
        why = state.why or f"{state.target.name} is not available"
        found.append(Obstacle(Reason.FALLBACK, why, passing=not state.absent))
    return found


def local_obstacles(facts: Facts, state: LocalState) -> list[Obstacle]:
    found = obstacles(facts, state.target)
    if not state.ready:
        found.append(Obstacle(Reason.ENGINE_DOWN, down_words(state), passing=True))
    return found


def down_words(state: LocalState) -> str:
    """Why the engine cannot answer now, and when it may."""
    cause = f": {state.why}" if state.why else ""
    if state.given_up:
        return f"the engine was given up{cause}"
    if not state.starting:
        return f"the engine is down{cause}"
    when = f", ready in about {state.ready_in_s:.0f} s" if state.ready_in_s is not None else ""
    return f"the engine is starting{when}{cause}"


def _compliance(facts: Facts, target: Target) -> Obstacle | None:
    if not facts.hints.requires or target.on_box or not (missing := facts.hints.requires - target.certified):
        return None
    return Obstacle(Reason.REQUIRES, f"{target.name} is not certified for {_and(missing)}")


def _operation(facts: Facts, target: Target) -> Obstacle | None:
    operation = _OPERATIONS.get(facts.dialect, "chat")
    if getattr(target.capabilities, operation):
        return None
    return Obstacle(Reason.CAPABILITY, f"{target.name} has no {operation}")


def _tools(facts: Facts, target: Target) -> Obstacle | None:
    missing = facts.tools and not target.capabilities.tools
    return Obstacle(Reason.CAPABILITY, "it calls no tools") if missing else None


def _logprobs(facts: Facts, target: Target) -> Obstacle | None:
    missing = facts.logprobs and not target.capabilities.logprobs
    return Obstacle(Reason.CAPABILITY, "it gives no log probabilities") if missing else None


def _modality(facts: Facts, target: Target) -> Obstacle | None:
    if facts.modalities <= target.capabilities.modalities:
        return None
    missing = facts.modalities - target.capabilities.modalities
    return Obstacle(Reason.MODALITY, f"{target.name} does not read {_and(missing)}")


def _output(facts: Facts, target: Target) -> int | None:
    """Most tokens of the answer; None where nothing was said. A limit above the model's own is lowered to it on the way."""
    return limits.least(facts.max_tokens, target.capabilities.max_output_tokens)


def _window(facts: Facts, target: Target) -> Obstacle | None:
    window, most = target.capabilities.context_tokens, _output(facts, target) or 0
    if window is None or facts.prompt_tokens + most <= window:
        return None
    least = facts.prompt_tokens / UNCERTAIN + most
    output = f" and {most} of output" if most else ""
    words = f"about {facts.prompt_tokens} tokens of prompt{output}, the window of {target.name} is {window}"
    return Obstacle(Reason.CONTEXT, words, doubtful=least <= window)


def _cost(facts: Facts, target: Target) -> Obstacle | None:
    most = facts.hints.max_cost_usd
    if most is None or target.local:
        return None
    if target.price is None:
        return Obstacle(Reason.BUDGET, f"no price is known for {target.name}, at most ${most:g} is allowed")
    asked, price = _output(facts, target), target.price.of(facts.prompt_tokens)
    output = _USUAL_OUTPUT if asked is None else asked
    cost = (facts.prompt_tokens * price.input + output * facts.n * price.output) / 1e6
    if cost <= most:
        return None
    return Obstacle(Reason.BUDGET, f"about ${cost:.4f} on {target.name}, at most ${most:g} is allowed")


_CHECKS = (_compliance, _operation, _tools, _logprobs, _modality, _window, _cost)


def _and(names: frozenset[str]) -> str:
    return " and ".join(sorted(names))
