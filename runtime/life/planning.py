"""From a body to a plan: facts with the tokens learned so far, the fleet as it is, the settings as they stand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from runtime.contract.targets import Target
from runtime.routing.facts.facts import ALONE, Facts, Within
from runtime.routing.facts.hints import MEMBER, NO_HINTS, PREFIX, read_hints
from runtime.routing.facts.query import RoutingQuery, read_query
from runtime.routing.facts.tokens import TokenEstimate
from runtime.routing.plan.names import AUTO, Auto, Lent, resolve
from runtime.routing.plan.nearest import Change, Inputs, nearest
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, RoutingPolicy, plan
from runtime.routing.plan.rules import demanded

_MOST_RESTRICTED = 50_000  # conversations whose demands are remembered


class Pictured(Protocol):
    """A fleet that gives a picture of itself. lent: the model without settings that the request names."""

    def picture(self, facts: Facts, now: float, lent: Lent | None, *, look: bool, caller: str) -> Fleet:
        """caller: the request's, by its id. look: the picture is for an explanation, and taking it changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan with all that it was made from, and the nearest things that would have changed it."""

    inputs: Inputs
    plan: Plan
    changes: tuple[Change, ...]


@dataclass(slots=True)
class Planner:
    """Holds the policy in force (replaced whole on a reload), and what was learned of the engine's tokenizer.

    demands: certificates that a turn of a conversation demanded, by `Facts.restricted`. Its later turns demand them too. The
    latest last; in memory, and bounded.
    """

    policy: RoutingPolicy
    tokens: TokenEstimate = field(default_factory=TokenEstimate)
    demands: OrderedDict[int, frozenset[str]] = field(default_factory=OrderedDict)

    def read(
        self,
        dialect: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        requires: frozenset[str] = frozenset(),
        within: Within = ALONE,
    ) -> RoutingQuery:
        """requires: certificates demanded besides those of the hints, the rules and the conversation. Raises BadHint."""
        hinted = MEMBER in body or any(name.startswith(PREFIX) for name in headers)
        hints = read_hints(body, headers) if hinted else NO_HINTS
        hints = replace(hints, requires=hints.requires | requires) if requires else hints
        query = read_query(dialect, body, hints, headers, self.tokens, within)
        rules, more = self.policy.rules, frozenset[str]()
        if rules:
            more = demanded(query, rules)
        if self.demands and query.facts.continued:
            more |= self.demands.get(query.facts.restricted, more)
        return query if more <= hints.requires else query.demanding(more)

    def remember(self, facts: Facts) -> None:
        """Takes the demands of a request for those of its conversation."""
        demands, name = self.demands, facts.restricted
        demands[name] = demands.pop(name, frozenset()) | facts.hints.requires
        if len(demands) > _MOST_RESTRICTED:
            demands.popitem(last=False)

    def plan(self, query: RoutingQuery, fleet: Pictured, now: float, *, look: bool = False) -> Plan:
        """The plan for a request. look: for an explanation, which changes nothing in the fleet."""
        return plan(*self.inputs(query, fleet, now, look=look))

    def inputs(
        self, query: RoutingQuery, fleet: Pictured, now: float, *, look: bool = False, caller: str = ""
    ) -> Inputs:
        """The material of the plan for a request."""
        model, directory = query.facts.model, self.policy.directory
        named = directory.auto if model == AUTO else resolve(model, directory)
        first = named.first if isinstance(named, Auto) else named
        lent = first if isinstance(first, Lent) else None
        picture = fleet.picture(query.facts, now, lent, look=look, caller=caller)
        return Inputs(query, named, picture, self.policy, now)


@dataclass(slots=True)
class IdleFleet:
    """A box on which nothing runs and nothing fails."""

    local: Target
    usable: Mapping[str, Target]
    absent: Mapping[str, tuple[Target, str]]
    lend: Callable[[Lent], Target]
    models: Mapping[str, Target] = field(default_factory=dict)

    def picture(self, facts: Facts, now: float, lent: Lent | None, *, look: bool, caller: str) -> Fleet:
        states = {name: TargetState(target) for name, target in self.usable.items()}
        for name, (target, why) in self.absent.items():
            states[name] = TargetState(target, available=False, why=why, absent=True)
        if lent is not None:
            states.setdefault(lent.target, TargetState(self.lend(lent)))
        return Fleet(
            LocalState(self.local), states, models={name: LocalState(each) for name, each in self.models.items()}
        )


@dataclass(frozen=True, slots=True)
class IdlePlanner:
    """A planner over a box where nothing runs: what `hearth explain` shows without a runtime."""

    planner: Planner
    fleet: Pictured
    clock: Callable[[], float]

    def explain(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Explanation:
        """Raises BadHint."""
        return explain(self.planner, self.fleet, self.planner.read(dialect, body, headers), self.clock())


def explain(planner: Planner, fleet: Pictured, query: RoutingQuery, now: float, caller: str = "") -> Explanation:
    """The plan for a request, and what would have changed it."""
    inputs = planner.inputs(query, fleet, now, look=True, caller=caller)
    made = inputs.plan()
    return Explanation(inputs, made, nearest(inputs, made))
