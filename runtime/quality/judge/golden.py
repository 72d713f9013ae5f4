"""The judge of golden cases: `rubric` asks about each criterion, `versus` compares with the model's own earlier answer.

A judge grades neither its own answers nor those of its family, and sees only what it is certified for. Each question has its
own room in `[quality] daily_usd`, is asked twice at most, and gives no verdict rather than a guessed one. Until the judge
agrees with the anchors, its word on a criterion is advice, and a judge that is believed decides the anchors again before each
run with criteria. A comparison with the model's own earlier answer needs no such trust, because without a change the two are
exchangeable, whatever the judge prefers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from runtime.contract.guard import missing
from runtime.contract.targets import Target
from runtime.life.desk import Desk
from runtime.money.budget import Shortfall
from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.check_process import AnswerOrigin, UnpaidCheckError
from runtime.quality.golden.checks import Finding, short
from runtime.quality.judge.asking import TRIES, replied
from runtime.quality.judge.choice import related
from runtime.quality.judge.pairs import Anchor, shown_request
from runtime.quality.judge.question import Better, anonymous, assessment, better, comparison, holds, names_of, score
from runtime.quality.runs.asking import measured
from runtime.quality.runs.wallet import Wallet
from runtime.quality.values import VERSUS, GoldenCase, GoldenCheck, GoldenSet, Judging
from runtime.wire.child_pool import UncheckedError

_AT_A_TIME = 4
_LONGEST_WAIT_S = 60.0  # for a judge that is busy
_T = TypeVar("_T")


class GoldenJudge:
    """named: the judge's name or label; replaced on a reload. trusted: True if its agreement with anchors is known to suffice.

    sleep: waits for a busy judge. nonce: a new random mark for each question.
    """

    def __init__(
        self,
        desk: Desk,
        wallet: Wallet,
        named: str,
        trusted: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.named = named
        self._desk, self._wallet, self._trusted, self._sleep, self._nonce = desk, wallet, trusted, sleep, nonce
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def judged(
        self, golden: GoldenSet, case: GoldenCase, check: GoldenCheck, answer: ModelAnswer, origin: AnswerOrigin
    ) -> Finding:
        """The seam `check_process.Judge`. Raises UncheckedError, ShutDown."""
        judge = self.chosen(golden, origin.target)
        hidden = names_of([origin.target, judge.label])
        request, given = anonymous(shown_request(case.body), hidden), anonymous(answer.shown, hidden)
        if check.kind == VERSUS:
            earlier = anonymous(origin.earlier or "", hidden)
            won, judging = await self._compared(judge, golden.requires, (request, given, earlier))
            return Finding(won, judging=judging)
        wanted = [check.want] if isinstance(check.want, str) else list(check.want)
        reference, failed, judging = str(check.options.get("reference", "")), [], Judging()
        for criterion in wanted:
            body = assessment(request, given, criterion, reference, self._nonce())
            held, asked = await self._verdict(judge, golden.requires, body, holds)
            judging += asked
            if not held:
                failed.append(criterion)
        words = f"by the judge this does not hold: {short(failed[0])}" if failed else ""
        return Finding(1 - len(failed) / len(wanted), words, advisory=not self._trusted(), judging=judging)

    async def decided(self, judge: Target, anchors: Sequence[Anchor]) -> list[tuple[float, Anchor]]:
        """The anchors with the judge's scores, paid as the cases are; those without a verdict are left out. Raises ShutDown."""
        hidden = names_of([judge.label, *(by for each in anchors for by in each.by if by)])

        async def score_of(anchor: Anchor) -> tuple[float, Anchor]:
            texts = [anonymous(text, hidden) for text in (shown_request(anchor.body), anchor.a, anchor.b)]
            return (await self._compared(judge, anchor.requires, texts))[0], anchor

        found = []
        for each in await asyncio.gather(*map(score_of, anchors), return_exceptions=True):
            if isinstance(each, BaseException):
                if not isinstance(each, UncheckedError):
                    raise each
            else:
                found.append(each)
        return found

    async def _compared(self, judge: Target, requires: frozenset[str], texts: Sequence[str]) -> tuple[float, Judging]:
        """1 if the first answer is better in both orders, 0 if the second is, else 0.5. texts: the request, both answers."""
        (request, one, other), mark = texts, self._nonce()
        forward: tuple[Better, Judging]
        backward: tuple[Better, Judging]
        forward = await self._verdict(judge, requires, comparison(request, one, other, mark), better)
        backward = await self._verdict(judge, requires, comparison(request, other, one, mark), better)
        found = score(forward[0], backward[0])
        assert found is not None
        return found, forward[1] + backward[1]

    def chosen(self, golden: GoldenSet, label: str) -> Target:
        """The judge of a target's answers. Raises UncheckedError with the reason where there is none."""
        if not self.named:
            raise UncheckedError("it needs a judge, and quality.judge is not set")
        clouds = [each.target for each in self._desk.fleet.clouds.backends.values()]
        judge = next((each for each in clouds if self.named in (each.name, each.label)), None)
        if judge is None:
            raise UncheckedError(
                f"it needs a judge, and quality.judge, {self.named}, is no configured target with a key"
            )
        if trouble := related(judge.label, [label]):
            raise UncheckedError(trouble)
        if lacking := missing(golden.requires, judge.certified):
            raise UncheckedError(f"the judge {judge.label} is not certified for {', '.join(sorted(lacking))}")
        return judge

    async def _verdict(
        self, judge: Target, requires: frozenset[str], body: Mapping[str, Any], read: Callable[[str], _T | None]
    ) -> tuple[_T, Judging]:
        """One verdict. Raises UncheckedError where there is none."""
        facts = self._desk.planner.read("openai_chat", {"model": "", **body}, {}).facts
        window = judge.capabilities.context_tokens
        if window is not None and facts.prompt_tokens > window:
            raise UncheckedError(f"it does not fit the judge {judge.label}")
        why, judging = "its answer is no verdict", Judging()
        async with self._turn:
            for attempt in range(TRIES):
                async with self._wallet.room(judge, facts) as room:
                    if isinstance(room, Shortfall):
                        raise UnpaidCheckError(room.words)
                    reply = await replied(self._desk, judge.name, judge, body, requires)
                    if reply.decision is not None:
                        spent = measured(reply.decision)
                        room.settle(spent)
                        tokens = spent.prompt_tokens, spent.completion_tokens
                        judging += Judging(judge.label, 1, *tokens, spent.cost_usd)
                if reply.text is not None and (found := read(reply.text)) is not None:
                    return found, judging
                if reply.error is not None:
                    why = reply.error.message
                    if attempt + 1 < TRIES and reply.error.retry_after:
                        await self._sleep(min(reply.error.retry_after, _LONGEST_WAIT_S))
        raise UncheckedError(f"the judge {judge.label} gave no verdict: {why}")
