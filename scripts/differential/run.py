"""One run: every request and answer through both translators, and the differences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from scripts.differential import meaning, translators
from scripts.differential.cases import MODELS, Answer, Question
from scripts.differential.comparison import Difference, differences
from scripts.differential.exceptions import Exempt, Finding
from scripts.differential.translators import Theirs, Translated

_WORD = re.compile(r'"(\w+)"')
_DONE = {"request": "sent", "answer": "told"}


@dataclass(slots=True)
class Report:
    """compared, agreeing: (of, model or wire) -> cases; cases that both refuse agree. excused: by rule."""

    rules: Sequence[Exempt]
    compared: Counter[tuple[str, str]] = field(default_factory=Counter)
    agreeing: Counter[tuple[str, str]] = field(default_factory=Counter)
    excused: Counter[Exempt] = field(default_factory=Counter)
    unexplained: list[Finding] = field(default_factory=list)

    def take(self, of: str, model: str, found: Sequence[Finding]) -> None:
        """Counts one case. found: its differences; empty if both translations mean the same."""
        self.compared[of, model] += 1
        self.agreeing[of, model] += not found
        for each in found:
            rule = next((rule for rule in self.rules if rule.fits(each)), None)
            if rule is None:
                self.unexplained.append(each)
            else:
                self.excused[rule] += 1

    @property
    def unused(self) -> list[Exempt]:
        return [rule for rule in self.rules if not self.excused[rule]]


def ask(theirs: Theirs, questions: Iterable[Question], report: Report) -> Iterator[str]:
    """Fills the report; yields each case's name when it is done."""
    for question in questions:
        given = frozenset(name for name, value in question.request.items() if value is not None)
        for wire, models in MODELS.items():
            for model in models:
                their = theirs.asked(wire, model, question.request)
                our = translators.ours(wire, model, question.request)
                found = _differences("request", wire, their, our)
                named = frozenset(our.dropped)
                report.take(
                    "request",
                    model,
                    [Finding("request", wire, model, question.name, each, given, named) for each in found],
                )
        yield question.name


def tell(theirs: Theirs, answers: Iterable[Answer], report: Report) -> Iterator[str]:
    """Fills the report; yields each case's name when it is done."""
    for answer in answers:
        their = theirs.answered(answer.wire, answer.model, answer.stream, answer.whole)
        our = translators.our_answer(answer.wire, answer.stream)
        found = _differences("answer", answer.wire, their, our)
        words = frozenset(_WORD.findall(answer.stream))
        report.take(
            "answer",
            answer.wire,
            [Finding("answer", answer.wire, answer.model, answer.name, each, words) for each in found],
        )
        yield answer.name


def _differences(of: str, wire: str, theirs: Translated, ours: Translated) -> list[Difference]:
    """The differences of two translations; two refusals agree, and a single one is the difference."""
    if theirs.body is None or ours.body is None:
        outcomes = (theirs.why or _DONE[of], ours.why or _DONE[of])
        return [] if theirs.body is ours.body else [Difference(of, *outcomes)]
    read = meaning.REQUESTS[wire] if of == "request" else meaning.answer
    return differences(read(theirs.body), read(ours.body))
