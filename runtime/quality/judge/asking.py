"""A judge, and the other arms, put their questions through the life of a request: pinned, uncached, within a week's dollars."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from runtime.contract.targets import Target
from runtime.contract.usage import Usage
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import CHAT
from runtime.dialects.openai_completions import COMPLETIONS
from runtime.dialects.openai_responses.dialect import RESPONSES
from runtime.dialects.seam import Dialect
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.life.life import live
from runtime.quality.judge.question import Better, anonymous, better, comparison
from runtime.quality.judge.trust import JudgedPair
from runtime.quality.runs.asking import BATCH, CALLER, ShutDown, measured
from runtime.quality.sample.answers import answer_text
from runtime.record.decisions import QUALITY, Decision
from runtime.routing.facts.hints import BadHint
from runtime.wire.api_error import ApiError
from runtime.wire.raw_body import BadBody, RawBody

TRIES = 2  # of one question
_USUAL_TOKENS = 512
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "incomplete"})
WIRES: Mapping[str, Dialect] = {each.name: each for each in (CHAT, COMPLETIONS, MESSAGES, RESPONSES)}


class JudgeReply(NamedTuple):
    """text: of the answer and its calls; None without a whole one. decision: None for a request that was not sent."""

    text: str | None
    decision: Decision | None = None
    error: ApiError | None = None

    @property
    def usd(self) -> float | None:
        """Its cost; None where no price is known."""
        return self.decision.cost_usd if self.decision is not None and self.decision.attempts else 0.0


async def replied(
    desk: Desk,
    name: str,
    target: Target,
    body: Mapping[str, Any],
    requires: frozenset[str] = frozenset(),
    dialect: Dialect = CHAT,
) -> JudgeReply:
    """One model's answer to a body of that dialect. Raises ShutDown."""
    raw = RawBody(msgspec.json.encode({**body, "model": name, "stream": False}))
    sink = Collected()
    try:
        dialect.check(raw)
        headers = BATCH if target.local else {}
        ask = Ask(desk.ids.next(), dialect, raw, headers, desk.clock(), CALLER, requires, origin=QUALITY)
        settled = await live(desk, ask, sink)
    except (BadBody, BadHint, ApiError, ValueError):
        return JudgeReply(None)
    if settled.error is not None:
        if settled.error.code == "shutting_down":
            raise ShutDown
        return JudgeReply(None, settled.decision, settled.error)
    answer = answer_text(dialect.name, sink.body)
    whole = answer is not None and settled.decision.finish not in _CUT
    return JudgeReply(answer.shown if answer is not None and whole else None, settled.decision)


class WeekPurse:
    """Dollars of a week. A call begins only while its expected cost is left, so that they are exceeded by one call at most.

    spent: also by an earlier process. taken: with what is reserved for calls under way.
    """

    def __init__(self, usd: float, spent: float = 0.0) -> None:
        self.left, self.spent, self._usd = usd - spent, spent, usd

    @property
    def taken(self) -> float:
        return self._usd - self.left

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
        self._verdicts, self._verdict_tokens = 0, 0
        self._desk, self._names, self._nonce = desk, names, nonce

    @property
    def verdict_tokens(self) -> float:
        """The mean output of a judge's answer, its thinking included; 0 before the first."""
        return self._verdict_tokens / self._verdicts if self._verdicts else 0.0

    async def answered(
        self,
        name: str,
        target: Target,
        body: Mapping[str, Any],
        requires: frozenset[str] = frozenset(),
        wire: str = CHAT.name,
    ) -> str | None:
        """The text and the calls of one model's answer; None without a whole one. Raises SpentError, ShutDown."""
        return (await self._paid(name, target, body, requires, wire)).text

    async def _paid(
        self, name: str, target: Target, body: Mapping[str, Any], requires: frozenset[str], wire: str = CHAT.name
    ) -> JudgeReply:
        """One model's reply, taken off the purse. Raises SpentError, ShutDown."""
        reserved = self.purse.reserve(target, len(msgspec.json.encode(body)) // 3)
        if reserved is None:
            raise SpentError
        usd: float | None = None
        try:
            reply = await replied(self._desk, name, target, body, requires, WIRES[wire])
            usd = reply.usd
            return reply
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
        for _ in range(TRIES):
            reply = await self._paid(*judge, body, requires)
            tokens = measured(reply.decision).completion_tokens if reply.decision is not None else 0
            if tokens:
                self._verdicts, self._verdict_tokens = self._verdicts + 1, self._verdict_tokens + tokens
            if reply.text is not None and (found := better(reply.text)) is not None:
                return found
        return None
