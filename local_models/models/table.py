"""The models of a box as one table: commands, requests and events in, actions out. Deterministic; knows no engine and no clock.

Whoever drives it carries the actions out and reports their ends. Every change is followed by `settle`, which plans until
nothing is due: so each decision is made on the states as they are, and no two of them at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from local_models.models.life import ModelAction, ModelEvent, ModelTimes, UnloadModel, step
from local_models.models.planner import Collation, LoadPolicy, ModelCase, after_swaps, misplaced, plan_box
from runtime.contract.models import ModelState, UnknownModelNameError

_ROUNDS = 1000  # far beyond what a box's models need: a plan without end is a fault
_FAILED_STATES = frozenset({ModelState.FAILED})


class ModelTable:
    """room: bytes of each GPU that models may use. cases: in the order of the settings."""

    def __init__(
        self,
        cases: Iterable[ModelCase],
        room: Mapping[int, int],
        times: ModelTimes | None = None,
        rules: Collation | None = None,
    ) -> None:
        self.room, self.times, self.rules = dict(room), times or ModelTimes(), rules or Collation()
        self._cases = {case.name: case for case in cases}
        self.refused: Mapping[str, str] = {}
        self.look_at: float | None = None

    @property
    def cases(self) -> tuple[ModelCase, ...]:
        return tuple(self._cases.values())

    def case(self, name: str) -> ModelCase:
        """Raises UnknownModelNameError."""
        try:
            return self._cases[name]
        except KeyError:
            raise UnknownModelNameError(name) from None

    def take(self, other: ModelTable) -> None:
        """Becomes what a copy has become by a command."""
        self._cases = {case.name: case for case in other.cases}

    # -- commands: each gives the reason why it cannot be obeyed, "" where it can; nothing has been stopped then

    def load(self, name: str, now: float) -> str:
        self.case(name)
        if words := misplaced(self.cases, self.room, name):
            return words
        self._forgive(name, now)
        self._set(name, command="up", successor="")
        return ""

    def unload(self, name: str) -> str:
        """An on_demand model is loaded again with its next request."""
        case = self.case(name)
        swap = next((each for each in self.cases if each.replaces and name in (each.name, each.replaces)), None)
        if swap is not None:
            return f"{swap.name} is being swapped in for {swap.replaces}: wait until that is over"
        self._set(name, command="down")
        if case.load == "on_demand" and case.life.state not in (
            ModelState.FETCHING,
            ModelState.LOADING,
            ModelState.READY,
        ):
            self._set(name, command="")
        return ""

    def swap(self, old: str, new: str, now: float) -> str:
        before, after = self.case(old), self.case(new)
        busy = {each.name for each in self.cases if each.replaces} | {each.replaces for each in self.cases}
        if old == new or busy & {old, new}:
            return (
                f"{old} is {new} already" if old == new else f"{old} or {new} is being swapped: wait until that is over"
            )
        if before.life.state is not ModelState.READY:
            return f"{old} is {before.life.state}: load {new}"
        if words := misplaced(self.cases, self.room, new, leaving=(old,)):
            return words
        self._forgive(new, now)
        resting = after.life.state in (ModelState.ABSENT, ModelState.FAILED)
        self._set(new, command="up", replaces=old, successor="", swap_from=after.life.load - (not resting))
        return ""

    # -- changed settings

    def add(self, case: ModelCase) -> None:
        self._cases[case.name] = case

    def change(self, name: str, load: LoadPolicy, ttl: float) -> None:
        """Takes over what needs no other engine. A wish by command goes before `load`, as it does before the change."""
        self._set(name, load=load, ttl=ttl)

    def end(self, name: str, why: str) -> None:
        """Drains and stops a model for good; a swap that it takes part in is off."""
        for case in self.cases:
            if case.replaces == name:
                self._set(case.name, replaces="")
        self._set(name, command="down", load="manual", replaces="", ending=why)

    def remove(self, name: str) -> bool:
        """True if a model that ends is at rest, with its memory free: it is taken out then."""
        life = self.case(name).life
        if life.state not in (ModelState.ABSENT, ModelState.FAILED) or life.held is not None:
            return False
        del self._cases[name]
        return True

    def _forgive(self, name: str, now: float) -> None:
        """A command tries a failed model again at once."""
        case = self._cases[name]
        if case.life.state in _FAILED_STATES and case.life.held is None:
            life, _ = step(case.life, UnloadModel("it is tried again"), now, self.times)
            self._set(name, life=life)

    # -- requests

    def asks(self, name: str, since: float | None) -> None:
        """since: when the oldest request began to wait for the model; None: none waits."""
        if self._cases[name].asked_at != since:
            self._set(name, asked_at=since)

    def runs(self, name: str, in_flight: int, now: float) -> None:
        """in_flight: requests that the model works on."""
        case = self._cases[name]
        if in_flight or case.in_flight:
            self._set(name, in_flight=in_flight, used_at=now)

    # -- events

    def tell(self, name: str, event: ModelEvent, now: float) -> tuple[ModelAction, ...]:
        """Raises IllegalModelEventError."""
        life, actions = step(self.case(name).life, event, now, self.times)
        self._set(name, life=life)
        return actions

    def settle(self, now: float) -> list[tuple[str, ModelAction]]:
        """Plans until nothing is due. Sets `refused`, and `look_at`: when to settle again if nothing happens before."""
        actions: list[tuple[str, ModelAction]] = []
        refused: Mapping[str, str] = {}
        for _ in range(_ROUNDS):
            before = self.cases
            self._cases = {case.name: self._settled(case) for case in after_swaps(before, refused)}
            plan = plan_box(self.cases, self.room, self.rules, now)
            for name, event in plan.events:
                actions += [(name, action) for action in self.tell(name, event, now)]
            if not plan.events and self.cases == before and plan.refused == refused:
                self.refused, self.look_at = refused, plan.look_at
                return actions
            refused = plan.refused
        raise RuntimeError("the plan of the box has no end")

    def _settled(self, case: ModelCase) -> ModelCase:
        """An on_demand model that a command unloaded waits for its next request."""
        gone = case.life.state in (ModelState.ABSENT, ModelState.FAILED)
        swapped_out = any(each.replaces == case.name for each in self.cases)
        if case.load == "on_demand" and case.command == "down" and gone and not swapped_out:
            return replace(case, command="")
        return case

    def _set(self, name: str, **changes: object) -> None:
        self._cases[name] = replace(self._cases[name], **changes)  # type: ignore[arg-type]
