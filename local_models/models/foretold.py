"""The course of a command in words, before anything is done: what makes room for what, and what answers meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from local_models.models.planner import ModelCase, lacking
from runtime.contract.models import ModelState

_AT_REST = frozenset({ModelState.ABSENT, ModelState.FAILED})


def of_load(case: ModelCase, cases: Collection[ModelCase], room: Mapping[int, int]) -> str:
    """case: can be loaded. room: bytes of each GPU that models may use."""
    name = f"local/{case.name}"
    if case.life.state not in _AT_REST:
        return f"{name} is {case.life.state}, and stays loaded until a command unloads it"
    place, victims = lacking(case, cases, room)
    if not victims:
        return f"{name} is fetched if it is not here, and started in {place.words}: nothing is stopped for it"
    them = " and ".join(f"local/{each.name}" for each in victims)
    return f"{name} is fetched if it is not here; then {them} drains and is stopped, and {name} starts in {place.words}"


def of_unload(case: ModelCase) -> str:
    name, held = f"local/{case.name}", case.life.held
    if held is None:
        return f"{name} is {case.life.state}, and holds no memory"
    again = "; its next request loads it again" if case.load == "on_demand" else ""
    return f"{name} takes no new requests, {_drains(case)}, and is stopped: {held.words} is free then{again}"


def of_swap(
    old: ModelCase, new: ModelCase, cases: Collection[ModelCase], room: Mapping[int, int], start_s: float
) -> str:
    """start_s: seconds that a start of the new model takes, by those that were measured."""
    before, after = f"local/{old.name}", f"local/{new.name}"
    place, victims = lacking(new, cases, room, first=old.name)
    if not victims:
        return (
            f"{after} is fetched if it is not here, and started beside {before} in {place.words}; when it is ready, {before} "
            f"takes no new requests, {_drains(old)}, and is stopped"
        )
    return (
        f"{after} is fetched if it is not here; then {before} takes no new requests, {_drains(old)}, and is stopped, and "
        f"{after} starts in {place.words} in about {start_s:.0f} s; until then `auto` uses the other models. If {after} does "
        f"not start, {before} comes back"
    )


def _drains(case: ModelCase) -> str:
    return f"its {case.in_flight} running requests end" if case.in_flight else "no request runs on it"
