"""A grader that makes its checks in this process."""

from __future__ import annotations

from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.check_process import AnswerOrigin, Grader
from runtime.quality.golden.checks import MEASURES, Graded, findings, graded
from runtime.quality.values import GoldenCase, GoldenSet

_UNKNOWN = AnswerOrigin()


class DirectGrader(Grader):
    """Only for kinds in `checks.CHECKS`."""

    async def grade(
        self, golden: GoldenSet, case: GoldenCase, answer: ModelAnswer, origin: AnswerOrigin = _UNKNOWN
    ) -> Graded:
        checks = tuple(each for each in case.checks if each.kind not in MEASURES)
        return graded(checks, case.threshold, answer, findings(checks, answer))
