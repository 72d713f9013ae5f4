"""A model that loses a fifth of a point every night: its rate when it is demoted, and what a smaller tolerance costs.

python -m scripts.drift.slides --models 2000        minutes of one core
"""

from __future__ import annotations

import argparse
from functools import partial
from random import Random

from runtime.quality.drift.stream import DriftRule
from scripts.drift.worlds import Model, WorldName
from scripts.drift.years import first, lived, models, quantiles

A_NIGHT = 0.002
LEAST = 0.82  # the rate above which it is to be demoted
_NIGHTS = 90
_YEAR = 365
_TOLERANCES = (0.05, 0.03, 0.025, 0.02)


def slide(night: int, usual: Model, a_night: float = A_NIGHT) -> Model:
    """The model of a night, every case a little worse than in the night before."""
    return usual.at(usual.rate - a_night * night, "slide", Random(0))


def rates(count: int, rule: DriftRule) -> list[float]:
    """The true rate of each model on the night of its demotion."""
    found = []
    for usual, random in models("mixed", count, seed=4):
        night = first(lived(partial(slide, usual=usual), _NIGHTS, random, rule)) - 1
        found.append(max(0.0, usual.rate - A_NIGHT * night))
    return found


def false(world: WorldName, count: int, rule: DriftRule, lower: float = 0.0) -> float:
    """False demotions per model-year. lower: points by which the model is a little worse than in the reference."""
    alarms = 0
    for usual, random in models(world, count):
        worse = usual.at(usual.rate - lower, "slide", random) if lower else usual
        life = lived(partial(_always, model=worse), _YEAR, random, rule, reference=usual, latch=False)
        alarms += sum(each.demoted for each in life)
    return alarms / count


def _always(night: int, model: Model) -> Model:
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=int, default=2000, help="that slide; a tenth as many years for each false alarm"
    )
    options = parser.parse_args()
    print("| tolerance | above 82 % | median | nine in ten | worst | rough | two points lower |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for tolerance in _TOLERANCES:
        rule = DriftRule(tolerance)
        found, years = rates(options.models, rule), max(1, options.models // 10)
        middle, late = (-each for each in quantiles([-each for each in found]))
        shown = [sum(each >= LEAST for each in found) / len(found), middle, late, min(found)]
        alarms = [false("rough", years, rule), false("mixed", years, rule, lower=0.02)]
        cells = [f"{tolerance:g}", *(f"{each:.1%}" for each in shown), *(f"{each:.3f}" for each in alarms)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
