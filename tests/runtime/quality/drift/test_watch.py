"""Demotions in force on a fleet, by the settings' mode and a person's word."""

from __future__ import annotations

import pytest

from runtime.quality.drift.watch import DriftWatch
from runtime.quality.values import Folded, PersonAct, QualityEvent, Stream
from runtime.settings import Quality
from tests.fakes.box import Box
from tests.fakes.upstream import Turn, cloud, engine_backend, told
from tests.runtime.quality.drift.nights import Life, results

CLOUD, BOX = Stream("vendor/first-model", "invoices"), Stream("local/smollm2-135m", "invoices")


async def watched(life: Life, mode: str = "act") -> tuple[Box, DriftWatch, list[QualityEvent]]:
    """A box whose watch took the states over."""
    box = Box(engine_backend((Turn(told("fine")),)), (cloud("first", Turn(told("fine"))),))
    seen: list[QualityEvent] = []

    async def tell(event: QualityEvent) -> None:
        seen.append(event)

    watch = DriftWatch(box.fleet, Quality.model_validate({"mode": mode}), tell)
    await watch.in_force(life.states, Folded({}, [QualityEvent("demoted", *CLOUD)]))
    return box, watch, seen


@pytest.fixture(scope="module")
def fallen() -> Life:
    """The cloud's rate has fallen for five nights."""
    life = Life()
    for night in range(10):
        life.night(night, [*results(CLOUD, 6 if night < 5 else 30), *results(BOX, 6)])
    return life


async def test_a_demotion_is_in_force_for_its_task(fallen: Life) -> None:
    """By the target's name and by its label, and an event is told."""
    box, watch, seen = await watched(fallen)
    assert set(box.fleet.demoted) == {"extraction"}
    assert {"first", "vendor/first-model"} <= set(box.fleet.demoted["extraction"])
    assert [each.kind for each in seen] == ["demoted"]
    assert watch.again(fallen.states) == {"vendor/first-model"}


@pytest.mark.parametrize("mode", ["advise", "off"])
async def test_only_a_person_demotes_in_other_modes(fallen: Life, mode: str) -> None:
    """What the runs say is shown, and moves nothing."""
    box, watch, _ = await watched(fallen, mode)
    assert box.fleet.demoted == {}
    assert [each.target for each in watch.demoted] == ["vendor/first-model"]
    folded = watch.act(PersonAct("demote", box.fleet.local.target.label, "", {"by": "kim"}, 1.0), fallen.states)
    await watch.in_force({**fallen.states, **folded.states}, folded)
    assert [set(each) for each in box.fleet.demoted.values()] == [{"local"}]


async def test_the_answers_of_the_reference_are_kept(fallen: Life) -> None:
    """Five runs of each stream."""
    _, watch, _ = await watched(fallen)
    assert watch.kept(fallen.states) == {f"run-{night}-0" for night in range(5)}
