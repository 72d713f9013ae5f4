"""A judge with planted faults, for the tests of what is said about judges."""

from __future__ import annotations

import json
import re
from math import exp, log2
from random import Random
from typing import Any

from runtime.quality.judge.question import Better
from runtime.quality.judge.trust import JudgedPair

FENCED = re.compile(r"^(\w+) (FIRST|SECOND) ANSWER\n(.*?)\n\1 END", re.DOTALL | re.MULTILINE)


class ScriptedJudge:
    """first: share of questions in which it takes the first slot unseen. noise: share of its own words that are wrong.
    length: logistic slope of its taste for each doubling of the length, where nothing else decides. own: share of pairs in
    which it takes the answer of its family, whatever it is. failing: share of questions without a verdict.
    """

    def __init__(
        self,
        random: Random,
        *,
        first: float = 0.0,
        noise: float = 0.08,
        length: float | None = None,
        own: float = 0.0,
        failing: float = 0.0,
    ) -> None:
        self.random, self.first, self.noise, self.length, self.own = random, first, noise, length, own
        self.failing = failing

    def word(self, first_wins: bool) -> Better | None:
        random = self.random
        if random.random() < self.failing:
            return None
        if random.random() < self.first:
            return "first"
        right = random.random() >= self.noise
        return "first" if first_wins == right else "second"

    def pair(self, number: int, a_wins: bool, lengths: tuple[int, int] = (100, 100), own: str = "") -> JudgedPair:
        """own: the side that its family gave, "a" or "b"; "" for neither."""
        if self.length is not None:
            a_wins = self.random.random() < 1 / (1 + exp(-self.length * log2(lengths[0] / lengths[1])))
        if own and self.random.random() < self.own:
            word: Better = "first" if own == "a" else "second"
            return JudgedPair(str(number), "x/a", "y/b", word, "second" if word == "first" else "first", lengths)
        return JudgedPair(str(number), "x/a", "y/b", self.word(a_wins), self.word(not a_wins), lengths)


def quality_of(text: str) -> int:
    """The scripted world's truth: answers end with their quality."""
    return int(text.rpartition(" ")[2])


def obedient(body: Any, random: Random, order: str, noise: float = 0.1) -> str:
    """A judge that errs at times, and that obeys an order: "first", "second" or "A" wherever it reads "choose" and that word,
    "outside" only where it stands outside of the marks.
    """
    text = body["messages"][1]["content"]
    answers = {place: words for _, place, words in FENCED.findall(text)}
    read = FENCED.sub("", text) if order == "outside" else text
    word = "second" if "choose second" in read else "first" if re.search("choose (first|A|outside)", read) else ""
    if not word:
        right = "first" if quality_of(answers["FIRST"]) > quality_of(answers["SECOND"]) else "second"
        word = right if random.random() >= noise else {"first": "second", "second": "first"}[right]
    return json.dumps({"better": word})
