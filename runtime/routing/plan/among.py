"""The choice among several local models: the task, then ability, then load. Pure.

A model whose `tasks` name the request's task is asked first. While one of its thresholds is crossed, or while it is loaded,
the request moves to the engine's own model, if that can take it and has room; only then does it leave the box. What that
can never do, embeddings of a chat model say, goes to a local model that can before it goes anywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from runtime.contract.reasons import Reason
from runtime.contract.targets import LOCAL
from runtime.routing.plan.fit import Obstacle
from runtime.routing.plan.picture import Fleet, LocalState
from runtime.routing.plan.preference import Preference
from runtime.routing.plan.refusals import PlanRefusal, queue_full
from runtime.settings import Escalation

Obstacles = Mapping[str, Sequence[Obstacle]]
"""Of every target, by name; those of the engine's own model under "local"."""


def by_task(
    task: str, tasks: Mapping[str, tuple[str, ...]], fleet: Fleet, found: Obstacles, route: tuple[str, ...]
) -> Preference | None:
    """The models that have the task; None if none of them can take the request, now or once it is loaded.

    tasks: task -> targets `local/NAME`. route: the targets off the box.
    """
    known = [name for name in tasks.get(task, ()) if name in fleet.models]
    names = list(dict.fromkeys(fleet.models[name].successor or name for name in known))
    mine, coming = [name for name in names if able(name, found)], loadable(names, fleet, found)
    if not mine and not coming:
        return None
    # (1) One of them has room.
    calm = next((name for name in mine if fleet.models[name].pressure.over is None), None)
    if calm is not None:
        words = f"its task is {task}, which is given to {calm}{_predicted(fleet.models[calm])}"
        return Preference(Reason.TASK, words, tuple(dict.fromkeys((calm, *mine, LOCAL, *route))))
    # (2) All are full or not loaded, and the engine's own model has room.
    state, own = fleet.models[(mine or coming)[0]], fleet.local
    if mine:
        over, words = (
            state.pressure.over or Reason.TTFT,
            f"{mine[0]} is full: {state.pressure.words}{_predicted(state)}",
        )
    else:
        over, words = Reason.ENGINE_DOWN, f"its task is {task}, and {state.state}"
    if own is not None and able(LOCAL, found) and own.pressure.over is None:
        words = f"{words}; {own.target.label} has room{_predicted(own)}"
        return Preference(over, words, (LOCAL, *mine, *route), coming[0] if coming else "")
    # (3) The box is full.
    if own is not None and able(LOCAL, found):
        words = f"{words}; {own.target.label} is full too: {own.pressure.words}{_predicted(own)}"
    return Preference(over, words, (*route, *mine, LOCAL), coming[0] if coming else "")


def without_own(
    fleet: Fleet, found: Obstacles, route: tuple[str, ...], *, moves: bool = True
) -> tuple[tuple[str, ...], str]:
    """The chain of a request that the engine's own model cannot take, and the model that would take it if it were loaded.

    Other local models come before the route where the engine's own never could, and behind it where it only cannot now.
    moves: False where the answers of two models cannot be compared: then the first that can, loaded or not, takes it alone.
    """
    names, coming = [name for name in fleet.models if able(name, found)], loadable(fleet.models, fleet, found)
    if not moves:
        one = next((name for name in fleet.models if name in names or name in coming), None)
        return (route, "") if one is None else ((one,), one if one in coming else "")
    names.sort(key=lambda name: fleet.models[name].predicted_ttft_s)
    if all(item.passing for item in found[LOCAL]):
        return (*route, *names), ""
    return (*names, *route), coming[0] if coming and not names else ""


def loadable(names: Iterable[str], fleet: Fleet, found: Obstacles) -> list[str]:
    """Those that are not loaded, will be if somebody asks for them, and could take the request then."""
    away = [name for name in names if not fleet.models[name].replicas_ready and not fleet.models[name].given_up]
    return [name for name in away if all(item.passing or item.doubtful for item in found[name])]


def able(name: str, found: Obstacles) -> bool:
    """True if no certain obstacle stands between the request and a target of the picture."""
    return all(item.doubtful for item in found[name])


def overfull(
    names: Sequence[str], fleet: Fleet, own: PlanRefusal | None, escalation: Escalation | None
) -> PlanRefusal | None:
    """The refusal of a request for which only these local models are left, if the queue of each is full: that of the first.

    own: of the engine's own model. escalation: says how late a first token may be predicted; None: any time within the total.
    """
    admitted_s = math.inf if escalation is None else escalation.admit_ttft_ms / 1000
    found: list[PlanRefusal] = []
    for name in names:
        state = fleet.models.get(name)
        longest = 0.0 if state is None else min(state.target.timeouts.total, admitted_s)
        late = state is not None and state.predicted_ttft_s >= longest and not state.alone
        refused = own if state is None else queue_full(state, longest) if late else None
        if refused is None:
            return None
        found.append(refused)
    return found[0] if found else None


def _predicted(state: LocalState) -> str:
    return f", first token predicted in {state.predicted_ttft_s * 1000:.0f} ms" if state.predicted_ttft_s else ""
