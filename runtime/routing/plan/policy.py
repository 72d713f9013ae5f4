"""The settings that decide, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.routing.confidence import ConfidenceMap
from runtime.routing.plan.names import Directory
from runtime.settings import Escalation, Routes, Rule


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """The settings that decide. confidence: the map of each local model that has one, by target: "local" is the engine's own.

    batch_leaves: batch work may leave the box. when_spent: what would leave without a budget is answered by the engine
    ("local"), or refused, with the time until the next period ("queue") or without ("refuse"). For the record: marks, short
    names of the rules' conditions; limits, the thresholds of the load. tasks: task -> the local models that have it. beyond:
    the score at and above which a task goes past such a model, by target; 1: never.
    """

    escalation: Escalation = field(default_factory=Escalation)
    rules: tuple[Rule, ...] = ()
    routes: Routes = field(default_factory=Routes)
    directory: Directory = field(default_factory=Directory)
    confidence: Mapping[str, ConfidenceMap] = field(default_factory=dict)
    batch_leaves: bool = False
    when_spent: str = "local"
    marks: tuple[str, ...] = ()
    limits: tuple[float, ...] = ()
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beyond: Mapping[str, float] = field(default_factory=dict)
