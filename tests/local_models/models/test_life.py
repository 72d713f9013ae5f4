"""The life of one model, replayed as histories of events on a fake clock."""

from __future__ import annotations

import pytest

from local_models.models.life import (
    CancelFetch,
    DrainEngine,
    FetchFailed,
    FetchWeights,
    GpuPlace,
    IllegalModelEventError,
    LoadModel,
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
    StartModel,
    StopEngine,
    UnloadModel,
    WaitOver,
    step,
)

TIMES = ModelTimes(fetch=600, room=100, load=300, drain=30, stop=60, backoff_first=10, give_up_after=3)
PLACE = GpuPlace((0,), 1 << 30)
ASKED = UnloadModel("it was unloaded by command")
READY: list[tuple[float, ModelEvent, str, tuple[ModelAction, ...]]] = [
    (0, LoadModel(), "fetching", (FetchWeights(1),)),
    (5, ModelFetched(1), "fetching", ()),
    (6, StartModel(PLACE), "loading", (StartEngine(1, PLACE),)),
    (46, ModelServes(1), "ready", ()),
]

# name -> [(seconds, event, state after it, actions)]
HISTORIES: dict[str, list[tuple[float, ModelEvent, str, tuple[ModelAction, ...]]]] = {
    "loaded, used, put away": [
        *READY,
        (90, ASKED, "draining", (DrainEngine(1),)),
        (95, ModelIdle(1), "stopping", (StopEngine(1),)),
        (97, ModelGone(1), "absent", ()),
    ],
    "a drain ends with its time": [
        *READY,
        (90, ASKED, "draining", (DrainEngine(1),)),
        (120, WaitOver(1), "stopping", (StopEngine(1),)),
    ],
    "a crash is mended by the engine itself": [
        *READY,
        (90, ModelFell(1, "it died"), "loading", ()),
        (130, ModelServes(1), "ready", ()),
    ],
    "an engine that is given up fails, when its processes are gone": [
        *READY,
        (90, ModelFell(1, "out of memory", final=True), "stopping", (StopEngine(1),)),
        (92, ModelGone(1), "failed", ()),
        (99, LoadModel(), "fetching", (FetchWeights(2),)),
        (100, ModelFetched(1), "fetching", ()),
    ],
    "a start that takes too long is stopped": [
        *READY[:3],
        (306, WaitOver(1), "stopping", (StopEngine(1),)),
        (310, ModelGone(1), "failed", ()),
    ],
    "no weights": [READY[0], (5, FetchFailed(1, "no network"), "failed", ())],
    "a fetch that nobody needs": [
        READY[0],
        (5, ASKED, "absent", (CancelFetch(1),)),
        (6, ModelFetched(1), "absent", ()),
    ],
    "no room in time": [*READY[:2], (105, WaitOver(1), "failed", (CancelFetch(1),))],
    "an ending without an end keeps its memory counted": [
        *READY,
        (90, ModelFell(1, "it died", final=True), "stopping", (StopEngine(1),)),
        (150, WaitOver(1), "failed", ()),
        (400, ModelGone(1), "failed", ()),
    ],
}


def replay(events: list[tuple[float, ModelEvent, str, tuple[ModelAction, ...]]]) -> ModelLife:
    life = ModelLife()
    for at, event, state, actions in events:
        life, done = step(life, event, at, TIMES)
        assert (life.state, done) == (state, actions), event
    return life


@pytest.mark.parametrize("name", HISTORIES)
def test_histories(name: str) -> None:
    """Each event gives the state and the actions written beside it; waits have an end and a reason, rests have none."""
    events = HISTORIES[name]
    for count in range(1, len(events) + 1):
        life = replay(events[:count])
        waits = life.state not in ("absent", "ready", "failed")
        assert waits == (life.until is not None) == bool(life.why)


@pytest.mark.parametrize("event", [StartModel(PLACE), ASKED, WaitOver(0), ModelGone(0)])
def test_what_cannot_happen_raises(event: ModelEvent) -> None:
    """A model that is absent has nothing to start, to stop or to wait for."""
    with pytest.raises(IllegalModelEventError):
        step(ModelLife(), event, 0.0, TIMES)


def test_an_event_of_a_load_that_never_began_raises() -> None:
    """It would be a fault of the owner."""
    with pytest.raises(IllegalModelEventError, match="load 7"):
        step(ModelLife(), ModelServes(7), 0.0, TIMES)


def test_nothing_starts_before_its_files_are_here() -> None:
    """Memory is given to what can use it at once."""
    life, _ = step(ModelLife(), LoadModel(), 0.0, TIMES)
    with pytest.raises(IllegalModelEventError, match="files"):
        step(life, StartModel(PLACE), 1.0, TIMES)


def test_memory_is_counted_until_the_processes_are_gone() -> None:
    """Also where the ending outlived its time; until then it is not loaded again."""
    stuck = HISTORIES["an ending without an end keeps its memory counted"]
    life = replay(stuck[:-1])
    assert life.held == PLACE
    with pytest.raises(IllegalModelEventError, match="memory"):
        step(life, LoadModel(), 200.0, TIMES)
    assert replay(stuck).held is None


def test_failures_are_tried_again_later_and_later_and_then_not() -> None:
    """Ten seconds, twenty, and after the third in a row by command only; a cause that would only repeat is never retried."""
    life, waits = ModelLife(), []
    for number in range(1, 4):
        life, _ = step(life, LoadModel(), 0.0, TIMES)
        life, _ = step(life, FetchFailed(number, "no network"), 0.0, TIMES)
        waits.append(life.retry_at)
    assert waits == [10.0, 20.0, None]
    life, _ = step(ModelLife(), LoadModel(), 0.0, TIMES)
    life, _ = step(life, FetchFailed(1, "no such model", final=True), 0.0, TIMES)
    assert life.retry_at is None
