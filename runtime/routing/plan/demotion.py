"""Targets that failed their golden sets: they stand behind every able candidate that did not, and answer where nobody else can.

A demotion is no obstacle: it never makes a request fail, never places one where it must not go, and leaves a pin and what a
model signed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

ALL_TASKS = ""


class DemotedFor(msgspec.Struct, frozen=True, array_like=True):
    """words: since when, and by which numbers. rate: its last pass rate; None where it was never measured."""

    words: str
    rate: float | None = None


Demotions = Mapping[str, Mapping[str, DemotedFor]]
"""By task ("": every task), then by name in a picture: the engine's is "local"."""

NO_DEMOTIONS: Demotions = {}


def of_task(demotions: Demotions, task: str) -> Mapping[str, DemotedFor]:
    """Every target that is demoted for a task."""
    return {**demotions.get(ALL_TASKS, {}), **demotions.get(task, {})}


def ranked(names: Sequence[str], demoted: Mapping[str, DemotedFor], last: str = "") -> tuple[str, ...]:
    """Names in their order, with the demoted ones behind, of these the best measured first. last: one that must not move up
    to the first place.
    """
    order = sorted(names, key=lambda name: (name in demoted, -(demoted[name].rate or 0.0) if name in demoted else 0.0))
    if names and last == order[0] != names[0]:
        order = [*order[1:], last]
    return tuple(order)
