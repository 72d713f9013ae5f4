"""Waiting against money: what a later first token on the box is worth, against what a cloud target would cost more.

    leaves where  usd_per_s x (predicted TTFT here - the target's live TTFT)  >  its cost - the cost here

Answers are taken to be as long as the request allows, at most a usual length. Tokens without a price cost nothing here, so
that the whole of the target's price must be worth it; a target without a price is never weighed.
"""

from __future__ import annotations

import msgspec

from runtime.contract.usage import Usage
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.picture import LocalState, TargetState

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
        """Seconds after its start at which it is first looked at: the last moment at which leaving would still be in time."""
        return max(self.within_s - self.there_s, self.within_s / 4)

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


def weighed(facts: Facts, local: LocalState, state: TargetState, usd_per_s: float) -> Weighed | None:
    """None where the target has no price."""
    price, own, usage = state.target.price, local.target.price, expected_usage(facts)
    if price is None:
        return None
    more = (price.most(usage) - (own.most(usage) if own is not None else 0.0)) / 1e6
    there = UNSEEN_TTFT_S if state.ttft_s is None else state.ttft_s
    sooner = local.predicted_ttft_s - there
    worth = usd_per_s * sooner
    words = (
        f"first token predicted in {local.predicted_ttft_s:.2f} s, {there:.2f} s at {state.target.name}: "
        f"{sooner:.2f} s at ${usd_per_s:g} are worth ${worth:.5f}, it costs ${more:.5f} more"
    )
    return Weighed(sooner > 0 and worth > more, words)
