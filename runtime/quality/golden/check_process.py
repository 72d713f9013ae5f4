"""Grades answers without standing still: checks run in child processes that are killed when they take too long."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

import runtime
from runtime.quality.golden import python_child
from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.check_child import CheckQuestion
from runtime.quality.golden.checks import CHECKS, MEASURES, PYTHON, Finding, Graded, graded, turned
from runtime.quality.values import VERSUS, GoldenCase, GoldenCheck, GoldenSet, Judging
from runtime.wire.child_pool import ChildPool, UncheckedError

_LIMIT_S = 5.0  # of one answer's checks
_PYTHON_S = 20.0  # of one check that the user wrote
_AT_A_TIME = 2
_ROOT = str(Path(runtime.__file__).resolve().parents[1])
_PROGRAM = f"import sys; sys.path.append({_ROOT!r}); from runtime.quality.golden.check_child import main; main()"


class AnswerOrigin(NamedTuple):
    """target: the label that answered. earlier: its own answer of the reference, None while that is collected."""

    target: str = ""
    earlier: str | None = None


class UnpaidCheckError(UncheckedError):
    """The money for a judge is spent."""


Judge = Callable[[GoldenSet, GoldenCase, GoldenCheck, ModelAnswer, AnswerOrigin], Awaitable[Finding]]
"""Judges a check of the kinds in `values.JUDGED`; of `versus`, the score is 1, 0.5 or 0. Raises UncheckedError."""


_UNKNOWN = AnswerOrigin()


class PythonAnswer(msgspec.Struct, frozen=True):
    """The verdict that `python_child` writes. fault: the check itself failed."""

    score: float = 0.0
    words: str = ""
    fault: str = ""


class Grader:
    """judge: None where no model judges: then a case that needs one has no verdict."""

    def __init__(self, judge: Judge | None = None, *, limit_s: float = _LIMIT_S, python_s: float = _PYTHON_S) -> None:
        self.judge = judge
        self._python_s = python_s
        decode = msgspec.json.Decoder(list[Finding]).decode
        program = (sys.executable, "-P", "-c", _PROGRAM)
        self._pool = ChildPool(program, decode, limit_s=limit_s, patience_s=600.0, most_waiting=1000)
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def grade(
        self, golden: GoldenSet, case: GoldenCase, answer: ModelAnswer, origin: AnswerOrigin = _UNKNOWN
    ) -> Graded:
        """The grade of an answer. Raises UncheckedError where a check could not be made: that is no verdict."""
        checks = tuple([each for each in case.checks if each.kind not in MEASURES and each.kind != VERSUS])
        plain = tuple([each for each in checks if each.kind in CHECKS])
        try:
            asked = msgspec.json.encode(CheckQuestion(plain, answer))
        except UnicodeError as fault:
            raise UncheckedError(str(fault)) from fault
        found = iter(await self._pool.asked(asked) if plain else ())
        every, judging = [], Judging()
        for each in checks:
            if each.kind in CHECKS:
                every.append(next(found))
                continue
            if each.kind == PYTHON:
                finding = await self._python(golden, case, each, answer)
            else:
                finding = await self._judged(golden, case, each, answer, origin)
            every.append(turned(each, finding))
            judging += finding.judging
        versus = None
        against = next((each for each in case.checks if each.kind == VERSUS), None)
        if against is not None and origin.earlier is not None:
            finding = await self._judged(golden, case, against, answer, origin)
            versus, judging = finding.score, judging + finding.judging
        return replace(
            graded(checks, case.threshold, answer, every),
            versus=versus,
            open_ended=against is not None,
            advisory=any(each.advisory for each in every),
            judging=judging,
        )

    def close(self) -> None:
        self._pool.close()

    async def _judged(
        self, golden: GoldenSet, case: GoldenCase, check: GoldenCheck, answer: ModelAnswer, origin: AnswerOrigin
    ) -> Finding:
        if self.judge is None:
            raise UncheckedError(f"{check.kind} needs a judge, and none is set: see quality.judge")
        return await self.judge(golden, case, check, answer, origin)

    async def _python(self, golden: GoldenSet, case: GoldenCase, check: GoldenCheck, answer: ModelAnswer) -> Finding:
        """One process for one check. It inherits no environment, and so no key."""
        question: dict[str, Any] = {
            "source": check.options["source"],
            "name": check.options["function"],
            "folder": golden.folder,
            "answer": answer,
            "case": {"id": case.id, "body": case.body, "cluster": case.cluster},
        }
        program = [sys.executable, "-P", python_child.__file__]
        async with self._turn:
            try:
                done = await asyncio.to_thread(
                    subprocess.run,
                    program,
                    input=msgspec.json.encode(question),
                    capture_output=True,
                    timeout=self._python_s,
                    env={},
                    check=False,
                )
                found = msgspec.json.decode(done.stdout, type=PythonAnswer)
            except (subprocess.TimeoutExpired, OSError, msgspec.DecodeError, UnicodeError) as fault:
                raise UncheckedError(f"{check.want} did not end with a verdict: {type(fault).__name__}") from fault
        if found.fault:
            raise UncheckedError(f"{check.want} failed: {found.fault}")
        return replace(Finding(found.score), words=found.words or f"{check.want} does not hold")
