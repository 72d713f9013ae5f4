"""A judge that is one of the models whose answers it would judge is refused, by its name."""

from __future__ import annotations

import pytest

from runtime.settings.agree import disagreements

TREE = {
    "targets": {
        "claude": {"provider": "anthropic", "model": "claude-x"},
        "gpt": {"provider": "openai", "model": "gpt-y"},
    },
    "routes": {"default": ["claude"]},
    "aliases": {"smart": "claude"},
}


def faults(judge: str, **more: object) -> list[str]:
    found = disagreements({**TREE, "quality": {"judge": judge}, **more}, None, None)
    return [each.message for each in found if each.key == ("quality", "judge")]


@pytest.mark.parametrize(
    "judge", ["claude", "anthropic/claude-x", "smart", "anthropic/claude-z", "local", "local/smol"]
)
def test_an_arm_by_name_label_alias_or_provider_is_refused(judge: str) -> None:
    """Its name is in the sentence."""
    assert any((f'"{judge}" ' in fault and "judge" in fault) or "itself" in fault for fault in faults(judge))


@pytest.mark.parametrize(
    "more",
    [
        {"aliases": {"gpt-4o": "gpt"}},
        {"aliases": {"gpt-4o": "openai/gpt-y"}},
        {"aliases": {"gpt-4o": "openai/gpt-z"}},
        {"escalation": {"prefer": "gpt"}},
        {"rules": [{"when": {"task": "code"}, "to": ["gpt"]}]},
    ],
)
def test_a_judge_that_clients_are_answered_by_is_refused(more: dict[str, object]) -> None:
    """By an alias that means it or another model of its provider, by preference, or by a rule."""
    assert any('"gpt" is ' in fault for fault in faults("gpt", **more))


def test_a_target_beside_those_that_answer_may_judge() -> None:
    """Without a default route every target answers, and it may not."""
    assert faults("gpt") == faults("openai/gpt-y") == []
    assert len(faults("gpt", routes={})) == 1
    assert faults("gpt", aliases={"smart": "claude", "own": "local"}, escalation={"prefer": "local"}) == []
