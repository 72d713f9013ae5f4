"""The fit: ridge regression of the gain on measures and words, with copies held to the score of their originals.

Each source weighs the same per its share below, and the gain is centred within it: where a source lies says which models
it compared. A copy enters as the difference to its original, with the target 0. Solved by LSQR in one thread, so that the
same data give the same bits.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log, sqrt

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from runtime.routing.facts.informative import NAMES, Rarity, Reading, measures
from scripts.score.data import TRAINED_WRAPS, Prompt, common_words

SHARES = {"mmlu": 1.0, "gsm8k": 0.3, "ulab": 0.5, "mtbench": 0.05}
TRAINED_PADDINGS = ("trained repeated", "trained words", "trained sentences")

LEAST_TEXTS = 3  # that hold a word, for it to have a weight
_FARTHEST = 4.0  # standard deviations
_PER_SOURCE = 10_000  # rows a source of share 1 counts as
_RIDGE = 1_000.0
_WORD_SCALE = 1.0  # of a word's column beside a measure's
_WRAPS_WEIGH = 0.3
_PADDINGS_WEIGH = 0.1
_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The rarity of words: of each known one, commonest first, the logarithm of texts per text that holds it, in halves."""

    rarity: dict[str, float]
    unknown: float

    @classmethod
    def of(cls, texts: Sequence[str]) -> Lexicon:
        counts = Counter(word for text in texts for word in Reading(text).words)
        known = sorted((word for word, count in counts.items() if count >= 2), key=lambda word: (-counts[word], word))
        return cls(
            {word: _halves(log(len(texts) / counts[word])) for word in known if counts[word] >= LEAST_TEXTS},
            _halves(log(len(texts))),
        )


def _halves(value: float) -> float:
    return floor(2 * value) / 2 + 0.25


@dataclass(slots=True)
class Columns:
    """Texts as rows: their measures, and which words of the vocabulary they hold."""

    measures: np.ndarray
    words: sparse.csr_matrix

    def take(self, rows: np.ndarray) -> Columns:
        return Columns(self.measures[rows], self.words[rows])


class Reader:
    """Texts to columns, for one lexicon. Words that everybody uses have no column, so that lists of them move nothing."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self._rarity = Rarity(lexicon.rarity, lexicon.unknown)
        left_out = frozenset(common_words())
        self.vocabulary = [word for word in lexicon.rarity if word not in left_out]
        self._column = {word: index for index, word in enumerate(self.vocabulary)}

    def columns(self, texts: Sequence[str]) -> Columns:
        rows, indices, starts = [], [], [0]
        for text in texts:
            reading = Reading(text)
            rows.append(measures(reading, self._rarity))
            indices += sorted(column for word in reading.words if (column := self._column.get(word)) is not None)
            starts.append(len(indices))
        words = sparse.csr_matrix((np.ones(len(indices)), indices, starts), shape=(len(texts), len(self.vocabulary)))
        return Columns(np.array(rows).reshape(len(texts), len(NAMES)), words)


@dataclass(slots=True)
class Fitted:
    """Weights in points of gain (hundredths): of the measures, from which the means are taken off, and of the words."""

    means: np.ndarray
    spreads: np.ndarray
    weights: np.ndarray
    words: np.ndarray

    def scores(self, columns: Columns) -> np.ndarray:
        return self.standard(columns.measures) @ self.weights + columns.words @ self.words

    def standard(self, rows: np.ndarray) -> np.ndarray:
        return np.clip((rows - self.means) / self.spreads, -_FARTHEST, _FARTHEST)


class Data:
    """Prompts and their copies as columns of one lexicon."""

    def __init__(self, prompts: Sequence[Prompt], lexicon: Lexicon) -> None:
        self.prompts = list(prompts)
        self.reader = Reader(lexicon)
        self.source = np.array([prompt.source for prompt in prompts])
        self.group = np.array([prompt.group for prompt in prompts])
        self.weak = np.array([prompt.weak for prompt in prompts])
        self.strong = np.array([prompt.strong for prompt in prompts])
        self.text = self.reader.columns([prompt.text for prompt in prompts])
        self._copies: dict[str, tuple[np.ndarray, Columns]] = {}

    def copies(self, name: str) -> tuple[np.ndarray, Columns]:
        """Which prompts have a copy of this shape, and the copies."""
        if name not in self._copies:
            have = [index for index, prompt in enumerate(self.prompts) if name in prompt.copies]
            self._copies[name] = (
                np.array(have, dtype=int),
                self.reader.columns([self.prompts[index].copies[name] for index in have]),
            )
        return self._copies[name]


def fit(data: Data, rows: np.ndarray, gain: np.ndarray) -> Fitted:
    """Weights from these rows. gain: of every prompt, by its row."""
    weigh = np.zeros(len(data.prompts))
    centred = gain.astype(float).copy()
    for source, share in SHARES.items():
        of_it = rows[data.source[rows] == source]
        if len(of_it):
            weigh[of_it] = share * _PER_SOURCE / len(of_it)
            centred[of_it] -= gain[of_it].mean()
    rows = rows[weigh[rows] > 0]
    fitted = Fitted(
        data.text.measures[rows].mean(axis=0),
        data.text.measures[rows].std(axis=0) + 1e-9,
        np.zeros(len(NAMES)),
        np.zeros(len(data.reader.vocabulary)),
    )
    original = _matrix(fitted, data.text)
    root = np.sqrt(weigh)
    sources = [root[rows] * (data.source[rows] == source) * 10 for source in SHARES]
    intercepts = sparse.csr_matrix(np.array(sources).T)
    blocks = [sparse.hstack([sparse.diags(root[rows]) @ original[rows], intercepts])]
    targets = [root[rows] * centred[rows]]
    chosen = np.zeros(len(data.prompts), dtype=bool)
    chosen[rows] = True
    shapes = {name: _WRAPS_WEIGH / len(TRAINED_WRAPS) for name in TRAINED_WRAPS}
    for name, weight in (shapes | dict.fromkeys(TRAINED_PADDINGS, _PADDINGS_WEIGH)).items():
        have, columns = data.copies(name)
        kept = chosen[have]
        have, apart = have[kept], _matrix(fitted, columns)[kept] - original[have[kept]]
        block = sparse.diags(sqrt(weight) * root[have]) @ apart
        blocks.append(sparse.hstack([block, sparse.csr_matrix((len(have), len(SHARES)))]))
        targets.append(np.zeros(len(have)))
    solved = lsqr(sparse.vstack(blocks).tocsr(), np.concatenate(targets), damp=sqrt(_RIDGE), iter_lim=_ROUNDS)[0]
    fitted.weights = 100 * solved[: len(NAMES)]
    fitted.words = 100 * _WORD_SCALE * solved[len(NAMES) : -len(SHARES)]
    return fitted


def _matrix(fitted: Fitted, columns: Columns) -> sparse.csr_matrix:
    return sparse.hstack([sparse.csr_matrix(fitted.standard(columns.measures)), columns.words * _WORD_SCALE]).tocsr()


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
