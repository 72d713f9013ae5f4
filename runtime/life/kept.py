"""The part of a decision that can be decided again: facts, what the text said, and the box as it was.

No text and no header is in it: of a rule on either only the mark of its condition is kept, and whether it held.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import msgspec

from runtime.contract.prices import OWN_PRICE, Price, Rates, Tariff
from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.contract.targets import Target
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.demotion import DemotedFor
from runtime.settings import Escalation, When

LIMITS = ("queue_limit", "kv_limit", "gpu_limit", "ttft_ms", "release")


class KeptEngine(msgspec.Struct, frozen=True, omit_defaults=True):
    """`LocalState` as the plan saw it. ratios: values over the thresholds `Kept.limits`. context: its window, tokens.
    price: of its tokens, where it was weighed: input and output, dollars per million. queued: something was before the request
    there. successor: the target that took its place.
    """

    ready: int = 1
    starting: bool = False
    given_up: bool = False
    ready_in_s: float | None = None
    over: Reason | None = None
    ratios: Mapping[Reason, float] = {}
    predicted_ttft_s: float = 0.0
    wait_s: float | None = None
    context: int | None = None
    price: tuple[float, float] | None = None
    share: float = 0.0
    queued: bool = False
    successor: str = ""


class KeptTarget(msgspec.Struct, frozen=True, array_like=True):
    """A target off the box as it was weighed. ttft_s: its time to a first token, None before the first.

    rates: dollars per million tokens of prompt, answer and cached prompt, of each rate that some hour has for a prompt of that
    length; empty: no price was known, None: the settings had one.
    """

    ttft_s: float | None = None
    rates: tuple[float, ...] | None = None

    @classmethod
    def of(cls, target: Target, ttft_s: float | None, prompt: int) -> KeptTarget:
        """prompt: tokens of the request's prompt."""
        if target.price is None:
            return cls(ttft_s, ())
        if target.price.source == OWN_PRICE:
            return cls(ttft_s)
        rates = [(each.input, each.output, each.cache_read) for each in target.price.live(prompt)]
        flat = [each for read, said, cached in rates for each in (read, said, read if cached is None else cached)]
        return cls(ttft_s, tuple(flat))

    def priced(self, target: Target) -> Target:
        """The target at its price of that moment. One that the settings have goes before it."""
        if self.rates is None or (target.price is not None and target.price.source == OWN_PRICE):
            return target
        if not self.rates:
            return dataclasses.replace(target, price=None)
        first, *others = [Rates(*self.rates[place : place + 3]) for place in range(0, len(self.rates), 3)]
        tariffs = tuple([Tariff(each) for each in others])
        then = Price(first.input, first.output, first.cache_read, tariffs=tariffs, source="as it was then")
        return dataclasses.replace(target, price=then)


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """facts, task, score, opinion, language: as they were read; None where the decision did not need them. closed: targets
    behind an open breaker, with seconds until their probe. limits: `LIMITS` in force. held, missed: marks of the rules that
    matched and of those that did not: of each that demands something, and of the others up to the first that places it.
    order, reason, code: what was decided, by names; first: the label of the first candidate. session: the conversation it
    continued. targets: those off the box, where they were weighed. shift: of the complexity thresholds, by
    `cloud_share`. demoted: for its task, by name in the picture. spent: targets whose
    budget had no room, with seconds until its period ends. models: the local models beside the engine's own, by target name.
    allowed: the targets that the caller's key allows, as patterns; empty: all. absent: those without a usable key.
    """

    facts: Facts
    reason: Reason
    order: tuple[str, ...] = ()
    first: str | None = None
    code: str = ""
    task: str | None = None
    score: float | None = None
    opinion: float | None = None
    language: str | None = None
    engine: KeptEngine | None = None
    closed: Mapping[str, float] = {}
    limits: tuple[float, ...] = ()
    held: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    session: Session | None = None
    targets: Mapping[str, KeptTarget] = {}
    shift: float = 0.0
    demoted: Mapping[str, DemotedFor] = {}
    spent: Mapping[str, float] = {}
    models: Mapping[str, KeptEngine] = {}
    allowed: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def mark(when: When) -> str:
    """A short name for a condition, the same for equal conditions."""
    return hashlib.blake2b(when.model_dump_json().encode(), digest_size=4).hexdigest()


def limits_of(escalation: Escalation) -> tuple[float, ...]:
    return tuple([getattr(escalation, name) for name in LIMITS])
