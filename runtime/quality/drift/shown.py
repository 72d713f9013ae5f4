"""Streams, demotions and their numbers as `/hearth/quality` shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.quality.drift.baseline import baseline
from runtime.quality.drift.fold import Tolerated, words_of
from runtime.quality.drift.stream import StreamState
from runtime.quality.values import Stream

_POINTS = 60


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One target on one set. state: learning, watched, held (together with others), demoted. rate, usual, floor: pass rates of
    the latest run and of the reference, and the one below which it is worse. compared, versus: open-ended cases that are held
    against earlier answers, and the mean of their latest scores, one half without a change. evidence: demoted at `bar`. person:
    "demote" or "hold". served: the model that its answers name. history: night, pass rate, evidence, oldest first.
    """

    target: str
    set: str
    task: str
    state: str
    cases: int
    rate: float | None
    usual: float | None
    floor: float | None
    compared: int = 0
    versus: float | None = None
    evidence: float
    bar: float
    words: str
    person: str
    served: str
    history: tuple[tuple[str, float | None, float], ...]


def shown(states: Mapping[Stream, StreamState], tolerated: Tolerated) -> list[StreamView]:
    rule = tolerated.rule(len(states))
    views = []
    for stream, state in sorted(states.items()):
        base = baseline([each for each in state.references.values() if each.complete], rule.tolerance)
        last = state.history[-1] if state.history else None
        name = "held" if state.held else "watched" if state.watched else "learning"
        if state.demotion is not None or state.person == "demote":
            name = "demoted"
        views.append(
            StreamView(
                target=stream.target,
                set=stream.set,
                task=state.task,
                state=name,
                cases=base.cases,
                rate=last.rate if last else None,
                usual=round(base.whole.rate, 4) if base.cases else None,
                floor=round(base.whole.floor, 4) if base.cases else None,
                compared=state.compared,
                versus=last.versus if last else None,
                evidence=round(state.evidence, 3),
                bar=rule.bar if rule.bar < float("inf") else 0.0,
                words=words_of(state),
                person=state.person,
                served=state.served,
                history=tuple([(each.night, each.rate, round(each.evidence, 3)) for each in state.history[-_POINTS:]]),
            )
        )
    return views


def overview(states: Mapping[Stream, StreamState], tolerated: Tolerated) -> dict[str, Any]:
    """The detector's part of `/hearth/quality`."""
    return {"streams": shown(states, tolerated), "tolerance": tolerated.loss}
