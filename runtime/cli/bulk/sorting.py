"""One row sorted into its label: its question, the further ones its probabilities need, and its line for the output."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from local_models.classification.answer import AnswerError, decode, decode_prompt
from local_models.classification.question import LabelQuestion, Prompt
from local_models.classification.scoring import LabelTally, Scores
from local_models.classification.tree import SENTINELS, LabelTree, cuts_from
from runtime.cli.bulk.patience import Patience, UnanswerableError

_DIGITS = 9
_PROBE = "The weather was fine."


@dataclass(frozen=True, slots=True)
class LabelJob:
    """A `runtime.cli.bulk.job.RowQuestion`: which of the labels fits a text. tolerance: see `Sorter`."""

    prompt: Prompt
    model: str
    tolerance: float

    @property
    def labels(self) -> tuple[str, ...]:
        return self.prompt.labels

    @property
    def fingerprint(self) -> str:
        return self.prompt.fingerprint

    async def prepared(self, patience: Patience) -> Sorter:
        """The sorter, tried on one sentence. Raises NoRuntimeError, UnanswerableError and HopelessError."""
        question = LabelQuestion(self.prompt, self.model)
        await patience.reached(question.spelled(self.labels[0]))
        sorter = await Sorter.prepare(question, patience, self.tolerance)
        await sorter.sort(_PROBE)
        return sorter


class Sorter:
    """Made by `prepare`, which asks the engine once how it cuts the labels.

    tolerance: share of the probability that may be divided evenly instead of asked for.
    """

    def __init__(self, question: LabelQuestion, patience: Patience, tree: LabelTree, tolerance: float) -> None:
        self._question = question
        self._patience = patience
        self._tree = tree
        self._tolerance = tolerance
        self.further = 0  # questions beyond a row's first

    @classmethod
    async def prepare(cls, question: LabelQuestion, patience: Patience, tolerance: float) -> Self:
        """Raises UnanswerableError and HopelessError."""
        labels = question.prompt.labels
        wanted = tuple(dict.fromkeys((*SENTINELS, *labels)))
        first = await patience.answer(question.spelled(wanted[0]), decode_prompt)  # alone: it may be refused
        asked = (patience.answer(question.spelled(label), decode_prompt) for label in wanted[1:])
        found = (first, *await asyncio.gather(*asked))
        try:
            tree = LabelTree(cuts_from(dict(zip(wanted, found, strict=True)), labels))
        except AnswerError as error:
            raise UnanswerableError("no_label", str(error)) from error
        return cls(question, patience, tree, tolerance)

    async def sort(self, text: str) -> Scores:
        """The scores of one text. Raises UnanswerableError and HopelessError."""
        tally = LabelTally(self._tree, self._tolerance)
        body = self._question.row(text, self._tree.ids, self._tree.room)
        try:
            tally.read(await self._patience.answer(body, decode))
            while (node := tally.next_question()) is not None:
                self.further += 1
                body = self._question.below(text, node.text or "", node.labels, self._tree.ids_at(node))
                tally.take(node, (await self._patience.answer(body, decode)).steps[0])
        except AnswerError as error:
            raise UnanswerableError("no_label", str(error)) from error
        return tally.scores()

    async def fields(self, text: str) -> dict[str, Any]:
        """The members of a row's line. Raises UnanswerableError and HopelessError."""
        return fields_of(await self.sort(text))


def fields_of(scores: Scores) -> dict[str, Any]:
    """The fields of a classified row in its line of the output."""
    probabilities = {label: round(share, _DIGITS) for label, share in scores.probabilities.items()}
    return {
        "label": scores.label,
        "probability": probabilities[scores.label],
        "probabilities": probabilities,
        "coverage": round(scores.coverage, 6),
    }
