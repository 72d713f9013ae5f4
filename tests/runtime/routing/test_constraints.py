"""Whatever the settings, the load and the request: no plan names a target that fails a hard constraint."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract.pressure import Pressure
from runtime.contract.prices import Price
from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.contract.targets import LOCAL, Capabilities, Target
from runtime.routing.facts.facts import Facts
from runtime.routing.facts.hints import Hints
from runtime.routing.facts.query import PromptText, RoutingQuery
from runtime.routing.plan.fit import UNCERTAIN
from runtime.routing.plan.names import build
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, RoutingPolicy
from runtime.settings import Escalation, Routes, Rule, When
from tests.runtime.routing.boxes import CALM, planned

CERTIFICATES = st.frozensets(st.sampled_from(["hipaa", "zdr"]), max_size=2)
MODALITIES = st.frozensets(st.sampled_from(["image", "audio", "pdf"]), max_size=2).map(lambda seen: seen | {"text"})
NAMES = ("one", "two", "three")

capabilities = st.builds(
    Capabilities,
    modalities=MODALITIES,
    context_tokens=st.sampled_from([None, 1_000, 10_000, 100_000]),
    tools=st.booleans(),
    structured_output=st.booleans(),
    logprobs=st.booleans(),
)
facts = st.builds(
    Facts,
    dialect=st.just("openai_chat"),
    model=st.sampled_from(["auto", "auto", "auto", "local", *NAMES]),
    prompt_tokens=st.sampled_from([10, 3_000, 50_000]),
    max_tokens=st.sampled_from([None, 100, 20_000]),
    modalities=MODALITIES,
    tools=st.booleans(),
    structured=st.booleans(),
    logprobs=st.booleans(),
    tool_result=st.booleans(),
    signed=st.booleans(),
    hints=st.builds(Hints, requires=CERTIFICATES, max_cost_usd=st.sampled_from([None, None, 0.01])),
)
texts = st.sampled_from(["hello", "```python\ndef f(): pass\n```"]).map(PromptText)
queries = st.builds(RoutingQuery, facts, texts, st.sampled_from([None, 0.2, 0.8]))
chains = st.lists(st.sampled_from([LOCAL, *NAMES]), min_size=1, max_size=3, unique=True).map(tuple)
routes = st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple)
prices = st.sampled_from([None, Price(3.0, 15.0, cache_read=0.3), Price(1.0, 2.0)])
pressures = st.sampled_from([Pressure(), Pressure(Reason.QUEUE_DEPTH, 2.0, "10 wait")])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Fleet, RoutingPolicy]:
    """An engine, three targets, rules, routes and a mode."""
    targets = [
        Target(name, f"p-{name}", "m", draw(capabilities), draw(CERTIFICATES), price=draw(prices)) for name in NAMES
    ]
    local = Target("local", LOCAL, "small", draw(capabilities), draw(CERTIFICATES), on_box=draw(st.booleans()))
    state = LocalState(local, draw(st.integers(0, 1)), pressure=draw(pressures))
    rules = tuple(Rule(when=When(), to=chain) for chain in draw(st.lists(chains, max_size=1)))
    policy = RoutingPolicy(
        Escalation(
            mode=draw(st.sampled_from(["act", "act", "advise", "off"])),
            classifier=draw(st.sampled_from(["off", "engine"])),
            complexity=draw(st.sampled_from([0.1, 0.62, 0.9])),
        ),
        rules,
        Routes(code=draw(routes), multimodal=draw(routes), default=draw(routes)),
        build(local, targets, {}, override=draw(st.sampled_from([None, None, "two"]))),
    )
    states = {target.name: TargetState(target, available=draw(st.booleans())) for target in targets}
    homes = st.sampled_from([(local.name, local.label), *[(each.name, each.label) for each in targets]])
    cached = st.dictionaries(st.sampled_from(["local", *NAMES]), st.sampled_from([500, 40_000]), max_size=3)
    session = draw(st.none() | st.builds(lambda home, tokens: Session(home[0], home[1], tokens), homes, cached))
    return Fleet(state, states, session), policy


def _meets(facts: Facts, target: Target) -> bool:
    can = target.capabilities
    window = can.context_tokens
    return (
        (target.on_box or facts.hints.requires <= target.certified)
        and facts.modalities <= can.modalities
        and (can.tools or not facts.tools)
        and (can.logprobs or not facts.logprobs)
        and (window is None or facts.prompt_tokens / UNCERTAIN + (facts.max_tokens or 0) <= window)
    )


def _target(fleet: Fleet, name: str) -> Target:
    assert fleet.local
    return fleet.local.target if name == LOCAL else fleet.targets[name].target


def _made(asked: RoutingQuery, box: tuple[Fleet, RoutingPolicy]) -> tuple[Fleet, Plan]:
    fleet, policy = box
    return fleet, planned(asked, fleet, policy)


@settings(max_examples=80, **CALM)
@given(queries, boxes())
def test_no_candidate_fails_a_hard_constraint(asked: RoutingQuery, box: tuple[Fleet, RoutingPolicy]) -> None:
    """Certificates, modalities, capabilities, windows and availability bind every candidate, fallbacks too."""
    fleet, made = _made(asked, box)
    for candidate in made.candidates:
        assert _meets(asked.facts, _target(fleet, candidate.target.name))
        assert candidate.target == _target(fleet, candidate.target.name)
        if candidate.target.name != LOCAL:
            assert fleet.targets[candidate.target.name].available
        else:
            assert fleet.local and fleet.local.replicas_ready


@settings(max_examples=50, **CALM)
@given(queries, boxes())
def test_a_plan_has_candidates_or_a_refusal_and_says_why(asked: RoutingQuery, box: tuple[Fleet, RoutingPolicy]) -> None:
    """Never both, never neither, never twice the same, never without words."""
    _, made = _made(asked, box)
    assert bool(made.candidates) != (made.refusal is not None)
    names: list[Any] = [candidate.target.name for candidate in made.candidates]
    assert len(names) == len(set(names))
    assert made.words
    assert all(candidate.words for candidate in made.candidates)


@settings(max_examples=50, **CALM)
@given(queries, boxes())
def test_pins_and_modes_bind(asked: RoutingQuery, box: tuple[Fleet, RoutingPolicy]) -> None:
    """A pinned plan has one candidate, its own; advise and off keep what is automatic on the box."""
    _, made = _made(asked, box)
    if asked.facts.model != "auto":
        assert made.pinned
        assert [candidate.target.name for candidate in made.candidates] in ([], [asked.facts.model])
    elif box[1].escalation.mode != "act":
        assert {candidate.target.name for candidate in made.candidates} <= {LOCAL}
