"""A judge with planted faults, for the tests of what is said about judges."""

from __future__ import annotations

from random import Random

from runtime.quality.judge.question import Better
from runtime.quality.judge.trust import JudgedPair


class ScriptedJudge:
    """first: share of questions in which it takes the first slot unseen. noise: share of its own words that are wrong.
    length: how much a doubling of the length moves it, in logits. failing: share of questions without a verdict.
    """

    def __init__(
        self, random: Random, *, first: float = 0.0, noise: float = 0.08, length: float = 0.0, failing: float = 0.0
    ) -> None:
        self.random, self.first, self.noise, self.length, self.failing = random, first, noise, length, failing

    def word(self, first_wins: bool, longer: float = 0.0) -> Better | None:
        """longer: doublings of length of the first answer over the second."""
        random = self.random
        if random.random() < self.failing:
            return None
        if random.random() < self.first:
            return "first"
        if self.length and random.random() < min(0.9, abs(self.length * longer) / 4):
            return "first" if self.length * longer > 0 else "second"
        right = random.random() >= self.noise
        return "first" if first_wins == right else "second"

    def pair(self, number: int, a_wins: bool, lengths: tuple[int, int] = (100, 100)) -> JudgedPair:
        doublings = (lengths[0] / lengths[1] - 1) if lengths[0] >= lengths[1] else -(lengths[1] / lengths[0] - 1)
        forward, backward = self.word(a_wins, doublings), self.word(not a_wins, -doublings)
        return JudgedPair(str(number), "x/a", "y/b", forward, backward, lengths)
