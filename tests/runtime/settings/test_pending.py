"""What is set and does nothing yet is said."""

from __future__ import annotations

from runtime.settings import not_in_force
from runtime.settings.pending import PENDING
from runtime.settings.shape import at
from tests.runtime.settings.readings import TARGET, settings


def test_defaults_are_not_spoken_of() -> None:
    """Only what somebody set and counts on."""
    assert not_in_force(settings()) == []
    assert not_in_force(settings("[escalation]\nkv_cache = 0.5\n[budget]")) == []


def test_each_pending_key_is_named_when_it_is_set() -> None:
    """In the file or in the environment, and at its default value too."""
    for pending in PENDING:
        dotted = ".".join(map(str, pending.key))
        section, key = map(str, pending.key)
        text = '["cloud"]' if section == "routes" else "0.5"
        in_file = settings(f"{TARGET}[{section}]\n{key} = {text}")
        in_env = settings(TARGET, {f"HEARTH_{section.upper()}__{key.upper()}": text})
        for found in (in_file, in_env):
            (sentence,) = not_in_force(found)
            assert sentence == f"{dotted} is not in force in this version ({pending.instead})"


def test_pending_keys_exist() -> None:
    """The list names keys of the model, not of a dream."""
    assert all(at(pending.key) is not None for pending in PENDING)


def test_a_target_nobody_can_call_yet_is_named() -> None:
    """Its provider is known, its wire is not spoken."""
    assert not_in_force(settings(TARGET), {"groq"}) == [
        "targets.cloud cannot be used in this version (openai is not spoken yet)"
    ]
    assert not_in_force(settings(TARGET), {"openai"}) == []
