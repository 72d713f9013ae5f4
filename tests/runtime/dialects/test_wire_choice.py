"""Requests that cannot take the wire they came on."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.contract.messages import Request, Thinking, Tool
from runtime.contract.targets import Capabilities
from runtime.dialects.wire_choice import must_translate, wire_for

PICKY = Capabilities(tools_over="openai_responses", thinking_off="none", thinks_unasked=True)
STUBBORN = Capabilities(tools_over="openai_responses", thinks_unasked=True)
CALM = Capabilities(tools_over="openai_responses", thinking_off="none")  # thinks only when told to
TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("dialect", "body", "can", "leaves"),
    [
        ("openai_chat", {"tools": TOOLS}, PICKY, True),
        ("openai_chat", {"functions": [{"name": "f"}]}, PICKY, True),
        ("openai_chat", {"tools": TOOLS, "reasoning_effort": "low"}, PICKY, True),
        ("openai_chat", {"tools": TOOLS, "reasoning_effort": "none"}, PICKY, False),
        ("openai_chat", {"tools": TOOLS, "reasoning": {"effort": "none"}}, PICKY, False),
        ("openai_chat", {"tools": TOOLS, "reasoning_effort": "none"}, STUBBORN, True),
        ("openai_chat", {"tools": TOOLS}, Capabilities(), False),
        ("openai_chat", {"tools": []}, PICKY, False),
        ("openai_chat", {"tools": TOOLS}, CALM, False),
        ("openai_chat", {"tools": TOOLS, "reasoning_effort": "low"}, CALM, True),
        ("openai_chat", {"tools": TOOLS, "reasoning": {"max_tokens": 2000}}, CALM, True),
        ("openai_chat", {"tools": TOOLS, "reasoning": {"max_tokens": 0}}, PICKY, False),
        ("openai_responses", {"tools": TOOLS}, PICKY, False),
    ],
)
def test_a_body_leaves_its_wire_for_tools_alone(
    dialect: str, body: dict[str, Any], can: Capabilities, leaves: bool
) -> None:
    """And not if reasoning is off, by a value the model knows."""
    assert must_translate(dialect, body, can) is leaves


def test_a_request_takes_the_wire_that_can_carry_it() -> None:
    """The usual one, but for tools while the model thinks."""
    plain = Request("m", ())
    tools = Request("m", (), tools=(Tool("f"),))
    quiet = Request("m", (), tools=(Tool("f"),), thinking=Thinking("none"))
    assert [wire_for(each, PICKY, "usual") for each in (plain, tools, quiet)] == ["usual", "openai_responses", "usual"]
    assert wire_for(quiet, STUBBORN, "usual") == "openai_responses"
    assert wire_for(tools, Capabilities(), "usual") == "usual"


@pytest.mark.parametrize(
    ("thinking", "wire"),
    [
        (Thinking(budget=2000), "openai_responses"),
        (Thinking(budget=1, show=True), "openai_responses"),
        (Thinking("low"), "openai_responses"),
        (Thinking(budget=0), "usual"),
        (Thinking(show=True), "usual"),
    ],
)
def test_a_budget_asks_for_reasoning_like_an_effort(thinking: Thinking, wire: str) -> None:
    """A budget becomes an effort, which such a model refuses beside tools on chat."""
    assert wire_for(Request("m", (), tools=(Tool("f"),), thinking=thinking), CALM, "usual") == wire
