"""The decision record: the request's names, the candidates considered, the exchanges made, tokens, cost and times.

A record holds counts, names, times and the runtime's own sentences, never a prompt or an answer.

    Decision      one request, from the door to its settlement
    Considered    one candidate of the plan, in order, or one that was left out, with the reason
    Exchange      one request to a target and its answer
    DecisionIds   makes ids
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runtime.contract.owner_ids import owned
from runtime.contract.targets import LOCAL, PEER

OK = "ok"  # the outcome of an exchange that answered; otherwise a failure's kind
QUALITY = "quality"  # the origin of requests that evaluate a target
CANCELLED = "cancelled"  # the client went away, or another exchange won

PREFIX = "dec_"
_SALT_BITS = 20
_STEP_BITS = _SALT_BITS + 1


class Considered(msgspec.Struct, frozen=True, gc=False):
    """A target's place in the plan. words: one plain sentence for a person.

    cost_usd: dollars that the tokens of this answer would have cost there, nothing of the prompt cached; None where no
    price is known, and of the target that answered.
    """

    target: str
    reason: str
    words: str = ""
    cost_usd: float | None = None


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """One request to one lane of a target, and its answer; repairs, hedges and answers nobody got are exchanges too.

    Times are milliseconds since the request arrived; retry_after is seconds, as the upstream asked. Tokens are as the
    target counted them, with `prompt_tokens` including cached ones and `completion_tokens` including reasoning; where
    it reported none they are what the runtime counted, and `estimated` is set. cost_usd: whole micro-dollars, None where
    no price is known. price_date: the day on which that price was read, ISO 8601. searches: that the provider ran, whose fees
    are not in cost_usd.
    """

    target: str
    lane: str
    started_ms: float
    ended_ms: float
    outcome: str = OK
    first_token_ms: float | None = None
    status: int | None = None
    message: str = ""
    retry_after: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False
    price_date: str | None = None
    searches: int = 0

    @property
    def ok(self) -> bool:
        return self.outcome == OK


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request.

    at: unix seconds when it arrived. model: as the client asked. target: the label that answered (`local/…`,
    `PROVIDER/…`), None if none did. status: the HTTP status the client got; 499 when it went away first. Tokens and
    cost_usd are sums over the exchanges; cost_usd is None where no price is known. estimated_tokens: the prompt's size
    as estimated for the decision. task, score: set if the decision had to look at the text. ttft_ms, total_ms: since
    arrival, as the client saw them. advice: the reason for which mode `act` would have sent it away. caller: the id of
    the key it came with, "" without one. personal: kinds of personal data found in
    what left, never a value. kept: what `hearth replay` decides by, as `runtime.life.kept` has it. judged: the
    exchange by which the local model was asked what the prompt needs; its cost is in cost_usd, and its tokens in no sum.
    trace: the client's `traceparent`, "" without one. store_away_s: seconds for which the fleet's store had been away; None
    while it answers, and without one.
    origin: "" for a client's request; QUALITY for one of an evaluation, which is in no metric, no saving and no sample.
    """

    id: str
    at: float
    dialect: str
    model: str
    target: str | None = None
    reason: str = "default"
    words: str = ""
    degraded: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()
    attempts: tuple[Exchange, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated_tokens: int = 0
    score: float | None = None
    task: str | None = None
    stream: bool = False
    status: int = 200
    ttft_ms: float | None = None
    total_ms: float = 0.0
    requires: tuple[str, ...] = ()
    session: str | None = None
    cost_usd: float | None = None
    advice: str | None = None
    finish: str | None = None
    caller: str = ""
    personal: tuple[str, ...] = ()
    kept: Any = None
    judged: Exchange | None = None
    trace: str = ""
    origin: str = ""
    store_away_s: float | None = None


def placement(here: bool, made: Decision) -> Any:
    """The part of a decision that says where it was answered, for whom and on what demands. here: the engine is on this box."""
    local, elsewhere = f"{LOCAL}/", bool(made.attempts) and made.attempts[-1].lane.startswith(PEER)
    return {
        "decision": made.id,
        "at": made.at,
        "caller": made.caller,
        "session": made.session,
        "dialect": made.dialect,
        "requires": made.requires,
        "personal": made.personal,
        "target": made.target,
        "on_box": here and made.target.startswith(local) and not elsewhere if made.target else None,
        "reason": made.reason,
        "status": made.status,
        "attempts": [
            {
                "target": each.target,
                "lane": each.lane,
                "on_box": here and each.target.startswith(local) and not each.lane.startswith(PEER),
                "outcome": each.outcome,
                "status": each.status,
            }
            for each in made.attempts
        ],
    }


def milliseconds(seconds: float) -> float:
    """A time as records hold it."""
    return round(seconds * 1000, 3)


class DecisionIds:
    """Ids that sort by time: `dec_` and 16 hex digits, the milliseconds above 21 bits of salt and count.

    clock gives unix seconds. salt: any integer that differs between processes. A clock that steps back, or a million
    requests in one millisecond, still yields growing ids. owner: this Hearth's name in a fleet, which stands before the digits.
    """

    def __init__(self, clock: Callable[[], float], salt: int, owner: str = "") -> None:
        self.owner = owner
        self._prefix = owned(f"{PREFIX}0", owner)[:-1]
        self._clock = clock
        self._salt = salt & ((1 << _SALT_BITS) - 1)
        self._last = 0

    def next(self) -> str:
        self._last = max(self._last + 1, floor_of(self._clock()) | self._salt)
        return f"{self._prefix}{self._last:016x}"


def floor_of(at: float) -> int:
    """The smallest number an id made at this unix second can carry."""
    return int(at * 1000) << _STEP_BITS


def number_of(id: str) -> int | None:
    """The number in an id, which orders decisions by time; None if the text is no decision id."""
    digits = id.removeprefix(PREFIX).rpartition(".")[2]
    if not id.startswith(PREFIX) or len(digits) != 16 or not set(digits) <= set("0123456789abcdef"):
        return None
    number = int(digits, 16)
    return number if number < 1 << 63 else None
