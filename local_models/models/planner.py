"""The next step of each local model, by the memory of the box and by who waits for what. Pure: situations in, events out.

    1  a wait that has reached its latest end is over
    2  a model that a command or a finished swap puts away is unloaded, and so is one whose first start in a swap failed
    3  a model that is wanted is fetched, if it fits beside what must stay; else it is refused, and nothing has been stopped
    4  a fetched model gets free memory, first come, first served; models start one after another on one GPU, because an
       engine measures the memory that is free while it starts
    5  where none is free, on_demand models make room, idle ones first: none within `dwell` of its start, and one with
       traffic only when somebody has waited `patience` for the other. So A B A B traffic causes one swap per dwell at most
    6  an on_demand model that nobody asked for during its `ttl` is unloaded

`always` models, and those that a command loaded, make room for a swap alone. The plan is made again after every event and at
`look_at`; it is empty once there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from local_models.models.life import GpuPlace, LoadModel, ModelEvent, ModelLife, StartModel, UnloadModel, WaitOver
from runtime.contract.models import ModelState

LoadPolicy = Literal["always", "on_demand", "manual"]

_GIB = 1 << 30
_UP = frozenset({ModelState.FETCHING, ModelState.LOADING, ModelState.READY})
_GOING = frozenset({ModelState.DRAINING, ModelState.STOPPING})
_AT_REST = frozenset({ModelState.ABSENT, ModelState.FAILED})


@dataclass(frozen=True, slots=True)
class Collation:
    """Seconds. dwell: a model that was loaded on demand stays at least so long. patience: a request for another model waits
    at most so long for one that is busy.
    """

    dwell: float = 30.0
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class ModelCase:
    """One model, and what is asked of it.

    places: where it may lie, the best first; none: `misfit` says why. asked_at: since when a request waits for it; None: none
    does. used_at: when its last request ended. command: the operator's wish, over `load`. replaces: the model it is swapped
    in for, until the swap is over; swap_from: the number of its last load before that. successor: the one that took its place.
    ending: why it leaves for good, "" if it stays.
    """

    name: str
    load: LoadPolicy
    places: tuple[GpuPlace, ...]
    ttl: float = 600.0
    misfit: str = ""
    life: ModelLife = field(default_factory=ModelLife)
    in_flight: int = 0
    asked_at: float | None = None
    used_at: float = 0.0
    command: Literal["", "up", "down"] = ""
    replaces: str = ""
    swap_from: int = 0
    successor: str = ""
    ending: str = ""

    @property
    def firm(self) -> bool:
        """True if it is to be loaded whatever is asked of it."""
        return self.command == "up" or (self.load == "always" and not self.command)

    @property
    def wanted(self) -> bool:
        return self.firm or (self.load == "on_demand" and not self.command and self.asked_at is not None)

    @property
    def idle(self) -> bool:
        return self.in_flight == 0 and self.asked_at is None


@dataclass(frozen=True, slots=True)
class BoxPlan:
    """events: for the models named, in order. refused: why a wanted model cannot be loaded. look_at: when to plan again."""

    events: tuple[tuple[str, ModelEvent], ...]
    refused: Mapping[str, str]
    look_at: float | None


def misplaced(cases: Iterable[ModelCase], room: Mapping[int, int], name: str, leaving: Collection[str] = ()) -> str:
    """Why a model cannot be loaded beside what must stay; "" if it can. room: bytes of each GPU. leaving: makes way for it."""
    all_of_them = {case.name: case for case in cases}
    mine = all_of_them[name]
    if not mine.places:
        return mine.misfit or f"{name} fits no GPU of this box"
    if mine.life.held is not None and mine.life.state in _AT_REST:
        return mine.life.cause
    stay = [case for case in all_of_them.values() if case.firm and case.name not in (name, *leaving) and case.life.held]
    left = {gpu: size - _on(gpu, stay) for gpu, size in room.items()}
    if any(_fits(place, left) for place in mine.places):
        return ""
    best = max(mine.places, key=lambda place: min(left.get(gpu, 0) for gpu in place.gpus) - place.each)
    free = min(left.get(gpu, 0) for gpu in best.gpus)
    beside = ", ".join(case.name for case in stay) or "nothing else"
    left_over = GpuPlace(best.gpus, max(0, free)).words
    return f"{name} takes {best.each / _GIB:.1f} GiB, and {left_over} are left beside {beside}"


def lacking(
    case: ModelCase, cases: Collection[ModelCase], room: Mapping[int, int], first: str = ""
) -> tuple[GpuPlace, list[ModelCase]]:
    """The place that a model would get now, and those that would make room for it. first: one that goes before all others."""
    case = replace(case, replaces=first or case.replaces)
    free = {gpu: size - _on(gpu, cases) for gpu, size in room.items()}
    chosen = [(place, _victims(case, place, free, tuple(cases), ())) for place in case.places]
    possible = [(place, victims) for place, victims in chosen if victims is not None]
    return min(possible, key=lambda pair: len(pair[1])) if possible else (case.places[0], [])


def plan_box(cases: tuple[ModelCase, ...], room: Mapping[int, int], rules: Collation, now: float) -> BoxPlan:
    """The events that are due now. cases: in the order of the settings."""
    # (1) Ends of waits come first and alone: what follows from them is planned on the states after them.
    over = [
        (case.name, WaitOver(case.life.load))
        for case in cases
        if case.life.until is not None and case.life.until <= now
    ]
    if over:
        return BoxPlan(tuple(over), {}, None)
    swapped = {case.replaces for case in cases if case.replaces}
    events: list[tuple[str, ModelEvent]] = []
    refused: dict[str, str] = {}
    for case in cases:
        state = case.life.state
        # (2) Unwanted. A fetch goes on for the next request; what has been fetched does not wait for room.
        if state in _UP and case.command == "down":
            events.append((case.name, UnloadModel(case.ending or "it was unloaded by command")))
        elif state is ModelState.LOADING and case.replaces and case.life.cause:
            events.append((case.name, UnloadModel("its first start failed, and the old model comes back")))
        elif state is ModelState.FETCHING and case.life.fetched and not case.wanted:
            events.append((case.name, UnloadModel("nobody waits for it any more")))
        # (3) Wanted. A model that is swapped out is not loaded again while its successor starts.
        elif case.wanted and state in _AT_REST and case.name not in swapped:
            words = misplaced(cases, room, case.name, leaving=(case.replaces,))
            if words:
                refused[case.name] = words
            elif state is ModelState.ABSENT or (case.life.retry_at is not None and case.life.retry_at <= now):
                events.append((case.name, LoadModel()))
        # (6) Idle for long.
        elif state is ModelState.READY and (due := _put_away_at(case, rules)) is not None and due <= now:
            events.append((case.name, UnloadModel(f"nobody asked for it for {case.ttl:g} s")))
    if events:
        return BoxPlan(tuple(events), refused, None)
    events, looks = _room_made(cases, room, rules, now)
    looks += [case.life.until for case in cases if case.life.until is not None]
    looks += [case.life.retry_at for case in cases if case.wanted and case.life.retry_at is not None]
    looks += [due for case in cases if (due := _put_away_at(case, rules)) is not None]
    return BoxPlan(tuple(events), refused, min([at for at in looks if at > now], default=None))


def after_swaps(cases: tuple[ModelCase, ...], refused: Collection[str] = ()) -> tuple[ModelCase, ...]:
    """The cases with every swap that is over taken off: the new model is ready, or it failed and the old one comes back."""
    known = {case.name: case for case in cases}
    for case in cases:
        began = case.life.load > case.swap_from
        came = case.life.state is ModelState.READY
        if case.replaces and (came or case.name in refused or (began and case.life.state in _AT_REST)):
            known[case.name] = replace(known[case.name], replaces="", command="up" if came else "down")
            old, heir = known[case.replaces], case.name if came else ""
            known[case.replaces] = replace(old, command="down" if came else "up", successor=heir)
    return tuple(known.values())


def _put_away_at(case: ModelCase, rules: Collation) -> float | None:
    """When an on_demand model is unloaded if nobody asks for it; None while it is used or must stay."""
    if case.load != "on_demand" or case.firm or not case.idle or case.life.state is not ModelState.READY:
        return None
    return max(max(case.used_at, case.life.since) + case.ttl, case.life.since + rules.dwell)


def _room_made(
    cases: tuple[ModelCase, ...], room: Mapping[int, int], rules: Collation, now: float
) -> tuple[list[tuple[str, ModelEvent]], list[float]]:
    """(4, 5) Starts and evictions for the models that are fetched, and when the next eviction is due."""
    events: list[tuple[str, ModelEvent]] = []
    looks: list[float] = []
    free = {gpu: size - _on(gpu, cases) for gpu, size in room.items()}
    busy = {
        gpu for case in cases if case.life.state is ModelState.LOADING and case.life.held for gpu in case.life.held.gpus
    }
    leaving = {case.name for case in cases if case.life.state in _GOING}
    kept: set[int] = set()  # GPUs whose next free memory belongs to somebody who waits longer
    queue = [case for case in cases if case.life.fetched and case.life.state is ModelState.FETCHING]
    for case in sorted(queue, key=lambda case: (not case.firm, case.asked_at or 0.0)):
        places = [place for place in case.places if not kept.intersection(place.gpus)]
        ready = next((place for place in places if _fits(place, free) and not busy.intersection(place.gpus)), None)
        if ready is not None:
            events.append((case.name, StartModel(ready)))
            for gpu in ready.gpus:
                free[gpu] -= ready.each
            busy.update(ready.gpus)
            continue
        if any(_fits(place, free) for place in places):
            kept.update(next(place for place in places if _fits(place, free)).gpus)
            continue
        chosen = [
            (place, victims) for place in places if (victims := _victims(case, place, free, cases, leaving)) is not None
        ]
        if not chosen:
            if words := misplaced(cases, room, case.name, leaving=(case.replaces,)):
                events.append((case.name, UnloadModel(words)))  # others have taken its place since
            continue
        place, victims = min(chosen, key=lambda pair: len(pair[1]))
        kept.update(place.gpus)
        for victim in victims:
            if (due := _makes_room_at(victim, case, rules, now)) <= now:
                events.append((victim.name, UnloadModel(f"it makes room for {case.name}")))
                leaving.add(victim.name)
            else:
                looks.append(due)
    return events, looks


def _victims(
    case: ModelCase,
    place: GpuPlace,
    free: Mapping[int, int],
    cases: tuple[ModelCase, ...],
    leaving: Collection[str],
) -> list[ModelCase] | None:
    """The models that must go for one to have its place, beside those that are leaving already; None if that cannot be."""
    short = {gpu: place.each - free.get(gpu, 0) for gpu in place.gpus}
    going = [other for other in cases if other.name in leaving]
    may = [
        other
        for other in cases
        if other.life.state in _UP
        and other.name not in (case.name, *leaving)
        and (other.name == case.replaces or (other.load == "on_demand" and not other.firm))
    ]
    found: list[ModelCase] = []
    for other in [*going, *sorted(may, key=lambda each: (each.name != case.replaces, not each.idle, each.life.since))]:
        held = other.life.held
        if held is not None and any(short.get(gpu, 0) > 0 for gpu in held.gpus):
            for gpu in held.gpus:
                short[gpu] = short.get(gpu, 0) - held.each
            if other.name not in leaving:
                found.append(other)
    return None if any(missing > 0 for gpu, missing in short.items() if gpu in place.gpus) else found


def _makes_room_at(victim: ModelCase, case: ModelCase, rules: Collation, now: float) -> float:
    """When an on_demand model is unloaded for another. A swap by command does not wait."""
    if victim.name == case.replaces:
        return now
    if victim.life.state is not ModelState.READY:
        return victim.life.until or now  # it loads: it serves those who wait for it first
    stays_until = victim.life.since + rules.dwell
    if victim.idle:
        return stays_until
    asked = case.asked_at if case.asked_at is not None and not case.firm else case.life.since
    return max(stays_until, asked + rules.patience)


def _on(gpu: int, cases: Iterable[ModelCase]) -> int:
    """Bytes that models have on a GPU."""
    return sum(case.life.held.each for case in cases if case.life.held is not None and gpu in case.life.held.gpus)


def _fits(place: GpuPlace, left: Mapping[int, int]) -> bool:
    return all(left.get(gpu, 0) >= place.each for gpu in place.gpus)
