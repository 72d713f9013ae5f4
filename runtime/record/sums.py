"""Sums of decisions by hour: the amounts that one settled request adds, and the key of the sum it adds them to. Pure.

A request counts once, with the target that answered it. Tokens, dollars and faults of its exchanges count with the target
of each exchange, so that the dollars of all sums are those of all records. An hour is one of UTC, cut where a day of the
zone ends inside it: sums of whole hours make exact days in every zone.

    SumKey     the key: hour, target, model asked for, key, route, reason, baseline
    HourSum    the sum
    PriceBaseline   the target that savings are measured against, with its price
    Tally      adds decisions to sums
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from functools import cached_property
from typing import NamedTuple

import msgspec

from runtime.contract.failures import Kind
from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL
from runtime.contract.usage import Usage
from runtime.record.counters import BUCKETS_S, NONE
from runtime.record.decisions import CANCELLED, OK, QUALITY, Decision, Exchange

HOUR_S = 3600
_FAR_S = 8e9
ON_BOX = f"{LOCAL}/"
MICRO = 1_000_000  # micro-dollars of a dollar
ROUTES = ("pinned", "rule", "multimodal", "long_context", "code", "complex", "default")

_TOO_MANY = 429
_GONE = 499
_ERROR = 400
# Ends of an exchange that say nothing of the target: the caller's own fault, or nothing was sent.
_NOT_ITS_FAULT = frozenset(
    {CANCELLED, Kind.REJECTED, Kind.TOO_LONG, Kind.FILTERED, Kind.LATE, Kind.FORBIDDEN, Kind.SPENT, Kind.UNSURE}
)


class SumKey(NamedTuple):
    """start: of the hour, unix seconds. target: the label, or `none`. caller: the key's id. baseline: `PriceBaseline.text`."""

    start: int
    target: str
    model: str
    caller: str
    route: str
    reason: str
    baseline: str


class HourSum(msgspec.Struct):
    """Dollars are micro-dollars.

    requests, ok, failed, cancelled, degraded: requests by their end. unpriced: requests with tokens of which the price is
    not known. attempts, succeeded, faults: exchanges, and those that ended well or by the target's fault. failovers:
    failed ones after which another target was asked. rate_limited: answered by 429. metered, unmetered: exchanges with tokens,
    and those of them without a price. measured, baseline: requests of clients whose answer was priced at the baseline,
    and that price. compared, compared_baseline, compared_cost: those of them whose own cost is known.
    first_tokens: requests by their time to a first token, in the buckets of `/metrics`.
    """

    requests: int = 0
    ok: int = 0
    failed: int = 0
    cancelled: int = 0
    degraded: int = 0
    unpriced: int = 0
    attempts: int = 0
    succeeded: int = 0
    faults: int = 0
    failovers: int = 0
    rate_limited: int = 0
    metered: int = 0
    unmetered: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    cost: int = 0
    measured: int = 0
    baseline: int = 0
    compared: int = 0
    compared_baseline: int = 0
    compared_cost: int = 0
    first_tokens: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def merge(self, other: HourSum) -> None:
        """Adds another sum to this one."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first_tokens = [mine + its for mine, its in zip(self.first_tokens, other.first_tokens, strict=True)]


COUNTS = HourSum.__struct_fields__[:-1]


class PriceBaseline(msgspec.Struct, frozen=True, dict=True):
    """name: as the settings have it. label: PROVIDER/MODEL."""

    name: str
    label: str
    price: Price

    @cached_property
    def text(self) -> str:
        """JSON: the same for the same target at the same price."""
        return msgspec.json.encode(self).decode()

    def micro(self, exchange: Exchange, at: float) -> int:
        """The price of an answer's tokens there. Cached ones count as cached, and an answer that it gave costs what it cost."""
        if exchange.target == self.label and exchange.cost_usd is not None:
            return round(exchange.cost_usd * MICRO)
        prompt, cached = exchange.prompt_tokens, exchange.cached_tokens
        usage = Usage(prompt, exchange.completion_tokens, cached, reasoning=exchange.reasoning_tokens)
        return round(self.price.rates(prompt, at).cost(usage))


class _Facts(msgspec.Struct, frozen=True):
    modalities: tuple[str, ...] = ()
    prompt_tokens: int = 0


class _Kept(msgspec.Struct, frozen=True):
    facts: _Facts = _Facts()


@dataclass(frozen=True, slots=True)
class Tally:
    """zone: of the days that hours must not cross. baseline: None: no saving is measured, and `unmeasured` says why.
    context_tokens: longer prompts are of the route `long_context`.
    """

    zone: tzinfo = UTC
    baseline: PriceBaseline | None = None
    context_tokens: int = 6000
    unmeasured: str = "no target is configured"

    def add(self, sums: dict[SumKey, HourSum], decision: Decision) -> None:
        """Adds a decision to the sums that it belongs to."""
        start, text = hour_of(decision.at, self.zone), "" if self.baseline is None else self.baseline.text
        route = route_of(decision, self.context_tokens)

        def of(target: str) -> HourSum:
            key = SumKey(start, target, decision.model, decision.caller, route, decision.reason, text)
            return sums.setdefault(key, HourSum())

        for number, exchange in enumerate(decision.attempts):
            after = decision.attempts[number + 1].target if number + 1 < len(decision.attempts) else exchange.target
            _exchanged(of(exchange.target), exchange, left=after != exchange.target)
        judged = decision.judged
        if judged is not None and judged.cost_usd is not None:
            of(judged.target).cost += round(judged.cost_usd * MICRO)
        self._answered(of(decision.target or NONE), decision)

    def _answered(self, asked: HourSum, decision: Decision) -> None:
        """The request as a whole: its end, its time to a first token, and what its answer would have cost elsewhere."""
        asked.requests += 1
        asked.ok += decision.status < _ERROR
        asked.cancelled += decision.status == _GONE
        asked.failed += decision.status >= _ERROR and decision.status != _GONE
        asked.degraded += bool(decision.degraded)
        if decision.ttft_ms is not None:
            asked.first_tokens[bisect_left(BUCKETS_S, decision.ttft_ms / 1000)] += 1
        unpriced = any(has_tokens(each) and each.cost_usd is None for each in decision.attempts)
        asked.unpriced += unpriced
        answers = [
            each for each in decision.attempts if each.ok and each.target == decision.target and has_tokens(each)
        ]
        if self.baseline is None or not answers or not comparable(decision):
            return
        there = sum([self.baseline.micro(each, decision.at) for each in answers])
        asked.measured += 1
        asked.baseline += there
        if not unpriced:
            paid = decision.attempts if decision.judged is None else (*decision.attempts, decision.judged)
            asked.compared += 1
            asked.compared_baseline += there
            asked.compared_cost += sum([round((each.cost_usd or 0.0) * MICRO) for each in paid])


def _exchanged(tried: HourSum, exchange: Exchange, *, left: bool) -> None:
    """One exchange, for its target. left: another target was asked after it."""
    tried.attempts += 1
    tried.succeeded += exchange.ok
    tried.faults += not exchange.ok and exchange.outcome not in _NOT_ITS_FAULT
    tried.failovers += left and exchange.outcome not in (OK, CANCELLED)
    tried.rate_limited += exchange.status == _TOO_MANY
    tried.prompt += exchange.prompt_tokens
    tried.cached += exchange.cached_tokens
    tried.completion += exchange.completion_tokens
    tried.reasoning += exchange.reasoning_tokens
    if exchange.cost_usd is not None:
        tried.cost += round(exchange.cost_usd * MICRO)
    if has_tokens(exchange):
        tried.metered += 1
        tried.unmetered += exchange.cost_usd is None


def has_tokens(exchange: Exchange) -> bool:
    """True for an exchange that something was charged for, or would be if there were a price."""
    return bool(exchange.prompt_tokens or exchange.completion_tokens)


def comparable(decision: Decision) -> bool:
    """True for requests that a baseline would have answered too: answered ones, asked by a client and not by an evaluation."""
    return decision.target is not None and decision.status < _ERROR and decision.origin != QUALITY


def route_of(decision: Decision, context_tokens: int) -> str:
    """The entry of `[routes]` that suits a request, whether or not it left the box; `pinned` and `rule` need none."""
    if decision.reason in (Reason.PINNED, Reason.RULE):
        return decision.reason
    try:
        facts = msgspec.convert(decision.kept or {}, _Kept, from_attributes=True).facts
    except msgspec.ValidationError:
        facts = _Facts()
    if len(facts.modalities) > 1:
        return "multimodal"
    if (facts.prompt_tokens or decision.estimated_tokens) > context_tokens:
        return "long_context"
    if decision.task == "code":
        return "code"
    return "complex" if decision.reason == Reason.COMPLEXITY else "default"


def hour_of(at: float, zone: tzinfo) -> int:
    """The start of the hour that a unix second is in, or of the zone's day if that began later."""
    at = min(max(at, 0.0), _FAR_S)  # a clock may be set to anything
    hour = int(at // HOUR_S) * HOUR_S
    day = datetime.fromtimestamp(at, zone).date()
    return hour if datetime.fromtimestamp(hour, zone).date() == day else math.ceil(midnight(day, zone))


def midnight(day: date, zone: tzinfo) -> float:
    """The unix second in which a day of the zone begins."""
    return datetime.combine(day, time.min, zone).timestamp()


def percentile(first_tokens: list[int], share: float) -> float | None:
    """Seconds to a first token that a share of the requests kept, read off the buckets as Prometheus does; None without any."""
    wanted, seen = share * sum(first_tokens), 0
    for number, count in enumerate(first_tokens):
        if count and seen + count >= wanted:
            if number == len(BUCKETS_S):
                return BUCKETS_S[-1]
            lower = BUCKETS_S[number - 1] if number else 0.0
            return lower + (BUCKETS_S[number] - lower) * (wanted - seen) / count
        seen += count
    return None
