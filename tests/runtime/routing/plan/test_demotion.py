"""A target that failed its golden set stands behind the others for that task, and costs no request its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_other

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.routing.plan.demotion import DemotedFor, Demotions
from runtime.routing.plan.names import resolve
from runtime.routing.plan.nearest import Inputs, nearest
from runtime.routing.plan.picture import LocalState, TargetState
from runtime.settings import Routes, Rule, When
from tests.runtime.routing.boxes import CALM, CLAUDE, GEMINI, LOCAL, chat, fleet_of, planned, policy_of, query_of

CODE = "Fix this function:\n```python\ndef add(a, b):\n    return a - b\n```"
WORDS = "demoted for code since 27 Nov: 64 of 80 against 74, evidence 11,400"
FAILED = DemotedFor(WORDS, 0.8)


def demoted(*names: str, task: str = "code", rate: float = 0.8) -> Demotions:
    return {task: {name: DemotedFor(WORDS, rate) for name in names}}


def targets(query: Any, demotions: Demotions, policy: Any = None, **fleet: Any) -> list[str]:
    made = planned(query, with_other(fleet_of(CLAUDE, GEMINI, **fleet), demoted=demotions), policy or policy_of())
    return [each.target.name for each in made.candidates]


def test_the_demoted_local_model_lets_its_task_leave_and_no_other() -> None:
    """The first able target answers; the engine is the last resort, and says why."""
    fleet = with_other(fleet_of(CLAUDE, GEMINI), demoted=demoted("local"))
    made = planned(query_of(chat(CODE)), fleet, policy_of())
    assert [each.target.name for each in made.candidates] == ["claude", "gemini", "local"]
    assert made.reason is Reason.QUALITY
    assert WORDS in made.words
    assert (made.candidates[-1].reason, made.candidates[-1].words) == (Reason.QUALITY, WORDS)
    assert made.look is None
    assert made.move is None
    other = planned(query_of(chat("Good morning!")), fleet, policy_of())
    assert (other.candidates[0].target.name, other.reason) == ("local", Reason.DEFAULT)


def test_a_demoted_cloud_stands_behind_the_engine() -> None:
    """It left for its task, and the next target of the route takes it."""
    policy = policy_of(tasks=["code"])
    assert targets(query_of(chat(CODE)), demoted("claude"), policy) == ["gemini", "local", "claude"]
    assert targets(query_of(chat(CODE)), {"": {"claude": FAILED}}, policy) == ["gemini", "local", "claude"]
    assert targets(query_of(chat(CODE)), demoted("claude", task="math"), policy) == ["claude", "gemini", "local"]


def test_where_all_are_demoted_the_best_measured_answers_and_it_is_marked() -> None:
    """By last measured rate; one that was never measured comes last."""
    demotions = {"code": {"local": FAILED, "claude": DemotedFor(WORDS, 0.7), "gemini": DemotedFor(WORDS, 0.85)}}
    made = planned(query_of(chat(CODE)), with_other(fleet_of(CLAUDE, GEMINI), demoted=demotions), policy_of())
    assert [each.target.name for each in made.candidates] == ["gemini", "local", "claude"]
    assert made.degraded == ("quality",)


def test_what_must_stay_is_answered_by_the_demoted_engine() -> None:
    """A certificate that nobody has; a rule; batch work; no target at all: answered and marked."""
    body = chat(CODE, hearth={"requires": ["itar"]})
    fleet = with_other(fleet_of(CLAUDE, GEMINI), demoted=demoted("local"))
    rule = Rule(when=When(task="code"), to=("local",))
    for made in (
        planned(query_of(body), fleet, policy_of()),
        planned(query_of(chat(CODE)), fleet, policy_of(rules=[rule])),
        planned(query_of(chat(CODE, hearth={"priority": "batch"})), fleet, policy_of()),
        planned(query_of(chat(CODE)), with_other(fleet_of(), demoted=demoted("local")), policy_of(())),
        planned(query_of(chat(CODE)), fleet, policy_of(mode="off")),
    ):
        assert [each.target.name for each in made.candidates] == ["local"]
        assert made.degraded == ("quality",)
        assert WORDS in made.words


def test_advice_says_where_it_would_have_gone() -> None:
    """In the mode that only advises."""
    fleet = with_other(fleet_of(CLAUDE, GEMINI), demoted=demoted("local"))
    made = planned(query_of(chat(CODE)), fleet, policy_of(mode="advise"))
    assert made.advice == f"would have gone to claude (quality: the local model is {WORDS})"


def test_a_pin_is_obeyed_unmarked() -> None:
    """Whoever names a model gets it."""
    fleet = with_other(fleet_of(CLAUDE, GEMINI), demoted=demoted("local", "claude"))
    for name in ("local", "claude"):
        made = planned(query_of({**chat(CODE), "model": name}), fleet, policy_of())
        assert [each.target.name for each in made.candidates] == [name]
        assert (made.degraded, made.reason) == ((), Reason.PINNED)


def test_signed_state_returns_to_the_model_that_made_it() -> None:
    """A conversation that only continues moves; one with a signature stays."""
    session = Session("claude", CLAUDE.label, {"claude": 900})
    turns = [
        {"role": "user", "content": CODE},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": CODE},
    ]
    query = query_of({**chat(), "messages": turns})
    fleet = with_other(fleet_of(CLAUDE, GEMINI), demoted=demoted("claude"), session=session)
    signed = query.changed(facts=with_other(query.facts, signed=True))
    assert planned(signed, fleet, policy_of()).candidates[0].target.name == "claude"
    assert planned(query, fleet, policy_of()).candidates[0].target.name == "local"


def test_a_full_engine_is_not_put_before_a_demoted_target() -> None:
    """It would refuse, and the target would answer."""
    over = Pressure(Reason.TTFT, 20.0, "first token in 60 s")
    full = LocalState(LOCAL, pressure=over, predicted_ttft_s=60.0)
    policy = policy_of(admit_ttft_ms=30_000)
    assert targets(query_of(chat(CODE)), demoted("claude", "gemini"), policy, local=full)[0] != "local"


def test_explain_names_the_demotion_as_what_would_change_it() -> None:
    """Without it the engine would answer."""
    query, policy = query_of(chat(CODE)), policy_of()
    fleet = with_other(fleet_of(CLAUDE, GEMINI), demoted=demoted("local"))
    inputs = Inputs(query, resolve("auto", policy.directory), fleet, policy, 0.0)
    assert "no target demoted" in [change.words for change in nearest(inputs, inputs.plan(), most=9)]


NAMES = ("local", "claude", "gemini", "other")
OTHER = replace(CLAUDE, name="other", model="opus", certified=frozenset({"zdr"}))


SPENT = st.sampled_from(["", "", "the budget of all targets is spent"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, Any, Any, Demotions]:
    """A request, a box and its settings, and some demotions."""
    states = [
        TargetState(each, available=draw(st.booleans()), until=9.0, spent=draw(SPENT), renews_s=60.0)
        for each in (CLAUDE, GEMINI, OTHER)
        if draw(st.booleans())
    ]
    local = LocalState(
        LOCAL,
        replicas_ready=draw(st.integers(0, 1)),
        predicted_ttft_s=draw(st.sampled_from([0.0, 1.0, 60.0])),
        pressure=draw(st.sampled_from([Pressure(), Pressure(Reason.TTFT, 2.0, "late")])),
    )
    hints: dict[str, Any] = {
        "requires": draw(st.lists(st.sampled_from(["hipaa", "zdr", "itar"]), max_size=2, unique=True))
    }
    if draw(st.booleans()):
        hints["max_cost_usd"] = draw(st.sampled_from([1e-7, 1.0]))
    if draw(st.booleans()):
        hints["priority"] = draw(st.sampled_from(["interactive", "batch"]))
    text = draw(st.sampled_from([CODE, "Good morning!", "What is 17 * 23?", "word " * 9000]))
    model = draw(st.sampled_from(["auto", "auto", "auto", "local", "claude"]))
    query = query_of({**chat(text, hearth=hints), "model": model})
    policy = policy_of(
        [state.target for state in states],
        mode=draw(st.sampled_from(["act", "act", "advise", "off"])),
        tasks=draw(st.sampled_from([[], ["code"]])),
        complexity=draw(st.sampled_from([1, 0.3])),
        rules=draw(st.sampled_from([[], [Rule(when=When(task="code"), to=("local",))]])),
        routes=Routes(),
    )
    task = st.sampled_from(["", "code", "math", "chat"])
    demotions = draw(st.dictionaries(task, st.dictionaries(st.sampled_from(NAMES), st.just(FAILED))))
    return query, fleet_of(*states, local=local), policy, demotions


def holds(case: tuple[Any, Any, Any, Demotions]) -> None:
    """The same targets may answer with demotions as without; pins and modes decide as before; demoted ones stand behind."""
    query, fleet, policy, demotions = case
    before = planned(query, fleet, policy)
    after = planned(query, with_other(fleet, demoted=demotions), policy)
    known = {each.target.name for each in before.candidates}
    assert {each.target.name for each in after.candidates} == known
    assert (after.refusal is None) == (before.refusal is None)
    if query.facts.model != "auto" or not known:
        assert [each.target for each in after.candidates] == [each.target for each in before.candidates]
        assert after.degraded == before.degraded
        return
    gone = {**demotions.get("", {}), **demotions.get(query.task, {})}
    order = [each.target.name in gone for each in after.candidates]
    full = after.candidates[-1].target.local and fleet.local.predicted_ttft_s >= 30
    assert order == sorted(order) or full
    assert ("quality" in after.degraded) == order[0]


@pytest.mark.slow
@settings(max_examples=10_000, **CALM)
@given(cases())
def test_no_demotion_forbids_allows_or_fails_in_ten_thousand_cases(case: tuple[Any, Any, Any, Demotions]) -> None:
    """Random boxes, demands and demotions."""
    holds(case)


@settings(max_examples=100, **CALM)
@given(cases())
def test_no_demotion_forbids_allows_or_fails(case: tuple[Any, Any, Any, Demotions]) -> None:
    """Random boxes, demands and demotions."""
    holds(case)
