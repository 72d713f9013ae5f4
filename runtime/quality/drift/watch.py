"""The detector at work: folds closed runs and people's acts, and puts what follows from them in force on the fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from runtime.contract.targets import LOCAL
from runtime.fleet.fleet import LiveFleet
from runtime.quality.drift.baseline import RUNS
from runtime.quality.drift.fold import Demoted, Tolerated, demotions, fold_act, fold_run, read_states, replayed
from runtime.quality.drift.shown import overview
from runtime.quality.drift.stream import StreamState
from runtime.quality.values import CaseResult, EvalRun, Folded, OwnReference, PersonAct, QualityEvent, Stream
from runtime.routing.plan.demotion import DemotedFor
from runtime.settings import Quality

Tell = Callable[[QualityEvent], Awaitable[None]]
"""Takes an event that a person is to see. Never raises."""


async def untold(event: QualityEvent) -> None:
    """Nobody is to see it."""


class DriftWatch:
    """settings: replaced on a reload, with `renew` after it. states: as they were stored last."""

    def __init__(self, fleet: LiveFleet, settings: Quality, tell: Tell = untold) -> None:
        self.settings = settings
        self.states: dict[Stream, StreamState] = {}
        self.demoted: list[Demoted] = []
        self._fleet, self._tell = fleet, tell

    @property
    def tolerated(self) -> Tolerated:
        return Tolerated(self.settings.tolerance, self.settings.false_demotions_per_year)

    def fold(self, run: EvalRun, results: Sequence[CaseResult], states: Mapping[Stream, bytes]) -> Folded:
        return fold_run(run, results, states, self.tolerated)

    def act(self, act: PersonAct, states: Mapping[Stream, bytes]) -> Folded:
        return fold_act(act, states)

    def again(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        """Labels of the targets that are to be seen again in the same night."""
        found = read_states(states).items()
        return frozenset([stream.target for stream, state in found if state.more_tonight(state.night)])

    def kept(self, states: Mapping[Stream, bytes]) -> frozenset[str]:
        """Ids of the runs of references: later answers are compared with theirs."""
        found = read_states(states).values()
        own = [run for state in found for each in state.own.values() for run, _ in each.answers]
        return frozenset([*own, *(run for state in found for run in state.reference_runs)])

    def references(self, states: Mapping[Stream, bytes]) -> Mapping[tuple[str, str, str], OwnReference]:
        """Of open-ended cases, by target, set and case, the answers that new ones are compared with."""
        return {
            (*stream, case): own
            for stream, state in read_states(states).items()
            for case, own in state.own.items()
            if len(own.answers) >= RUNS
        }

    def overview(self) -> dict[str, Any]:
        return overview(self.states, self.tolerated)

    def replayed(
        self, journal: Iterable[tuple[EvalRun, Sequence[CaseResult]] | PersonAct], loss: float | None
    ) -> list[QualityEvent]:
        """Every event that follows from what is stored. loss: another tolerance than the settings'."""
        wanted = self.tolerated if loss is None else self.tolerated._replace(loss=loss)
        return replayed(journal, wanted)[1]

    async def in_force(self, states: Mapping[Stream, bytes], folded: Folded) -> None:
        """Takes states over, and tells of the events."""
        self.states = read_states(states)
        self.renew()
        for event in folded.events:
            await self._tell(event)

    def renew(self) -> None:
        """Puts the demotions in force: in mode "act" alone, and a person's in every mode. Targets may have changed names."""
        self.demoted = demotions(self.states)
        act = self.settings.mode == "act"
        by_task: dict[str, dict[str, DemotedFor]] = {}
        for gone in self.demoted:
            if not act and not gone.by_person:
                continue
            at = by_task.setdefault(gone.task, {})
            for name in self._names(gone.target):
                known = at.get(name)
                if known is None or (gone.rate or 0.0) < (known.rate or 0.0):
                    at[name] = DemotedFor(gone.words, gone.rate)
        self._fleet.demoted = by_task

    def _names(self, label: str) -> list[str]:
        """The names of a target in a picture: the engine's is "local", a lent one's is its label."""
        local, clouds = self._fleet.local.target, self._fleet.clouds.backends.values()
        if label == local.label:
            return [LOCAL]
        return [label, *(each.target.name for each in clouds if each.target.label == label)]
