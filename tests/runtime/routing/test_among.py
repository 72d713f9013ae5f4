"""The choice among several local models, as `plan` makes it: task, ability, load; spill to the larger one, then to a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_state

from runtime.contract.pressure import Pressure
from runtime.contract.reasons import Reason
from runtime.contract.session import Session
from runtime.contract.targets import LOCAL, Capabilities, Target
from runtime.routing.facts.hints import NO_HINTS, Hints
from runtime.routing.facts.query import read_query
from runtime.routing.facts.tokens import TokenEstimate
from runtime.routing.plan import names
from runtime.routing.plan.picture import Fleet, LocalState, TargetState
from runtime.routing.plan.plan import Plan, plan
from runtime.routing.plan.policy import RoutingPolicy
from runtime.settings import Escalation, Routes, Rule, When
from tests.fakes.sureness import BY_MEAN

OWN = Target(LOCAL, LOCAL, "large", Capabilities(), on_box=True)
SMALL = Target("local/small", LOCAL, "small", Capabilities(), on_box=True)
EMBEDS = Target("local/vectors", LOCAL, "vectors", Capabilities(chat=False, embeddings=True), on_box=True)
CLOUD = Target("claude", "vendor", "claude-x", Capabilities())
FULL = Pressure(Reason.QUEUE_DEPTH, 2.0, "8 requests wait for a first token, the threshold is 5")
LABELLING = "Classify the sentiment of this review as positive or negative: I loved it."
HI = "Hello there"


def decided(
    text: str = LABELLING,
    *,
    own: LocalState | None = None,
    small: LocalState | None = None,
    mode: str = "act",
    hints: Hints = NO_HINTS,
    model: str = "auto",
    dialect: str = "openai_chat",
    others: tuple[LocalState, ...] = (),
    rules: tuple[Rule, ...] = (),
    body: dict[str, Any] | None = None,
    session: Session | None = None,
    policy: Mapping[str, Any] | None = None,
    escalation: Escalation | None = None,
) -> Plan:
    escalation = escalation or Escalation(mode=mode)  # type: ignore[arg-type]
    states = [small or LocalState(SMALL, predicted_ttft_s=0.2), *others]
    models = {each.target.name: each for each in states}
    directory = names.build(OWN, [CLOUD], {}, models=[("llama-3.2-3b", SMALL), ("bge", EMBEDS)])
    given = {"tasks": {"extraction": ("local/small",)}, **(policy or {})}
    made = RoutingPolicy(escalation, rules, Routes(default=("claude",)), directory, **given)
    body = body or {"model": model, "messages": [{"role": "user", "content": text}]}
    if dialect == "openai_embeddings":
        body = {"model": model, "input": text}
    fleet = Fleet(own or LocalState(OWN, predicted_ttft_s=0.9), {"claude": TargetState(CLOUD)}, session, models=models)
    return plan(
        read_query(dialect, body, hints, {}, TokenEstimate()), names.resolve(model, directory), fleet, made, 0.0
    )


def order(made: Plan) -> list[str]:
    return [each.target.name for each in made.candidates]


def test_a_task_goes_to_its_model_and_its_fallbacks_stay_on_the_box_first() -> None:
    """The larger local model stands behind the small one, the cloud behind both."""
    made = decided()
    assert order(made) == ["local/small", "local", "claude"]
    assert made.reason is Reason.TASK
    assert "extraction, which is given to local/small, first token predicted in 200 ms" in made.words


def test_another_task_stays_with_the_engines_own_model() -> None:
    """No model is added to its fallbacks."""
    assert order(decided(HI)) == ["local", "claude"]


def test_a_full_small_model_spills_to_the_larger_one_first() -> None:
    """The words have both predictions, and the cloud is only a fallback."""
    made = decided(small=LocalState(SMALL, pressure=FULL, predicted_ttft_s=4.0))
    assert order(made) == ["local", "local/small", "claude"]
    assert made.reason is Reason.QUEUE_DEPTH
    assert "4000 ms" in made.words and "900 ms" in made.words


def test_a_full_box_spills_to_the_cloud() -> None:
    """With the local models behind it."""
    made = decided(
        small=LocalState(SMALL, pressure=FULL, predicted_ttft_s=4.0),
        own=LocalState(OWN, pressure=FULL, predicted_ttft_s=9.0),
    )
    assert order(made) == ["claude", "local/small", "local"]
    assert "4000 ms" in made.words and "9000 ms" in made.words


def test_a_full_box_keeps_what_may_not_leave() -> None:
    """A certificate that the cloud lacks, and `mode = "off"`."""
    full = LocalState(SMALL, pressure=FULL)
    own = LocalState(OWN, pressure=FULL)
    assert order(decided(small=full, own=own, hints=Hints(requires=frozenset({"hipaa"})))) == ["local/small", "local"]
    assert order(decided(small=full, own=own, mode="off")) == ["local/small", "local"]
    assert order(decided(mode="off")) == ["local/small", "local"]


def test_a_model_that_is_not_loaded_is_passed_over() -> None:
    """The engine's own model takes the task."""
    assert order(decided(small=LocalState(SMALL, replicas_ready=0, state="local/small is absent"))) == [
        "local",
        "claude",
    ]


def test_a_model_is_pinned_by_its_name_and_its_id() -> None:
    """Also bare, and without regard to case; nobody else answers."""
    for name in ("local/small", "small", "llama-3.2-3b", "local/llama-3.2-3b", "LOCAL/Small"):
        assert order(decided(model=name)) == ["local/small"]
    assert order(decided(model="local")) == order(decided(model="large")) == ["local"]


def test_a_pinned_model_that_is_not_there_is_refused_in_its_own_words() -> None:
    """Neither the engine's own model nor a cloud answers in its place."""
    made = decided(model="small", small=LocalState(SMALL, replicas_ready=0, state="local/small is loading"))
    assert made.refusal is not None and made.refusal.status == 503
    assert made.refusal.message == "local/small is loading"


def test_embeddings_go_to_the_local_model_that_can() -> None:
    """Before any cloud, which has none here."""
    made = decided("some text", dialect="openai_embeddings", others=(LocalState(EMBEDS),))
    assert order(made) == ["local/vectors"]
    assert made.degraded == ()


def test_an_engine_that_is_down_leaves_to_the_cloud_before_another_local_model() -> None:
    """Only for a while: the route's targets come first."""
    made = decided(HI, own=LocalState(OWN, replicas_ready=0))
    assert order(made) == ["claude", "local/small"]
    assert made.reason is Reason.ENGINE_DOWN


@pytest.mark.parametrize("mode", ["off", "advise"])
def test_a_box_that_stays_home_still_uses_its_other_models(mode: str) -> None:
    """The engine's own model is down."""
    made = decided(HI, own=LocalState(OWN, replicas_ready=0), mode=mode)
    assert order(made) == ["local/small"]


def test_batch_work_is_kept_from_the_cloud_only() -> None:
    """Its task's model and its pinned one are as good as the engine's own."""
    batch = replace(NO_HINTS, priority="batch")
    assert order(decided(model="small", hints=batch)) == ["local/small"]
    assert order(decided(hints=batch)) == ["local/small", "local"]
    assert order(decided(HI, hints=batch)) == ["local"]


def test_a_model_that_can_be_loaded_is_asked_for() -> None:
    """The engine's own model bridges while it has room, then the cloud; with neither it is waited for."""
    away = LocalState(SMALL, replicas_ready=0, state="local/small is fetching", ready_in_s=40.0)
    made = decided(small=away)
    assert (order(made), made.reason, made.loads) == (["local", "claude"], Reason.ENGINE_DOWN, "local/small")
    assert "local/small is fetching" in made.words
    made = decided(small=away, own=LocalState(OWN, pressure=FULL))
    assert (order(made), made.loads) == (["claude", "local"], "local/small")
    made = decided(small=away, own=LocalState(OWN, replicas_ready=0), mode="off")
    assert made.refusal is not None and (made.refusal.status, made.refusal.retry_after) == (503, 40.0)
    assert made.loads == "local/small"
    assert decided(model="small", small=away).loads == "local/small"
    assert decided(model="small", small=replace_state(away, given_up=True)).loads == ""


def test_a_box_whose_queues_are_all_full_refuses() -> None:
    """With nowhere to go; while one of them has room, that one takes it."""
    late = LocalState(SMALL, pressure=FULL, predicted_ttft_s=100.0, wait_s=9.0)
    own = LocalState(OWN, pressure=FULL, predicted_ttft_s=200.0, wait_s=5.0)
    made = decided(small=late, own=own, mode="off")
    assert made.refusal is not None and (made.refusal.status, made.refusal.retry_after) == (429, 9.0)
    assert order(decided(small=late, mode="off")) == ["local", "local/small"]


def test_a_rule_may_name_local_models() -> None:
    """Alone they keep a request on the box; before a cloud they are the first choice."""
    keep, prefer = Rule(when=When(), to=("local/small",)), Rule(when=When(), to=("local/small", "claude"))
    assert order(decided(HI, rules=(keep,))) == ["local/small"]
    assert order(decided(HI, rules=(prefer,))) == ["local/small", "claude", "local"]
    away = LocalState(SMALL, replicas_ready=0, state="local/small is absent")
    made = decided(HI, rules=(keep,), small=away)
    assert made.refusal is not None and made.loads == "local/small"
    made = decided(HI, rules=(prefer,), small=away)
    assert (order(made), made.loads) == (["claude", "local"], "local/small")


def test_a_conversation_returns_to_the_local_model_that_answered_it() -> None:
    """A tool's result, whatever the task."""
    body = {
        "model": "auto",
        "messages": [
            {"role": "user", "content": "What is the weather?"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "w", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "rain"},
        ],
    }
    made = decided(body=body, session=Session("local/small", SMALL.label, {}))
    assert (order(made)[0], made.reason) == ("local/small", Reason.SESSION)


CHATTING = {"tasks": {"chat": ("local/small",)}}
LOOKING = Escalation(complexity=1, confidence=0.5)


def test_a_model_that_has_its_task_is_looked_at_by_its_own_map() -> None:
    """The engine's own model and the cloud stand behind it. The map of another model says nothing of it."""
    sure = {**CHATTING, "confidence": {"local/small": BY_MEAN}}
    made = decided(HI, policy=sure, escalation=LOOKING)
    assert order(made) == ["local/small", "local", "claude"]
    assert made.look is not None and made.look.map is BY_MEAN
    assert "early confidence is below 0.5" in made.words
    assert decided(HI, policy={**CHATTING, "confidence": {"local": BY_MEAN}}, escalation=LOOKING).look is None
    assert decided(HI, policy=CHATTING, escalation=LOOKING).look is None


def test_a_model_is_looked_at_if_nothing_else_sends_the_request_away() -> None:
    """Not one that is asked because another is full, and not labelling."""
    sure = {**CHATTING, "confidence": {"local/small": BY_MEAN, "local": BY_MEAN}}
    full = LocalState(SMALL, pressure=FULL)
    assert decided(HI, small=full, policy=sure, escalation=LOOKING).look is None
    labels = {"tasks": {"extraction": ("local/small",)}, "confidence": {"local/small": BY_MEAN}}
    assert decided(policy=labels, escalation=LOOKING).look is None


def test_a_prompt_that_is_too_hard_for_a_model_goes_past_it() -> None:
    """To the engine's own, which may find it too hard as well; without a threshold of its own a model keeps its task."""
    hard = (
        "What is the second derivative of the logarithm of the partition function with respect to inverse temperature, and "
        "which thermodynamic quantity does its variance determine?"
    )
    body = {"messages": [{"role": "user", "content": hard}]}
    score = read_query("openai_chat", body, NO_HINTS, {}, TokenEstimate()).score
    easy, never = Escalation(complexity=1), {**CHATTING, "tasks": {"chat": ("local/small",), "math": ("local/small",)}}
    assert order(decided(hard, policy=never, escalation=easy))[0] == "local/small"
    beyond = {**never, "beyond": {"local/small": score}}
    assert order(decided(hard, policy=beyond, escalation=easy)) == ["local", "claude"]
    assert order(decided(hard, policy=beyond, escalation=Escalation(complexity=score)))[0] == "claude"
    assert order(decided(HI, policy=beyond, escalation=easy))[0] == "local/small"
