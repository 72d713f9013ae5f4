"""The shipped weights: the fit on all open data that may be trained on, and the percentiles of the reference sample.

The percentiles are those of prompts that their weights were not fitted on (subjects left out in folds): in the sample
itself, scores lie farther apart than those of any other prompt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from runtime.routing.facts.informative import Reading
from runtime.routing.facts.scores import ScoreWeights, brevity
from scripts.score.data import MEASURED, Prompt
from scripts.score.fit import Data, Fitted, Lexicon, fit

TABLE = Path(__file__).resolve().parents[2] / "runtime" / "routing" / "facts" / "scores.json"
FOLDS = 8
POINTS = 101
MOST_OF_ONE = 2_000  # prompts of one source in the reference sample
SEED = 1

T = TypeVar("T")


def folds(data: Data, seed: int = SEED, count: int = FOLDS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and rows left out: whole subjects and data sets, single prompts of sources that have one."""
    draw = random.Random(seed)
    trained = data.source != MEASURED
    place = np.full(len(data.prompts), -1)
    for source in sorted(set(data.source[trained])):
        of_it = np.flatnonzero(data.source == source)
        groups = sorted(set(data.group[of_it]))
        whole = len(groups) >= count and source != "mtbench"
        names = groups if whole else list(of_it)
        draw.shuffle(names)
        fold = {name: index % count for index, name in enumerate(names)}
        place[of_it] = [fold[data.group[row] if whole else row] for row in of_it]
    for index in range(count):
        yield np.flatnonzero(trained & (place != index)), np.flatnonzero(trained & (place == index))


def left_out_scores(data: Data, gain: np.ndarray, seed: int = SEED) -> np.ndarray:
    """The score of every prompt by weights that were fitted without it."""
    scores = np.zeros(len(data.prompts))
    for rows, left_out in folds(data, seed):
        scores[left_out] = fit(data, rows, gain).scores(data.text.take(left_out))
    return scores


def table(prompts: Sequence[Prompt]) -> bytes:
    """The file of the shipped weights."""
    trained = [prompt for prompt in prompts if prompt.source != MEASURED]
    lexicon = Lexicon.of([prompt.text for prompt in trained])
    data = Data(trained, lexicon)
    gain = data.strong - data.weak
    reference = left_out_scores(data, gain)
    draw = random.Random(SEED)
    sample = [
        row
        for source in sorted(set(data.source))
        for row in _at_most(MOST_OF_ONE, np.flatnonzero(data.source == source).tolist(), draw)
    ]
    # MT-Bench has open requests alone, as people type them.
    brief = np.array([brevity(Reading(prompt.text)) for prompt in trained if prompt.source == "mtbench"])
    weights = _weights(data, fit(data, np.arange(len(trained)), gain), reference[sample], brief)
    return msgspec.json.format(msgspec.json.encode(weights), indent=0)


def _at_most(most: int, found: list[T], draw: random.Random) -> list[T]:
    return found if len(found) <= most else draw.sample(found, most)


def _weights(data: Data, fitted: Fitted, reference: np.ndarray, brief: np.ndarray) -> ScoreWeights:
    rarity = data.reader.lexicon.rarity
    weight = dict(zip(data.reader.vocabulary, fitted.words, strict=True))
    columns = zip(fitted.means, fitted.spreads, fitted.weights, strict=True)
    return ScoreWeights(
        words=" ".join(rarity),
        weights=tuple(_short(weight.get(word, 0.0)) for word in rarity),
        rarity=tuple((value, len(list(run))) for value, run in groupby(rarity.values())),
        unknown=data.reader.lexicon.unknown,
        measures=tuple((_short(mean), _short(spread), _short(each)) for mean, spread, each in columns),
        closed=tuple(map(_short, np.quantile(reference, np.linspace(0, 1, POINTS)))),
        open=tuple(map(_short, np.quantile(brief, np.linspace(0, 1, POINTS)))),
    )


def _short(value: float) -> float:
    return round(float(value), 4)
