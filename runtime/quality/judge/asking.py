"""A judge, and the other arms, put their questions through the life of a request: pinned, uncached, within a week's dollars."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.life.life import live
from runtime.quality.golden.answers import read_completion
from runtime.quality.judge.question import Better, anonymous, better, comparison
from runtime.quality.judge.trust import JudgedPair
from runtime.record.decisions import QUALITY
from runtime.routing.facts.hints import BadHint
from runtime.trust.caller import Caller, Scope
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

_CALLER = Caller(QUALITY, frozenset({Scope.GENERATE}))
_BATCH = {"x-hearth-priority": "batch"}
_TRIES = 2
_USUAL_TOKENS = 512


class WeekPurse:
    """Dollars of a week. A call begins only while its expected cost is left, so that they are exceeded by one call at most."""

    def __init__(self, usd: float) -> None:
        self.left, self.spent = usd, 0.0

    def reserve(self, target: Target, tokens: int) -> float | None:
        """The expected dollars, taken off what is left; None if there is not so much."""
        price = target.price
        expected = price.most(Usage(tokens, _USUAL_TOKENS)) / 1e6 if price is not None else 0.0
        if expected > self.left or (self.left <= 0 and not target.on_box):
            return None
        self.left -= expected
        return expected

    def settle(self, reserved: float, usd: float | None) -> None:
        true = reserved if usd is None else usd
        self.left += reserved - true
        self.spent += true


class SpentError(Exception):
    """The week's dollars are spent: nothing more is asked."""


class Questions:
    """names: hidden in what a judge reads. nonce: a new random mark for each pair."""

    def __init__(
        self,
        desk: Desk,
        purse: WeekPurse,
        names: frozenset[str] = frozenset(),
        nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.purse = purse
        self._desk, self._names, self._nonce = desk, names, nonce

    async def answered(
        self, name: str, target: Target, body: Mapping[str, Any], requires: frozenset[str] = frozenset()
    ) -> str | None:
        """The text and the calls of one model's answer; None without a whole one. Raises SpentError."""
        desk = self._desk
        raw = RawBody(msgspec.json.encode({**body, "model": name, "stream": False}))
        reserved = self.purse.reserve(target, len(raw.raw) // 3)
        if reserved is None:
            raise SpentError
        sink, usd = Collected(), None
        try:
            CHAT.check(raw)
            headers = _BATCH if target.local else {}
            ask = Ask(desk.ids.next(), CHAT, raw, headers, desk.clock(), _CALLER, requires, origin=QUALITY)
            settled = await live(desk, ask, sink)
            usd = settled.decision.cost_usd if settled.decision.attempts else 0.0
            if settled.error is not None:
                return None
            answer = read_completion(sink.body)
            return None if answer.finish == "length" else answer.shown
        except (BadBody, BadHint, ApiError, ValueError):
            return None
        finally:
            self.purse.settle(reserved, usd)

    async def judged(
        self, judge: tuple[str, Target], pair: JudgedPair, texts: tuple[str, str, str], requires: frozenset[str]
    ) -> JudgedPair:
        """The same pair with the verdicts of both orders. texts: the request and both answers. Raises SpentError."""
        request, a, b = [anonymous(text, self._names) for text in texts]
        mark = self._nonce()
        forward, backward = await asyncio.gather(
            self._verdict(judge, comparison(request, a, b, mark), requires),
            self._verdict(judge, comparison(request, b, a, mark), requires),
        )
        return msgspec.structs.replace(pair, forward=forward, backward=backward, lengths=(len(a), len(b)))

    async def _verdict(
        self, judge: tuple[str, Target], body: Mapping[str, Any], requires: frozenset[str]
    ) -> Better | None:
        """One verdict, asked for twice at most."""
        for _ in range(_TRIES):
            text = await self.answered(*judge, body, requires)
            if text is not None and (found := better(text)) is not None:
                return found
        return None
