"""An attempt's money: the failure of one that the budget has no room for, and the charge of each exchange. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.contract.prices import BATCH, Price
from runtime.contract.usage import Usage
from runtime.money.budget import Shortfall
from runtime.money.estimate import true_micro
from runtime.record.decisions import OK, Exchange
from runtime.routing.plan.refusals import BUDGET_EXCEEDED

_TIERS = ("service_tier", "speed")
_FREE = frozenset({Kind.DOWN, Kind.DENIED, Kind.BUSY, Kind.REJECTED, Kind.TOO_LONG, Kind.FORBIDDEN})


def unpaid(room: Shortfall, when_spent: str) -> Failure:
    """The failure of an attempt without room. when_spent: "local" lets another candidate answer, the engine above all."""
    if room.wait_s is None:
        return Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, room.words)
    on = Disposition.NEXT_CANDIDATE if when_spent == "local" else Disposition.TELL_CALLER
    wait = room.wait_s if when_spent == "queue" else None
    return Failure(Kind.SPENT, on, room.words, HTTPStatus.PAYMENT_REQUIRED, wait, BUDGET_EXCEEDED)


def tier_of(body: Mapping[str, Any], dropped: Sequence[str] = (), served: str = "") -> str:
    """The kind of processing that a call asks for, and its price depends on. dropped: members that were not sent. served: the
    kind that the answer says it had, which may be another.

    A call is answered live, whatever its client writes: the price of batches is for the vendors' own batches.
    """
    tier = served or next((body[each] for each in _TIERS if body.get(each) and each not in dropped), "")
    return tier if isinstance(tier, str) and tier != BATCH else ""


def charged(exchange: Exchange, price: Price, prompt: int) -> int:
    """Micro-dollars of one exchange. price: for one without a cost. prompt: tokens, charged if it was broken off unreported."""
    usage = Usage(
        exchange.prompt_tokens,
        exchange.completion_tokens,
        exchange.cached_tokens,
        reasoning=exchange.reasoning_tokens,
    )
    # An answer without any count is none of tokens: a count of them, say.
    free = (
        exchange.outcome in _FREE
        or exchange.outcome == OK
        or (exchange.status or HTTPStatus.OK) >= HTTPStatus.BAD_REQUEST
    )
    return true_micro(price, exchange.cost_usd, usage, unanswered_prompt=0 if free else prompt)
