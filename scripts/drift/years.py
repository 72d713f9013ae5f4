"""Years of nights through the very detector that Hearth runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import NamedTuple

from runtime.quality.drift.baseline import RUNS, Scored
from runtime.quality.drift.stream import (
    DriftRule,
    Night,
    StreamState,
    back,
    demoted,
    due,
    low,
    observed,
    promoted,
    seen_of,
)
from scripts.drift.worlds import Model, WorldName, drawn

_CLASS = {True: "pass", False: "wrong", None: "no_verdict"}


class Switch(NamedTuple):
    """A demotion or a return, and its night, counted from the end of the reference."""

    night: int
    demoted: bool


def lived(
    model: Callable[[int], Model],
    nights: int,
    random: Random,
    rule: DriftRule,
    *,
    reference: Model | None = None,
    timeouts: float = 0.0,
    latch: bool = True,
    family: int = 0,
) -> Iterator[Switch]:
    """The switches of one stream. model: of a night. timeouts: share of answers without a verdict. latch: False lets a demoted
    stream begin anew at once, so that every alarm of a year counts. family: cases of each cluster, 0 where none is named.
    """
    state = StreamState()
    made = partial(_night, random=random, family=family)
    first = reference or model(0)
    for early in range(-RUNS, 0):
        state = observed(state, made(first.night(random).run(random), early, timeouts=0.0), rule)
    for night in range(nights):
        tonight = model(night).night(random)
        while True:
            run = made(tonight.run(random), night, timeouts=timeouts)
            before, state = state, observed(state, run, rule)
            if due(state, rule) and low(state):
                state = demoted(state, run, seen_of(before, run, rule))
                yield Switch(night, True)
                state = state if latch else promoted(state)
            elif back(state):
                state = promoted(state)
                yield Switch(night, False)
            if not state.more_tonight(run.night):
                break


def _night(passes: list[bool], night: int, *, random: Random, timeouts: float, family: int) -> Night:
    found = [None if timeouts and random.random() < timeouts else each for each in passes]
    rows = [
        Scored(str(case), "", passed, _CLASS[passed], str(case // family) if family else "")
        for case, passed in enumerate(found)
    ]
    return Night(f"{night:05d}", night * 86_400.0, rows)


def first(switches: Iterator[Switch]) -> float:
    """Nights until the first demotion, counted from 1; infinite without one."""
    return next((each.night + 1.0 for each in switches if each.demoted), float("inf"))


def quantiles(delays: list[float]) -> tuple[float, float]:
    """Median and the delay within which nine in ten came."""
    ordered = sorted(delays)
    return ordered[(len(ordered) - 1) // 2], ordered[int(0.9 * (len(ordered) - 1))]


def models(world: WorldName, count: int, cases: int = 80, seed: int = 0) -> Iterator[tuple[Model, Random]]:
    """Models of one world, each with its own source of randomness."""
    for number in range(count):
        random = Random(f"{world} {seed} {number}")
        yield drawn(world, cases, random), random
