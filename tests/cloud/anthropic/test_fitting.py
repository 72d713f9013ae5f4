"""A messages body that Hearth moved to a Claude of another generation: thinking, effort, a forced call, a last turn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.anthropic.codec import AnthropicCodec
from cloud.anthropic.fitting import fitted_body
from cloud.catalogue import known
from runtime.contract.codec import Fit
from runtime.contract.targets import Capabilities, Target
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from tests.cloud.anthropic.recorded import NOW
from tests.fakes.box import LEAVE, Box
from tests.fakes.upstream import Turn, engine_backend, told
from tests.runtime.dialects.openai_chat.test_fitting import vendor

HI: dict[str, Any] = {"role": "user", "content": "Hi"}
BODY: dict[str, Any] = {"model": "auto", "max_tokens": 20_000, "messages": [HI]}
BUDGET: dict[str, Any] = {"type": "enabled", "budget_tokens": 2000}
ADAPTIVE: dict[str, Any] = {"type": "adaptive"}
OFF = {"type": "disabled"}


def of(model: str) -> Capabilities:
    found = known("anthropic", model)
    assert found is not None
    return found


def sent(model: str, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body without what it always has, and the members that are named as lost."""
    body = BODY | members
    fit = fitted_body(body, of(model))
    fitted = {name: value for name, value in (body | dict(fit.put)).items() if name not in fit.drop}
    return {name: value for name, value in fitted.items() if BODY.get(name) != value}, fit.dropped


@pytest.mark.parametrize(
    ("model", "given", "fitted", "lost"),
    [
        # A budget for a model that takes levels.
        (
            "claude-opus-4-8",
            {"thinking": BUDGET},
            {"thinking": ADAPTIVE | {"display": "summarized"}, "output_config": {"effort": "low"}},
            (),
        ),
        (
            "claude-sonnet-5-5",
            {"thinking": BUDGET | {"budget_tokens": 16_000, "display": "omitted"}, "output_config": {"format": {}}},
            {"thinking": ADAPTIVE | {"display": "omitted"}, "output_config": {"format": {}, "effort": "high"}},
            (),
        ),
        # A level for a model that takes budgets, where it thinks at all.
        ("claude-haiku-4-5", {"thinking": ADAPTIVE}, {"thinking": BUDGET | {"budget_tokens": 10_000}}, ()),
        (
            "claude-haiku-4-5",
            {"thinking": ADAPTIVE, "output_config": {"effort": "low"}},
            {"thinking": BUDGET | {"budget_tokens": 2048}},
            (),
        ),
        (
            "claude-haiku-4-5",
            {"output_config": {"effort": "medium", "format": {"type": "json_schema"}}},
            {"thinking": BUDGET | {"budget_tokens": 8192}, "output_config": {"format": {"type": "json_schema"}}},
            (),
        ),
        ("claude-3-5-haiku", {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}, {}, ("reasoning_effort",)),
        ("claude-3-5-haiku", {"thinking": BUDGET}, {}, ("reasoning_effort",)),
        # An effort that the model does not have.
        (
            "claude-opus-4-6",
            {"thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}},
            {"thinking": ADAPTIVE, "output_config": {"effort": "high"}},
            ("reasoning_effort",),
        ),
        (
            "claude-opus-4-5",
            {"output_config": {"effort": "max"}},
            {"output_config": {"effort": "high"}},
            ("reasoning_effort",),
        ),
        # Thinking switched off, in each model's word.
        ("claude-sonnet-5-5", {"thinking": OFF}, {"thinking": {"type": "between_tools"}}, ()),
        (
            "claude-opus-5-5",
            {"thinking": OFF},
            {"thinking": ADAPTIVE | {"display": "summarized"}, "output_config": {"effort": "low"}},
            ("reasoning_effort",),
        ),
        ("claude-haiku-4-5", {"thinking": {"type": "between_tools"}}, {}, ()),
        # A budget that no longer fits under the limit of the answer.
        (
            "claude-haiku-4-5",
            {"thinking": BUDGET | {"budget_tokens": 30_000}},
            {"thinking": BUDGET | {"budget_tokens": 19_999}},
            (),
        ),
        (
            "claude-haiku-4-5",
            {"thinking": BUDGET, "output_config": {"effort": "low"}},
            {"thinking": BUDGET},
            ("reasoning_effort",),
        ),
    ],
)
def test_thinking_in_the_words_of_the_model(
    model: str, given: dict[str, Any], fitted: dict[str, Any], lost: tuple[str, ...]
) -> None:
    """A level, a budget or nothing, as the model takes it; what is weaker than asked for is named."""
    assert sent(model, **given) == (fitted, lost)


@pytest.mark.parametrize(
    ("model", "members"),
    [
        ("claude-opus-4-8", {"thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}}),
        ("claude-opus-4-8", {"thinking": ADAPTIVE | {"display": "omitted"}}),
        ("claude-opus-4-8", {"thinking": OFF, "output_config": {"effort": "high"}}),
        ("claude-opus-4-8", {"output_config": {"effort": "high"}}),
        ("claude-haiku-4-5", {"thinking": BUDGET, "temperature": 1}),
        ("claude-haiku-4-5", {"thinking": OFF}),
        ("claude-opus-4-5", {"output_config": {"effort": "medium"}}),
        ("claude-sonnet-5-5", {"thinking": {"type": "between_tools"}}),
        ("claude-opus-5-5", {"thinking": {"type": "spiral"}, "output_config": {"effort": "huge"}}),
        ("claude-opus-5", {"tools": [{"name": "f"}], "tool_choice": {"type": "tool", "name": "f"}}),
        ("claude-haiku-4-5", {"messages": [HI, {"role": "assistant", "content": "{"}]}),
    ],
)
def test_a_body_that_fits_keeps_its_bytes(model: str, members: dict[str, Any]) -> None:
    """Nothing is written anew where the model takes what its client wrote, or the form is not known."""
    assert fitted_body(BODY | members, of(model)) == Fit()


def test_a_budget_is_left_out_where_the_rest_excludes_it() -> None:
    """A forced call, and a tool's result behind a turn without thinking, which another model wrote."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "1"}
    turns = [HI, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert sent("claude-haiku-4-5", messages=turns, thinking=BUDGET) == ({"messages": turns}, ("reasoning_effort",))
    choice = {"tools": [{"name": "f"}], "tool_choice": {"type": "any"}}
    assert sent("claude-haiku-4-5", thinking=ADAPTIVE, **choice) == (choice, ("reasoning_effort",))


def test_a_call_that_cannot_be_forced_is_asked_for_in_words() -> None:
    """The instruction stands last, so that no cached prefix changes; the choice is named."""
    choice = {"type": "tool", "name": "look", "disable_parallel_tool_use": True}
    fitted, lost = sent("claude-opus-5-5", tools=[{"name": "look"}], tool_choice=choice)
    assert fitted["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert fitted["messages"][0] is HI
    assert "look" in fitted["messages"][1]["content"][0]["text"]
    assert lost == ("tool_choice",)


def test_a_last_turn_of_its_own_is_followed_by_the_users() -> None:
    """Models without prefill refuse a conversation that ends with their own turn."""
    turns = [HI, {"role": "assistant", "content": "The answer is"}]
    fitted, lost = sent("claude-opus-4-8", messages=turns)
    assert fitted["messages"][:2] == turns
    assert fitted["messages"][2]["role"] == "user"
    assert lost == ("messages",)


def test_a_client_that_names_its_model_keeps_its_members() -> None:
    """The vendor's own words reach it where they do not fit."""
    target = Target("t", "anthropic", "claude-opus-4-8", of("claude-opus-4-8"))
    body = BODY | {"thinking": BUDGET, "temperature": 0.5}
    codec = AnthropicCodec(lambda: NOW)
    assert codec.fit("anthropic_messages", body, target, pinned=True) == Fit()
    assert codec.fit("anthropic_messages", body, target, pinned=False).dropped == ("temperature",)


@pytest.mark.parametrize(("model", "kind"), [("auto", "adaptive"), ("first", "enabled")])
async def test_the_whole_way_of_a_moved_body(model: str, kind: str) -> None:
    """Under `auto` the vendor gets what it takes; by name it gets what the client wrote."""
    backend = vendor("anthropic", "claude-opus-4-8")
    box = Box(engine_backend((Turn(told("local")),)), [backend], LEAVE)
    ask: dict[str, Any] = {"max_tokens": 20_000, "thinking": BUDGET, "stream": True, "messages": [HI], "model": model}
    await box.live(box.ask(dialect=MESSAGES, **ask))
    assert backend.lanes[0].hop.bodies[0]["thinking"]["type"] == kind


_ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 4096) | st.sampled_from(["enabled", "adaptive", "any", "max", ""]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "effort", "budget_tokens", "name", "display"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["thinking", "output_config", "tool_choice", "max_tokens", "temperature"]), _ODD),
    st.sampled_from(["claude-opus-5-5", "claude-haiku-4-5", "claude-3-haiku", "claude-opus-4-5"]),
)
def test_odd_members_raise_nothing(members: dict[str, Any], model: str) -> None:
    """Their judge is the vendor."""
    fitted_body(BODY | members, of(model))
