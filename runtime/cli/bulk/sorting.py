"""One row sorted into its label: the question, as many further ones as its probabilities need, and the line for the
output.
"""

from __future__ import annotations

from typing import Any

from local_models.classification.answer import Answer, AnswerError
from local_models.classification.question import Question, whole_answer
from local_models.classification.scoring import Labels, Reading, Scores, Tally, read
from runtime.cli.bulk.patience import Patience, UnanswerableError

_LEARN = 32  # whole answers seen before answers are cut short
_DIGITS = 9


class Sorter:
    """Learns how many tokens decide a label and asks for no more: most label sets need the first one or two, not
    the end.

    tolerance: share of the probability that may be divided by proportion instead of asked for.
    """

    def __init__(self, question: Question, patience: Patience, tolerance: float) -> None:
        self._question = question
        self._patience = patience
        self._tolerance = tolerance
        self._labels = question.prompt.labels
        self._whole = whole_answer(self._labels)
        self._seen = 0
        self._deepest = 1
        self.further = 0  # questions beyond a row's first

    async def sort(self, text: str) -> Scores:
        """The scores of one text. Raises UnanswerableError and HopelessError."""
        tally = Tally(self._labels, self._tolerance)
        tally.add(await self._first(text), self._labels)
        while (labels := tally.next_question()) is not None:
            self.further += 1
            reading = await self._ask(text, labels, whole_answer(labels))
            tally.add(reading, labels)
        return tally.scores()

    async def _first(self, text: str) -> Reading:
        room = self._whole if self._seen < _LEARN else self._deepest
        reading = await self._ask(text, self._labels, room)
        if reading.answered is None and room < self._whole:
            self.further += 1
            reading = await self._ask(text, self._labels, self._whole)
        self._seen += 1
        self._deepest = max(self._deepest, reading.depth)
        return reading

    async def _ask(self, text: str, labels: Labels, room: int) -> Reading:
        answer = await self._patience.answer(self._question.body(text, labels, room))
        return _read(answer, labels)


def _read(answer: Answer, labels: Labels) -> Reading:
    try:
        return read(answer, labels)
    except AnswerError as error:
        raise UnanswerableError("no_label", str(error)) from error


def fields_of(scores: Scores) -> dict[str, Any]:
    """What a line of the output says of a sorted row."""
    probabilities = {label: round(share, _DIGITS) for label, share in scores.probabilities.items()}
    return {
        "label": scores.label,
        "probability": probabilities[scores.label],
        "probabilities": probabilities,
        "coverage": round(scores.coverage, 6),
    }
