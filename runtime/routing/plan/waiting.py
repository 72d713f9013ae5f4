"""Waiting against money: what a later first token on the box is worth, against what a cloud target would cost more.

    leaves where  usd_per_s x (predicted TTFT here - the target's live TTFT)  >  its cost - the cost here

Answers are taken to be as long as the request allows, at most a usual length. Tokens without a price cost nothing here, so
that the whole of the target's price must be worth it; a target without a price is never weighed.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from runtime.contract.targets import LOCAL
from runtime.contract.usage import Usage
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.picture import Fleet, LocalState, TargetState

USUAL_OUTPUT = 512  # tokens assumed for a cost if the request sets no limit
UNSEEN_TTFT_S = 1.0  # of a target that has not answered yet


class LateMove(msgspec.Struct, frozen=True):
    """The second look at a request that waits for the engine with a cloud target behind it.

    within_s: seconds in which its first token is wanted. there_s: what the next candidate needs for one.
    """

    within_s: float
    there_s: float

    @property
    def first_s(self) -> float:
        """Seconds after its start at which it is first looked at: while the next candidate could still be in time."""
        return self.within_s / 4

    @property
    def again_s(self) -> float:
        """Seconds between two looks."""
        return self.there_s / 4 + 0.01

    def leaves(self, waited_s: float, left_s: float) -> bool:
        """True if it would be late here and sooner there. left_s: until its first token, as the engine's ledger sees it now."""
        return waited_s + left_s > self.within_s and left_s > self.there_s


class Weighed(msgspec.Struct, frozen=True):
    """leaves: waiting costs more. words: the sum."""

    leaves: bool
    words: str


def expected_usage(facts: Facts, *, usual: int = USUAL_OUTPUT) -> Usage:
    """The tokens that a cost is estimated from before there is an answer."""
    longest = usual if facts.max_tokens is None else min(facts.max_tokens, usual)
    return Usage(facts.prompt_tokens, longest * facts.n)


def weighed(facts: Facts, local: LocalState, state: TargetState, usd_per_s: float, cached: int = 0) -> Weighed | None:
    """None where the target has no price. cached: tokens of the prompt that are in the target's cache."""
    price, own, usage = state.target.price, local.target.price, expected_usage(facts)
    if price is None:
        return None
    there_usage = replace(usage, cached=min(cached, usage.prompt))
    more = (price.most(there_usage) - (own.most(usage) if own is not None else 0.0)) / 1e6
    there = UNSEEN_TTFT_S if state.ttft_s is None else state.ttft_s
    sooner = local.predicted_ttft_s - there
    worth = usd_per_s * sooner
    guess = "" if state.ttft_s is not None else " (a guess: it has not answered yet)"
    words = (
        f"first token predicted in {local.predicted_ttft_s:.2f} s, {there:.2f} s at {state.target.name}{guess}: "
        f"{sooner:.2f} s at ${usd_per_s:g} are worth ${worth:.5f}, it costs ${more:.5f} more"
    )
    return Weighed(sooner > 0 and worth > more, words)


def expense(facts: Facts, fleet: Fleet, name: str, usd_per_s: float) -> float | None:
    """Dollars of an answer by a target, named as in a plan's chain: its tokens, those in its cache at their own price, and the
    wait for its first token. None where a cloud has no price.
    """
    local, cached = fleet.local, fleet.session.cached if fleet.session is not None else {}
    if name == LOCAL and local is not None:
        target, ttft_s = local.target, local.predicted_ttft_s  # which leaves out what its cache holds
    elif name in fleet.models:
        target, ttft_s = fleet.models[name].target, fleet.models[name].predicted_ttft_s
    else:
        state = fleet.targets[name]
        target, ttft_s = state.target, UNSEEN_TTFT_S if state.ttft_s is None else state.ttft_s
    if target.price is None and not target.local:
        return None
    usage = expected_usage(facts)
    usage = replace(usage, cached=min(cached.get(target.name, 0), usage.prompt))
    tokens = target.price.most(usage) / 1e6 if target.price is not None else 0.0
    return tokens + usd_per_s * ttft_s


def late(wanted_ms: float, local: LocalState) -> str:
    """Why the engine is predicted to be too late for a caller; "" if it is not."""
    predicted = local.predicted_ttft_s * 1000
    words = f"first token predicted in {predicted:.0f} ms, the request wants {wanted_ms:g} ms"
    return words if predicted > wanted_ms else ""
