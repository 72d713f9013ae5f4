"""Prints how often `hearth calibrate --quality 0.9` keeps its promise, on simulated worlds with the code that Hearth runs.

python -m scripts.kept_quality --seeds 1000        a minute of one core

A world gives the chance of a bad local answer by the score of its prompt. A judge misses a part of the bad answers and finds
some that are not; its anchors have the same misses. Beside ours stands the plain rule: the highest threshold at which the
labelled share of good answers is what is wanted.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from runtime.quality.kept_quality import FoundWinners, QualityLabel, TooFewLabelsError, kept_quality

WANTED = 0.9
ANCHORS = 60
COUNTS = (150, 300, 800)
WORLDS: Mapping[str, Callable[[float], float]] = {
    "rising": lambda score: 0.02 + 0.30 * score**2,
    "step at 0.6": lambda score: 0.03 if score < 0.6 else 0.45,
    "11 % everywhere": lambda score: 0.11,
    "good everywhere": lambda score: 0.02,
}


class Scripted(NamedTuple):
    """A judge. finds: the share of bad answers that it calls bad. invents: of good ones."""

    finds: float = 1.0
    invents: float = 0.0


JUDGES: Mapping[str, Scripted | None] = {"golden": None, "fair": Scripted(0.95, 0.01), "dull": Scripted(0.8, 0.03)}


class Promise(NamedTuple):
    """Shares of the seeds. kept: no threshold was proposed, or one whose true quality is at least what is wanted. proposed:
    there was one. plain_kept: the same of the plain rule. leaves: of the proposals, the median share that leaves.
    """

    kept: float
    proposed: float
    leaves: float | None
    plain_kept: float


def labels_of(
    world: Callable[[float], float], judge: Scripted | None, count: int, random: Random
) -> list[QualityLabel]:
    """Labelled requests with scores that are spread evenly."""
    found = []
    for number in range(count):
        score = random.random()
        bad = random.random() < world(score)
        if judge is not None:
            bad = random.random() < (judge.finds if bad else judge.invents)
        found.append(QualityLabel(f"{number}-{random.random()}", score, bad, judged=judge is not None))
    return found


def true_quality(world: Callable[[float], float], threshold: float) -> float:
    """Of what a threshold keeps."""
    steps = 400
    return 1 - statistics.fmean(world((place + 0.5) / steps * min(1.0, threshold)) for place in range(steps))


def plain(labels: list[QualityLabel]) -> float | None:
    """The highest threshold at which the labelled share is what is wanted; None without any."""
    best, bad = None, 0
    for kept, each in enumerate(sorted(labels, key=lambda each: each.score), 1):
        bad += each.bad
        if kept >= 10 and bad <= (1 - WANTED) * kept:
            best = each.score
    return best


def promise(world: Callable[[float], float], judge: Scripted | None, count: int, seeds: int) -> Promise:
    """Both rules over that many seeds."""
    kept = proposed = plain_kept = 0
    leaves = []
    for seed in range(seeds):
        random = Random(f"{seed} {count}")
        labels = labels_of(world, judge, count, random)
        anchors = FoundWinners(sum(random.random() < judge.finds for _ in range(ANCHORS)), ANCHORS) if judge else None
        naive = plain(labels)
        plain_kept += naive is None or true_quality(world, naive) >= WANTED - 1e-9
        try:
            found = kept_quality(WANTED, labels, anchors).threshold
        except TooFewLabelsError:
            found = None
        kept += found is None or true_quality(world, found) >= WANTED - 1e-9
        if found is not None:
            proposed += 1
            leaves.append(1 - min(1.0, found))
    return Promise(kept / seeds, proposed / seeds, statistics.median(leaves) if leaves else None, plain_kept / seeds)


def best(world: Callable[[float], float]) -> float:
    """The least share that must leave, with everything known."""
    return next(
        (1 - step / 1000 for step in range(1000, 0, -1) if true_quality(world, step / 1000) >= WANTED - 1e-9), 1.0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000)
    seeds = parser.parse_args().seeds
    print("| bad answers | labels | by | promise kept | by the plain rule | proposed | leaves | at best |")
    print("| --- " * 8 + "|")
    for name, world in WORLDS.items():
        for who, judge in JUDGES.items():
            for count in COUNTS:
                found = promise(world, judge, count, seeds)
                leaves = "-" if found.leaves is None else f"{found.leaves:.0%}"
                cells = (f"{found.kept:.1%}", f"{found.plain_kept:.1%}", f"{found.proposed:.0%}", leaves)
                print(f"| {name} | {count} | {who} | {' | '.join(cells)} | {best(world):.0%} |", flush=True)


if __name__ == "__main__":
    main()
