"""One case put to one target, as a request without a door: pinned, of the batch priority, in no conversation and no metric.

A failure that says nothing about the model is a wait or no verdict. Grades are of the model's answer, and of an upstream's
refusal of the request.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from runtime.contract.failures import Kind
from runtime.contract.targets import Target
from runtime.dialects.format import FORMAT_NOT_KEPT
from runtime.dialects.seam import Dialect
from runtime.life.ask import Ask
from runtime.life.collected import Collected
from runtime.life.desk import Desk
from runtime.life.life import live
from runtime.quality.golden.answers import ModelAnswer, read_completion
from runtime.quality.golden.check_process import AnswerOrigin, Grader, UnpaidCheckError
from runtime.quality.values import CaseKey, CaseResult, Cause, GoldenCase, GoldenSet, Grade, Measures
from runtime.record.decisions import QUALITY, Decision
from runtime.routing.facts.facts import Facts
from runtime.routing.plan.refusals import BUDGET_EXCEEDED, NO_COMPLIANT_TARGET
from runtime.trust.caller import Caller, Scope
from runtime.wire.api_error import ApiError
from runtime.wire.child_pool import UncheckedError
from runtime.wire.raw_body import BadBody, RawBody

CALLER = Caller(QUALITY, frozenset({Scope.GENERATE}))
BATCH = {"x-hearth-priority": "batch"}  # on the engine: behind everybody else, in the room of the batch lane
_PASSING_S = 5.0  # before asking again what gave no time to wait
_CALLERS_OWN = frozenset({Kind.REJECTED, Kind.TOO_LONG})
_OWN_REFUSALS = frozenset({400, 404, 413, 422})  # of the plan: the target cannot take such a request, or is gone


class PutAgain(msgspec.Struct, frozen=True):
    """A case to be asked once more after `wait_s`. cause: what stands if there is no time for that."""

    wait_s: float
    cause: Cause
    words: str
    measures: Measures = Measures()


class Ungraded(msgspec.Struct, frozen=True):
    """An answer to a case. base: its result, without a grade."""

    base: CaseResult
    answer: ModelAnswer

    @property
    def measures(self) -> Measures:
        return self.base.measures


class ShutDown(Exception):
    """The process ends: the case stays pending."""


class WatchedTarget(msgspec.Struct, frozen=True):
    """A target of a run. name: by which it is asked for."""

    name: str
    target: Target

    @property
    def label(self) -> str:
        return self.target.label


class Asker:
    """dialect: the chat dialect, made once."""

    def __init__(self, desk: Desk, dialect: Dialect, grader: Grader) -> None:
        self._desk, self._dialect, self._grader = desk, dialect, grader

    def facts(self, case: GoldenCase) -> Facts:
        """The facts of a case, for its price."""
        return self._desk.planner.read(self._dialect.name, {"model": "", **case.body}, {}).facts

    async def asked(
        self, watched: WatchedTarget, golden: GoldenSet, case: GoldenCase, key: CaseKey
    ) -> Ungraded | CaseResult | PutAgain:
        """Raises ShutDown."""
        body = RawBody(msgspec.json.encode({"model": watched.name, **case.body}))
        desk, sink, id = self._desk, Collected(), self._desk.ids.next()
        base = CaseResult(key, Grade.NO_VERDICT, case_hash=case.hash, cluster=case.cluster, decision=id, at=desk.wall())
        try:
            self._dialect.check(body)
            headers = BATCH if watched.target.local else {}
            ask = Ask(id, self._dialect, body, headers, desk.clock(), CALLER, golden.requires, origin=QUALITY)
            settled = await live(desk, ask, sink)
        except (BadBody, ApiError) as bad:
            return msgspec.structs.replace(base, cause=Cause.FORBIDDEN, words=str(bad))
        decision = settled.decision
        base = msgspec.structs.replace(base, measures=measured(decision))
        if settled.error is not None:
            return failed(base, decision, settled.error)
        try:
            answer = read_completion(sink.body)
        except ValueError as fault:
            return msgspec.structs.replace(base, cause=Cause.DOWN, words=str(fault))
        base = msgspec.structs.replace(base, answer=answer.shown, served=answer.served, fingerprint=answer.fingerprint)
        return Ungraded(base, answer)

    async def graded(self, found: Ungraded, golden: GoldenSet, case: GoldenCase, earlier: str | None) -> CaseResult:
        """The result of an answer. earlier: the model's own, of an open-ended case. Raises ShutDown."""
        base = found.base
        try:
            made = await self._grader.grade(golden, case, found.answer, AnswerOrigin(base.key.target, earlier))
        except UncheckedError as fault:
            cause = Cause.BUDGET if isinstance(fault, UnpaidCheckError) else Cause.JUDGE
            return msgspec.structs.replace(base, cause=cause, words=str(fault))
        return msgspec.structs.replace(base, **msgspec.structs.asdict(made))


def measured(decision: Decision) -> Measures:
    """Times of the last exchange alone: the wait for room on the engine before it is no property of the model."""
    if not decision.attempts:
        return Measures()
    last = decision.attempts[-1]
    first = last.first_token_ms
    return Measures(
        round(last.ended_ms - last.started_ms, 3),
        None if first is None else round(first - last.started_ms, 3),
        decision.cost_usd,
        decision.prompt_tokens,
        decision.completion_tokens,
    )


def failed(base: CaseResult, decision: Decision, error: ApiError) -> CaseResult | PutAgain:
    """The result of a request that was not answered. Raises ShutDown."""
    kind = decision.attempts[-1].outcome if decision.attempts else ""
    words = error.message

    def without(cause: Cause) -> CaseResult:
        return msgspec.structs.replace(base, cause=cause, words=words)

    def graded(grade: Grade) -> CaseResult:
        return msgspec.structs.replace(base, grade=grade, score=0.0, words=words)

    # (1) Nothing was sent, for a reason of this box.
    if error.code == "shutting_down":
        raise ShutDown
    if error.code == BUDGET_EXCEEDED or kind == Kind.SPENT:
        return without(Cause.BUDGET)
    if error.code == NO_COMPLIANT_TARGET or kind == Kind.FORBIDDEN or (not kind and error.status in _OWN_REFUSALS):
        return without(Cause.FORBIDDEN)
    # (2) The upstream judged the request or the answer.
    if kind == Kind.FILTERED:
        return graded(Grade.REFUSED)
    if error.code == FORMAT_NOT_KEPT:
        return graded(Grade.MALFORMED)
    if kind in _CALLERS_OWN:
        return graded(Grade.REJECTED)
    # (3) It had no time, no room, or is not there.
    if kind == Kind.SILENT or error.status == HTTPStatus.GATEWAY_TIMEOUT:
        return without(Cause.TIMEOUT)
    if kind == Kind.BUSY or error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return PutAgain(error.retry_after or _PASSING_S, Cause.BUSY, words, base.measures)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE and not decision.attempts:
        return PutAgain(error.retry_after or _PASSING_S, Cause.DOWN, words, base.measures)
    return without(Cause.DOWN)
