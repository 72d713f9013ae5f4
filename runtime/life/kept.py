"""The part of a decision that can be decided again: facts, what the text said, and the box as it was.

No text and no header is in it: of a rule on either only the mark of its condition is kept, and whether it held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.demotion import DemotedFor
from runtime.settings import Escalation, When

LIMITS = ("queue_limit", "kv_limit", "gpu_limit", "ttft_ms", "release")


class KeptEngine(msgspec.Struct, frozen=True, omit_defaults=True):
    """`LocalState` as the plan saw it. ratios: values over the thresholds `Kept.limits`. context: its window, tokens.
    price: of its tokens, where it was weighed: input and output, dollars per million.
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


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """facts, task, score, opinion, language: as they were read; None where the decision did not need them. closed: targets
    behind an open breaker, with seconds until their probe. limits: `LIMITS` in force. held, missed: marks of the rules that
    matched and of those that did not: of each that demands something, and of the others up to the first that places it.
    order, reason, code: what was decided, by names; first: the label of the first candidate. session: the conversation it
    continued. ttft_s: times to a first token of the targets, where they were weighed. shift: of the complexity thresholds, by
    `cloud_share`. demoted: for its task, by name in the picture. spent: targets whose
    budget had no room, with seconds until its period ends. models: the local models beside the engine's own, by target name.
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
    ttft_s: Mapping[str, float] = {}
    shift: float = 0.0
    demoted: Mapping[str, DemotedFor] = {}
    spent: Mapping[str, float] = {}
    models: Mapping[str, KeptEngine] = {}


def mark(when: When) -> str:
    """A short name for a condition, the same for equal conditions."""
    return hashlib.blake2b(when.model_dump_json().encode(), digest_size=4).hexdigest()


def limits_of(escalation: Escalation) -> tuple[float, ...]:
    return tuple([getattr(escalation, name) for name in LIMITS])
