"""Settings without effect yet are named when they are set."""

from __future__ import annotations

import re

import pytest

from runtime.settings import not_in_force
from runtime.settings.pending import PENDING, Pending
from runtime.settings.shape import at
from tests.runtime.settings.readings import TARGET, settings
from tests.runtime.settings.test_commented import KEYS, uncommented


def test_defaults_are_not_spoken_of() -> None:
    """Only keys that somebody set."""
    assert not_in_force(settings()) == []
    assert not_in_force(settings("[escalation]\nkv_cache = 0.5\n[budget]")) == []


def test_each_pending_key_is_named_when_it_is_set() -> None:
    """At its default value too: the file that shows every key names all of them."""
    every = settings(uncommented(), KEYS)
    named = [line.split(" is not in force")[0] for line in not_in_force(every)]
    keys = [tuple(re.findall(r"[\w-]+", name)) for name in named]
    for entry in PENDING:
        assert any(entry.covers(key) for key in keys), entry.key


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key waits for its feature."""
    monkeypatch.setattr("runtime.settings.pending.PENDING", (Pending(("autoscale", "*"), "nothing is scaled"),))


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("HEARTH_AUTOSCALE__MODE", "act", "autoscale.mode"),
    ],
)
def test_a_pending_key_of_the_environment_is_named(variable: str, value: str, key: str) -> None:
    """Lists and tables are JSON there; a single text needs none."""
    found = not_in_force(settings(env={variable: value}))
    assert found
    assert found[0].startswith(f"{key} is not in force in this version (")


def test_pending_keys_exist() -> None:
    """The list names keys of the model."""
    for pending in PENDING:
        key = tuple(0 if part == "*" and pending.key[0] == "rules" else part for part in pending.key)
        if key[0] in ("models", "targets", "rules"):
            assert at(key[:2]) is not None
        fixed = key[:-1] if key[-1] == "*" else key
        assert at(fixed) is not None, pending.key


def test_a_target_nobody_can_call_yet_is_named() -> None:
    """Its provider is known, its wire is not spoken."""
    assert not_in_force(settings(TARGET), {"groq"}) == [
        "targets.cloud cannot be used in this version (openai is not spoken yet)"
    ]
    assert not_in_force(settings(TARGET), {"openai"}) == []
