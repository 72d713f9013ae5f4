"""What is set and does nothing yet is said."""

from __future__ import annotations

from runtime.settings import not_in_force
from runtime.settings.faults import dotted
from runtime.settings.pending import PENDING
from runtime.settings.shape import at
from tests.runtime.settings.readings import TARGET, settings

# The target of the readings in one line each, so that a key of it can stand before them.
CLOUD = (
    'targets.cloud.provider = "openai"\ntargets.cloud.model = "big"\ntargets.cloud.base_url = "http://127.0.0.1:9/v1"'
)


def test_defaults_are_not_spoken_of() -> None:
    """Only what somebody set and counts on."""
    assert not_in_force(settings()) == []
    assert not_in_force(settings("[escalation]\nkv_cache = 0.5\n[budget]")) == []


def test_each_pending_key_is_named_when_it_is_set() -> None:
    """In the file or in the environment, and at its default value too."""
    for pending in PENDING:
        key = dotted(tuple("cloud" if part == "*" else part for part in pending.key))
        text = {"routes": '["cloud"]', "targets": '"v1"'}.get(str(pending.key[0]), "0.5")
        in_file = settings(f"{key} = {text}\n{CLOUD}")
        in_env = settings(TARGET, {f"HEARTH_{key.upper().replace('.', '__')}": text.strip('"')})
        for found in (in_file, in_env):
            assert not_in_force(found) == [f"{key} is not in force in this version ({pending.instead})"]


def test_pending_keys_exist() -> None:
    """The list names keys of the model, not of a dream."""
    assert all(at(pending.key) is not None for pending in PENDING)


def test_a_target_nobody_can_call_yet_is_named() -> None:
    """Its provider is known, its wire is not spoken."""
    assert not_in_force(settings(TARGET), {"groq"}) == [
        "targets.cloud cannot be used in this version (openai is not spoken yet)"
    ]
    assert not_in_force(settings(TARGET), {"openai"}) == []
