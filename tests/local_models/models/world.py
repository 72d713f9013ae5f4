"""A box of models on a fake clock: the table with random commands, requests and engines that are slow, fail or never answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from local_models.models.life import (
    CancelFetch,
    DrainEngine,
    FetchFailed,
    FetchWeights,
    GpuPlace,
    ModelAction,
    ModelEvent,
    ModelFell,
    ModelFetched,
    ModelGone,
    ModelIdle,
    ModelLife,
    ModelServes,
    ModelTimes,
    StartEngine,
    StopEngine,
)
from local_models.models.planner import Collation, ModelCase
from local_models.models.table import ModelTable
from runtime.contract.models import ModelState

GIB = 1 << 30
TIMES = ModelTimes(fetch=300, room=400, load=120, drain=30, stop=60)
LONGEST_WAIT_S = 400.0
WAITING = frozenset({ModelState.FETCHING, ModelState.LOADING, ModelState.DRAINING, ModelState.STOPPING})


@dataclass
class Visit:
    """One request: its model, and when its client gives up."""

    model: str
    since: float
    deadline: float
    begun: bool = False


@dataclass
class World:
    """gpus: GiB of each. loads: engines that were started, by model and load. Raises AssertionError where a rule is broken."""

    chance: random.Random
    table: ModelTable
    now: float = 0.0
    due: list[tuple[float, str, ModelEvent]] = field(default_factory=list)
    engines: dict[str, tuple[int, GpuPlace]] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    served: list[Visit] = field(default_factory=list)
    starts: list[tuple[float, str]] = field(default_factory=list)
    states: set[str] = field(default_factory=set)
    luck: float | None = None  # the draw that decides every fate; None: at random
    heirs: dict[str, ModelCase] = field(default_factory=dict)  # of models whose table was changed

    def settle(self) -> None:
        for name in list(self.heirs):
            last = self.table.case(name).life.load
            if self.table.remove(name):
                self.table.add(replace(self.heirs.pop(name), life=ModelLife(load=last)))
        for name in {case.name for case in self.table.cases}:
            waits = [visit.since for visit in self.visits if visit.model == name and not visit.begun]
            self.table.asks(name, min(waits, default=None))
            runs = sum(visit.begun for visit in self.visits if visit.model == name)
            self.table.runs(name, runs, self.now)
        for name, action in self.table.settle(self.now):
            self.act(name, action)
        self.check()

    def act(self, name: str, action: ModelAction) -> None:
        chance = self.chance
        match action:
            case FetchWeights(load):
                end: ModelEvent = ModelFetched(load) if self.draw() < 0.9 else FetchFailed(load, "no network")
                self.later(name, end, chance.uniform(0, 20), 0.05)
            case CancelFetch():
                pass
            case StartEngine(load, place):
                assert name not in self.engines, f"a second load of {name}"
                self.engines[name] = (load, place)
                self.starts.append((self.now, name))
                fate = self.draw()
                end = ModelServes(load) if fate < 0.8 else ModelFell(load, "out of memory", final=fate < 0.9)
                self.later(name, end, chance.uniform(5, 60), 0.05)
            case DrainEngine(load):
                self.later(name, ModelIdle(load), chance.uniform(0, 20), 0.2)
            case StopEngine(load):
                self.later(name, ModelGone(load), chance.uniform(0, 10), 0.03, late=100)

    def later(self, name: str, event: ModelEvent, after: float, never: float, late: float | None = None) -> None:
        """never: the chance that it does not come at all, or only `late`."""
        if self.draw() < never:
            if late is None:
                return
            after = late
        self.due.append((self.now + after, name, event))

    def draw(self) -> float:
        return self.chance.random() if self.luck is None else self.luck

    def check(self) -> None:
        """The rules that hold at every moment."""
        used = dict.fromkeys(self.table.room, 0)
        for load, place in self.engines.values():
            assert load
            for gpu in place.gpus:
                used[gpu] += place.each
        for gpu, size in self.table.room.items():
            assert used[gpu] <= size, f"{used[gpu]} bytes of {size} on GPU {gpu}"
        for case in self.table.cases:
            self.states.add(case.life.state)
            waits = case.life.state in WAITING
            assert waits == (case.life.until is not None) == bool(case.life.why), case
            if case.life.until is not None:
                assert self.now < case.life.until <= case.life.since + LONGEST_WAIT_S + TIMES.fetch, case
            if case.life.state in (ModelState.LOADING, ModelState.READY):
                assert self.engines[case.name][0] == case.life.load, "an engine of another load"

    def pass_time(self, seconds: float) -> None:
        """Takes every event until then in its order."""
        until = self.now + seconds
        while True:
            looks = [at for at, _, _ in self.due]
            looks += [self.table.look_at] if self.table.look_at is not None else []
            looks += [visit.deadline for visit in self.visits]
            at = min(looks, default=None)
            if at is None or at > until:
                break
            self.now = max(self.now, at)
            for entry in sorted((each for each in self.due if each[0] <= self.now), key=lambda each: each[0]):
                self.due.remove(entry)
                self.report(entry[1], entry[2])
            self.serve()
            self.settle()
        self.now = until
        self.serve()
        self.settle()

    def report(self, name: str, event: ModelEvent) -> None:
        if isinstance(event, ModelGone):
            self.engines.pop(name, None)
        if isinstance(event, ModelServes) and name not in self.engines:
            return
        for _, action in ((name, each) for each in self.table.tell(name, event, self.now)):
            self.act(name, action)

    def serve(self) -> None:
        """Requests begin where their model is ready; each ends by its deadline."""
        for visit in list(self.visits):
            if self.now >= visit.deadline:
                self.visits.remove(visit)
            elif not visit.begun and self.table.case(visit.model).life.state is ModelState.READY:
                visit.begun, visit.deadline = True, min(visit.deadline, self.now + self.chance.uniform(1, 20))
                self.served.append(visit)

    def ask(self, name: str, patience: float) -> Visit:
        visit = Visit(name, self.now, self.now + patience)
        self.visits.append(visit)
        return visit

    def command(self, verb: str, name: str, to: str = "") -> None:
        """One that the owner lets through: none for a model whose table was changed."""
        if self.heirs.keys() & {name, to}:
            return
        if verb == "load":
            self.table.load(name, self.now)
        elif verb == "unload":
            self.table.unload(name)
        else:
            self.table.swap(name, to, self.now)

    def change(self, name: str, load: str) -> None:
        """Another `load`, and another engine: the old one ends first."""
        if name not in self.heirs:
            case = self.table.case(name)
            self.table.end(name, "its table was changed")
            self.heirs[name] = ModelCase(name, load, case.places, ttl=case.ttl)  # type: ignore[arg-type]

    def crash(self, name: str) -> None:
        life = self.table.case(name).life
        if life.state is ModelState.READY:
            self.report(name, ModelFell(life.load, "it died", final=self.chance.random() < 0.3))
            if self.table.case(name).life.state is ModelState.LOADING:
                self.later(name, ModelServes(life.load), self.chance.uniform(5, 60), 0.1)


def box(
    *cases: ModelCase,
    gpus: tuple[int, ...] = (80,),
    seed: int = 0,
    rules: Collation | None = None,
    luck: float | None = None,
) -> World:
    """A box with GPUs of so many GiB. luck: 0.5 lets everything succeed, 0.85 lets every engine fail."""
    room = {index: size * GIB for index, size in enumerate(gpus)}
    world = World(random.Random(seed), ModelTable(cases, room, TIMES, rules), luck=luck)
    world.settle()
    return world


def place(gib: float, *gpus: int) -> GpuPlace:
    return GpuPlace(gpus or (0,), int(gib * GIB))


Act = Callable[[World], object]


def history(seed: int, steps: int = 40) -> World:
    """Commands, requests, crashes and time at random on a random box; then time alone, until everything has ended."""
    chance = random.Random(seed)
    gpus = chance.choice([(80,), (24,), (80, 80), (24, 80)])
    names = [f"m{index}" for index in range(chance.randint(1, 5))]
    cases = []
    for name in names:
        size, wide = chance.choice([5, 10, 20, 40, 70, 100]), len(gpus) > 1 and chance.random() < 0.2
        places = [place(size, 0, 1)] if wide else [place(size, gpu) for gpu in range(len(gpus))]
        load = chance.choice(["always", "on_demand", "on_demand", "manual"])
        cases.append(ModelCase(name, load, tuple(places), ttl=chance.choice([0, 20, 600])))  # type: ignore[arg-type]
    world = box(*cases, gpus=gpus, seed=seed + 1)
    acts: list[Act] = [
        lambda world: world.command("load", chance.choice(names)),
        lambda world: world.command("unload", chance.choice(names)),
        lambda world: world.command("swap", chance.choice(names), chance.choice(names)),
        lambda world: world.crash(chance.choice(names)),
        lambda world: world.change(chance.choice(names), chance.choice(["always", "on_demand", "manual"])),
        *[lambda world: world.ask(chance.choice(names), chance.uniform(5, 300))] * 6,
    ]
    for _ in range(steps):
        chance.choice(acts)(world)
        world.settle()
        world.pass_time(chance.choice([0.0, 1.0, 5.0, 30.0, 90.0]))
    world.pass_time(5000.0)
    return world
