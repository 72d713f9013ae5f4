"""Sentences about the configured targets."""

from __future__ import annotations

import pytest

from runtime.compose.targets import leaving
from runtime.settings.read import read

TARGETS = '[targets.a]\nprovider = "openai"\nmodel = "m"\n[targets.b]\nprovider = "anthropic"\nmodel = "n"\n'
KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}


@pytest.mark.parametrize(
    ("settings", "keys", "says"),
    [
        (TARGETS, KEYS, "scores 0.62 or more leaves for a;"),
        (f'{TARGETS}[routes]\ncomplex = ["b"]\n', KEYS, "leaves for b;"),
        (
            f"{TARGETS}[escalation]\ncomplexity = {{ default = 0.7, code = 0.5 }}\n",
            KEYS,
            "scores 0.7, 0.5 for code or more",
        ),
        (TARGETS, {"ANTHROPIC_API_KEY": "k"}, "leaves for b;"),
        (TARGETS, {}, ""),
        (f"{TARGETS}[escalation]\ncomplexity = 1\n", KEYS, ""),
        (f'{TARGETS}[escalation]\nmode = "advise"\n', KEYS, ""),
        ("", KEYS, ""),
    ],
)
def test_what_leaves_for_its_score_is_said_where_something_can(settings: str, keys: dict[str, str], says: str) -> None:
    """Threshold and first target; nothing without a target that can be called."""
    found = leaving(read(settings, None, keys).settings)
    assert (says in found[0]) if says else not found
