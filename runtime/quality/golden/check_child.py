"""The child process of `check_process`: makes the findings of one question after another."""

from __future__ import annotations

import sys

import msgspec

from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.golden.checks import findings
from runtime.quality.values import GoldenCheck
from runtime.wire.json_schema import serve


class CheckQuestion(msgspec.Struct, frozen=True):
    """Checks of kinds in `checks.CHECKS`, and the answer they are to hold for."""

    checks: tuple[GoldenCheck, ...]
    answer: ModelAnswer


def answered(question: bytes) -> bytes:
    """The JSON of the findings for the JSON of a `CheckQuestion`."""
    asked = msgspec.json.decode(question, type=CheckQuestion)
    return msgspec.json.encode(findings(asked.checks, asked.answer))


def main() -> None:
    """The program. Arguments: seconds for one question, seconds without any."""
    serve(answered, *map(float, sys.argv[-2:]))
