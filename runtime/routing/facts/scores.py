"""The score of a prompt: the percentile of the expected gain of a strong model over the local one, on the reference
sample. In [0, 1), always finite.

Expected gain is linear: weights of the measures of `informative`, and one weight for each distinct word. Both are fitted
by `python -m scripts.score` on open data and shipped beside this file. Open requests (write, explain, can you …) have a
head of their own, for there the gain falls with length, where it rises in questions that have one right answer. Each head
has its own percentiles, so that either spreads over the whole range.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from math import fsum, log1p

import msgspec

from runtime.routing.facts.informative import Rarity, Reading, measures

HIGHEST = 0.9999  # below 1, so that a threshold of 1 is off
FARTHEST = 4.0  # standard deviations a measure counts


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CODE = "code"  # the task whose requests are never open: a program is right or wrong
_FEWEST_WORDS = 4  # of a request; a greeting asks for nothing
# An open request that asks for little: so few words, fewer than two of them telling. A joke needs no strong model, though
# nothing is shorter; on AlpacaEval this costs nothing that can be measured.
_LITTLE_WORDS, _LITTLE_TELLING, _TELLING, _LITTLE = 7, 2, 7.0, 0.3
_FIRST_WORDS = 40  # of the first sentence; a longer one tells a story
_MAKE = _set(
    "write create give list explain make provide design rewrite convert suggest tell describe generate draft compose "
    "summarize summarise translate help imagine pretend act edit propose recommend brainstorm discuss outline plan improve "
    "show play compare develop share teach craft produce rephrase paraphrase correct expand talk invent explore analyze "
    "analyse name choose using hi hello hey thanks"
)
_ASK = frozenset(
    f"{first} {second}"
    for first, seconds in {
        "why": "do does did is are can would should",
        "how": "do does did is are can could should would to",
        "can": "you i",
        "could": "you i",
        "would": "you i",
        "should": "i we",
        "do": "you i",
        "i": "am want need have would like was just m ve d",
        "we": "are have want need",
        "your": "favorite favourite opinion thoughts",
        "what": "are if would should do",
        "are": "some there",
        "is": "there it",
        "tell": "me",
        "help": "me",
        "give": "me",
    }.items()
    for second in seconds.split()
)
# A sentence with one of these is about the form of the answer.
_WRAPPING = _set(
    "answer answers option options letter question questions choice choices correct following carefully reasoning step"
)


class ScoreWeights(msgspec.Struct, frozen=True):
    """The file as it is. words: commonest first, parted by blanks. rarity: how many of them have which rarity, in order.

    measures: mean, spread and weight of each, in the order of `informative.NAMES`. closed, open: percentiles of either head.
    """

    words: str
    weights: tuple[float, ...]
    rarity: tuple[tuple[float, int], ...]
    unknown: float
    measures: tuple[tuple[float, float, float], ...]
    closed: tuple[float, ...]
    open: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scorer:
    """ScoreWeights, ready to use."""

    rarity: Rarity
    words: dict[str, float]
    measures: tuple[tuple[float, float, float], ...]
    closed: Sequence[float]
    open: Sequence[float]

    @classmethod
    def of(cls, weights: ScoreWeights) -> Scorer:
        words = weights.words.split(" ")
        rarity = [rarity for rarity, count in weights.rarity for _ in range(count)]
        weighed = {word: weight for word, weight in zip(words, weights.weights, strict=True) if weight}
        known = Rarity(dict(zip(words, rarity, strict=True)), weights.unknown)
        return cls(known, weighed, weights.measures, weights.closed, weights.open)

    def gain(self, reading: Reading) -> float:
        """Expected gain of a closed question, in points above or below the mean of its kind. Exact in any order."""
        found = measures(reading, self.rarity)
        parts = [
            weight * max(-FARTHEST, min(FARTHEST, (value - mean) / spread))
            for value, (mean, spread, weight) in zip(found, self.measures, strict=True)
        ]
        parts += filter(None, map(self.words.get, reading.words))
        return fsum(parts)

    def score(self, reading: Reading, task: str) -> float:
        if task != _CODE and is_open(reading):
            place = percentile(brevity(reading), self.open)
            if sum(map(len, reading.sentences)) <= _LITTLE_WORDS:
                words, rarity = {word.rstrip("?!.") for word in reading.words}, self.rarity
                telling = [word for word in words if word and rarity.of.get(word, rarity.unknown) >= _TELLING]
                place *= _LITTLE if len(telling) < _LITTLE_TELLING else 1.0
            return min(HIGHEST, place)
        return min(HIGHEST, percentile(self.gain(reading), self.closed))


def is_open(reading: Reading) -> bool:
    """True for a request that has no one right answer, by its first sentence that says more than "choose an answer"."""
    words = next((words for words in reading.sentences[:3] if _WRAPPING.isdisjoint(words)), [])
    words = words[1:] if words[:1] == ["please"] else words
    if not _FEWEST_WORDS <= len(words) <= _FIRST_WORDS:
        return False
    return (words[0] in _MAKE and "your" not in words) or not _ASK.isdisjoint(map(" ".join, pairwise(words)))


def brevity(reading: Reading) -> float:
    """The brevity of the three longest sentences: the greater, the shorter."""
    return -log1p(sum(map(len, reading.longest)))


@cache
def scorer() -> Scorer:
    """The shipped weights, read when the first prompt is scored."""
    raw = resources.files("runtime.routing.facts").joinpath("scores.json").read_bytes()
    return Scorer.of(msgspec.json.decode(raw, type=ScoreWeights))


def score_of(text: str, task: str) -> float:
    """The percentile of a text, the user's last message. task: chooses the head that reads it, and gates nothing."""
    return scorer().score(Reading(text), task)


def moving_words(text: str, task: str, most: int = 5) -> tuple[tuple[str, float], ...]:
    """The words that move the score of a text most, with their points: above 0 raises it. None move an open request."""
    reading, weights = Reading(text), scorer().words
    if task != _CODE and is_open(reading):
        return ()
    moved = sorted((word, weights[word]) for word in reading.words & weights.keys())
    return tuple(sorted(moved, key=lambda each: -abs(each[1]))[:most])


def percentile(value: float, points: Sequence[float]) -> float:
    """The place of a value among percentiles: linear between them, the middle of a run of equal ones."""
    low, high = bisect_left(points, value), bisect_right(points, value)
    last = len(points) - 1
    if low < high:
        return (low + high - 1) / 2 / last
    if low == 0:
        return 0.0
    if low > last:
        return 1.0
    below, above = points[low - 1], points[low]
    return (low - 1 + (value - below) / (above - below)) / last
