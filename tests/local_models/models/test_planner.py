"""The plan of a box: who gets memory, who makes room and when, and what is refused before anything stops."""

from __future__ import annotations

from local_models.models.planner import Collation, ModelCase
from runtime.contract.models import ModelState
from tests.local_models.models.world import GIB, World, box, place

RULES = Collation(dwell=30, patience=60)


def quick(*cases: ModelCase, gpus: tuple[int, ...] = (80,)) -> World:
    """A box on which every load succeeds."""
    return box(*cases, gpus=gpus, rules=RULES, luck=0.5)


def loaded(world: World) -> set[str]:
    return {case.name for case in world.table.cases if case.life.state is ModelState.READY}


def model(name: str, gib: float, load: str = "always", *gpus: int, **more: object) -> ModelCase:
    return ModelCase(name, load, (place(gib, *gpus),), **more)  # type: ignore[arg-type]


def test_always_models_are_loaded_one_after_another_on_one_gpu() -> None:
    """An engine measures the memory that is free while it starts."""
    world = quick(model("a", 20), model("b", 20), model("c", 20, "manual"))
    world.pass_time(300)
    assert loaded(world) == {"a", "b"}
    (first, a), (second, b) = world.starts
    assert (a, b) in (("a", "b"), ("b", "a"))
    assert second - first >= 5


def test_models_on_two_gpus_start_together() -> None:
    """Nothing of the one is in the other's way."""
    world = quick(model("a", 20, "always", 0), model("b", 20, "always", 1), gpus=(80, 80))
    world.pass_time(21)
    assert len(world.starts) == 2


def test_what_does_not_fit_beside_is_refused_in_words() -> None:
    """And nothing is stopped for it."""
    world = quick(model("a", 50), model("b", 50, "manual"))
    world.pass_time(200)
    words = world.table.load("b", world.now)
    assert words == "b takes 50.0 GiB, and 30.0 GiB of GPU 0 are left beside a"
    world.settle()
    assert loaded(world) == {"a"}
    assert world.table.case("b").life.load == 0


def test_a_second_always_model_that_does_not_fit_is_refused() -> None:
    """The first that is here has the memory."""
    world = quick(model("a", 50), model("b", 50))
    world.pass_time(300)
    assert len(loaded(world)) == 1
    assert {*world.table.refused, *loaded(world)} == {"a", "b"}


def test_an_idle_model_makes_room_after_its_dwell() -> None:
    """The other is fetched first; nothing stops while it is not here."""
    world = quick(model("a", 50, "on_demand"), model("b", 50, "on_demand"))
    world.ask("a", 200)
    world.settle()
    world.pass_time(90)
    since = world.table.case("a").life.since
    assert loaded(world) == {"a"}
    world.ask("b", 300)
    world.settle()
    world.pass_time(120)
    assert loaded(world) == {"b"}
    assert world.starts[-1][0] - since >= RULES.dwell


def test_a_busy_model_makes_room_when_somebody_waited_long() -> None:
    """Sixty seconds, with one request after another on the other model."""
    world = quick(model("a", 50, "on_demand"), model("b", 50, "on_demand"))
    world.ask("a", 200)
    world.settle()
    world.pass_time(90)
    asked, _ = world.now, world.ask("b", 400)
    while world.table.case("a").life.state is ModelState.READY:
        world.ask("a", 40)
        world.settle()
        world.pass_time(1)
    assert RULES.patience <= world.now - asked <= RULES.patience + 30


def test_an_always_model_never_makes_room_for_a_request() -> None:
    """The request is refused, in words."""
    world = quick(model("a", 50), model("b", 50, "on_demand"))
    world.pass_time(200)
    world.ask("b", 100)
    world.settle()
    assert world.table.refused["b"].endswith("are left beside a")
    world.pass_time(90)
    assert loaded(world) == {"a"}


def test_an_idle_model_goes_after_its_ttl_and_comes_with_its_next_request() -> None:
    """And an always model stays."""
    world = quick(model("a", 20, "on_demand", ttl=60), model("b", 20))
    world.ask("a", 100)
    world.settle()
    world.pass_time(150)
    gone = world.now
    world.pass_time(100)
    assert loaded(world) == {"b"}
    world.ask("a", 100)
    world.settle()
    world.pass_time(90)
    assert loaded(world) == {"a", "b"}
    assert world.now > gone


def test_a_swap_stops_the_old_model_when_the_new_one_is_here() -> None:
    """There is no room for both; afterwards the old one stays away."""
    world = quick(model("a", 50), model("b", 50, "manual"))
    world.pass_time(200)
    assert world.table.swap("a", "b", world.now) == ""
    world.settle()
    assert loaded(world) == {"a"}
    world.pass_time(300)
    assert loaded(world) == {"b"}


def test_a_swap_with_memory_for_both_has_no_gap() -> None:
    """The old model drains after the new one is ready."""
    world = quick(model("a", 20), model("b", 20, "manual"))
    world.pass_time(200)
    world.table.swap("a", "b", world.now)
    for _ in range(200):
        world.settle()
        world.pass_time(1)
        assert loaded(world)
    assert loaded(world) == {"b"}


def test_a_swap_that_fails_brings_the_old_model_back() -> None:
    """The new engine is given up at its start."""
    world = quick(model("a", 50), model("b", 50, "manual"))
    world.pass_time(200)
    world.table.swap("a", "b", world.now)
    world.settle()
    world.luck = 0.85
    while world.table.case("b").life.state is not ModelState.FAILED:
        world.pass_time(1)
    world.luck = 0.5
    world.pass_time(300)
    assert loaded(world) == {"a"}


def test_a_swap_that_cannot_fit_is_refused_before_anything_stops() -> None:
    """Also where the old model is gone there is not room enough."""
    world = quick(model("a", 50), model("b", 90, "manual"))
    world.pass_time(200)
    assert "b takes 90.0 GiB, and 80.0 GiB" in world.table.swap("a", "b", world.now)
    world.pass_time(100)
    assert loaded(world) == {"a"}


def test_a_model_over_two_gpus_takes_memory_on_both() -> None:
    """A third that fits neither is refused."""
    world = quick(model("wide", 60, "always", 0, 1), model("a", 40, "manual", 1), gpus=(80, 80))
    world.pass_time(200)
    assert loaded(world) == {"wide"}
    assert world.table.load("a", world.now).startswith("a takes 40.0 GiB, and 20.0 GiB of GPU 1")
    assert sum(each.life.held.each for each in world.table.cases if each.life.held) == 60 * GIB
