"""The policy that the README shows does what the README says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runtime.compose.effect import without_effect
from runtime.compose.targets import offline_planner
from runtime.contract.reasons import Reason
from runtime.life.planning import IdlePlanner
from runtime.routing.plan.plan import Plan
from runtime.settings.read import read
from tests.architecture.house import ROOT
from tests.runtime.routing.boxes import chat

KEYS = {"ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g"}
CLAUDE, GEMINI, LOCAL = "anthropic/claude-sonnet-5-5", "gemini/gemini-3.8-flash", "local/smollm2-135m"


@pytest.fixture(scope="module")
def policy() -> str:
    """The example under the README's heading."""
    _, _, section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The policy most people want")
    found = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def box(policy: str) -> IdlePlanner:
    return offline_planner(read(policy, None, KEYS).settings)


def planned(box: IdlePlanner, content: str | list[dict[str, Any]]) -> Plan:
    return box.explain("openai_chat", chat(content), {}).plan


def first(box: IdlePlanner, content: str | list[dict[str, Any]]) -> tuple[str, Reason]:
    made = planned(box, content)
    return made.candidates[0].target.label, made.reason


def test_it_is_a_few_lines_and_all_of_it_is_in_force(policy: str) -> None:
    """Nothing in it waits for a later version."""
    settings = read(policy, None, KEYS).settings
    assert without_effect(settings, {}) == []
    assert len([line for line in policy.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ],
)
def test_video_and_audio_go_to_gemini(box: IdlePlanner, part: dict[str, Any]) -> None:
    """Natively, as the client sent them."""
    target, _ = first(box, [{"type": "text", "text": "What is said here?"}, part])
    assert target == GEMINI


@pytest.mark.parametrize(
    "prompt", ["Write a Python function that sorts a list.", 'Why does `let x: i32 = "a";` fail in Rust?']
)
def test_code_goes_to_claude(box: IdlePlanner, prompt: str) -> None:
    """However easy it looks."""
    assert first(box, prompt) == (CLAUDE, Reason.TASK)


@pytest.mark.parametrize(
    "prompt",
    [
        "Classify the sentiment of this review as positive or negative: It broke after two days.",
        "Extract all dates from the following text: We met on 3 May and on 7 June. "
        + "The talks went on for long. " * 30,
    ],
)
def test_labelling_stays_whatever_it_scores(box: IdlePlanner, prompt: str) -> None:
    """The box alone is asked."""
    made = planned(box, prompt)
    assert [each.target.label for each in made.candidates] == [LOCAL] and made.reason is Reason.RULE


def test_everything_else_goes_by_its_score(box: IdlePlanner) -> None:
    """At and above the threshold to Claude, below it to the box."""
    seen: set[str] = set()
    for prompt in ("Hi", "What is the capital of France?", "Why is the sky blue?", PROOF, f"{PROOF} {PROOF}"):
        explained = box.explain("openai_chat", chat(prompt), {})
        leaves = explained.inputs.query.score >= 0.62
        expected = (CLAUDE, Reason.COMPLEXITY) if leaves else (LOCAL, Reason.DEFAULT)
        assert first(box, prompt) == expected
        seen.add(expected[0])
    assert seen == {CLAUDE, LOCAL}


PROOF = (
    "A ladder of 13 metres leans against a wall and its foot slides away at 0.4 metres per second. Derive the rate at "
    "which the enclosed area changes when the foot is 5 metres from the wall, justify each differentiation, compare it "
    "with the rate at 12 metres, and explain whether an extremum exists in between, with the exact distance, velocity "
    "and acceleration there."
)
