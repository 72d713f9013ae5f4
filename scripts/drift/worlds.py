"""Worlds in which a model answers a golden set every night.

mixed    82 of 100 cases pass nearly always, 12 are flaky, 5 are hard
iid      every case passes with the same probability, as at temperature 1
det      every case always passes or always fails, as at temperature 0
rough    mixed, with noise that a whole night shares, and one night in a hundred eleven points down
kin      mixed, in families of twenty that fail together, each in one run of twenty
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from random import Random
from typing import Literal, NamedTuple

WorldName = Literal["mixed", "iid", "det", "rough", "kin"]
Drop = Literal["flip", "slide"]
_NOISE = 0.3  # standard deviation of a night's shift, in logits
_BAD_NIGHTS, _BAD = 0.01, 0.11
_BROKEN = 0.02
FAMILY, _FALLS = 20, 0.05


class Model(NamedTuple):
    """One model's chance to pass each case, on a usual night."""

    world: WorldName
    chances: Sequence[float]

    @property
    def rate(self) -> float:
        return sum(self.chances) / len(self.chances)

    def at(self, rate: float, drop: Drop, random: Random) -> Model:
        """The same model with another mean chance. flip: some cases fail always; slide: every case is a bit worse."""
        if drop == "flip":
            chances = list(self.chances)
            for case in random.sample(range(len(chances)), len(chances)):
                if sum(chances) / len(chances) <= rate:
                    break
                chances[case] = min(chances[case], _BROKEN)
            return Model(self.world, chances)
        return Model(self.world, [each * rate / self.rate for each in self.chances])

    def night(self, random: Random) -> Model:
        """The model on one night."""
        if self.world != "rough":
            return self
        clipped, shift = [min(max(each, 1e-4), 1 - 1e-4) for each in self.chances], random.gauss(0, _NOISE)
        chances = [1 / (1 + exp(-log(each / (1 - each)) - shift)) for each in clipped]
        bad = _BAD if random.random() < _BAD_NIGHTS else 0.0
        return Model(self.world, [max(0.0, each - bad) for each in chances])

    def run(self, random: Random) -> list[bool]:
        """The passes of one run."""
        passes = [random.random() < chance for chance in self.chances]
        for start in range(0, len(passes) if self.world == "kin" else 0, FAMILY):
            if random.random() < _FALLS:
                passes[start : start + FAMILY] = [False] * len(passes[start : start + FAMILY])
        return passes


def drawn(world: WorldName, cases: int, random: Random) -> Model:
    """A model that passes about 92 of 100."""
    if world == "iid":
        return Model(world, [0.92] * cases)
    if world == "det":
        return Model(world, [float(case >= round(0.075 * cases)) for case in range(cases)])
    flaky, hard = round(0.12 * cases), round(0.05 * cases)
    steady = [0.998] * (cases - flaky - hard)
    return Model(world, [*steady, *[random.uniform(0.6, 0.98) for _ in range(flaky)], *[0.05] * hard])
