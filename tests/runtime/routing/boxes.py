"""Facts, targets and fleets for the tests of decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck

from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities, Target, Timeouts
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import read_hints
from runtime.routing.facts.query import RoutingQuery, read_query
from runtime.routing.facts.tokens import TokenEstimate
from runtime.routing.plan.names import build, resolve
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, RoutingPolicy, plan
from runtime.settings import Escalation, Routes, Rule

# A shared machine is slow at times: that is no fault of what is tested.
CALM: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

LOCAL = Target(
    "local",
    "local",
    "smollm2-135m",
    Capabilities(context_tokens=8192, completions=True),
    on_box=True,
    timeouts=Timeouts(total=300.0),
)
CLAUDE = Target(
    "claude",
    "anthropic",
    "sonnet",
    Capabilities(context_tokens=200_000),
    certified=frozenset({"hipaa"}),
    price=Price(3.0, 15.0),
)
GEMINI = Target(
    "gemini",
    "gemini",
    "flash",
    Capabilities(frozenset({"text", "image", "audio", "video", "pdf"}), context_tokens=1_000_000),
)


def chat(text: str | list[Any] = "Hello there", **body: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **body}


def query_of(
    body: Mapping[str, Any], headers: Mapping[str, str] | None = None, dialect: str = "openai_chat"
) -> RoutingQuery:
    given = headers or {}
    return read_query(dialect, body, read_hints(body, given), given, TokenEstimate())


def facts_of(body: Mapping[str, Any], headers: Mapping[str, str] | None = None, dialect: str = "openai_chat") -> Facts:
    return query_of(body, headers, dialect).facts


def fleet_of(*states: Target | TargetState, local: LocalState | None = None) -> Fleet:
    known = [state if isinstance(state, TargetState) else TargetState(state) for state in states]
    return Fleet(local or LocalState(LOCAL), {state.target.name: state for state in known})


def policy_of(
    targets: Sequence[Target] = (CLAUDE, GEMINI),
    *,
    rules: Sequence[Rule] = (),
    routes: Routes | None = None,
    aliases: Mapping[str, str] | None = None,
    override: str | None = None,
    prefer: str = "",
    offered: Sequence[Target] = (),
    **escalation: Any,
) -> RoutingPolicy:
    """Without `complexity`, no prompt leaves for its score."""
    directory = build(LOCAL, targets, aliases or {}, override=override, prefer=prefer, offered=offered)
    escalation.setdefault("complexity", 1)
    return RoutingPolicy(Escalation(**escalation), tuple(rules), routes or Routes(), directory)


def planned(query: RoutingQuery, fleet: Fleet, policy: RoutingPolicy, now: float = 0.0) -> Plan:
    """The plan for a request by the name it gives."""
    return plan(query, resolve(query.facts.model, policy.directory), fleet, policy, now)


def attached(certified: frozenset[str] = frozenset()) -> LocalState:
    """An engine on another machine."""
    return LocalState(replace(LOCAL, on_box=False, certified=certified))
