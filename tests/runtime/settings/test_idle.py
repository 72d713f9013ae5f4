"""Values that others leave without effect are named."""

from __future__ import annotations

import pytest

from runtime.settings.idle import idle
from tests.runtime.settings.readings import settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("[escalation]\ncomplexity = { extraction = 0.5 }", ["escalation.complexity.extraction has no effect"]),
        ("[escalation]\ncloud_share = 0.2\ncomplexity = 1", ["escalation.cloud_share has no effect"]),
        ("[escalation]\ncloud_share = 0.2\ncomplexity = { default = 1, code = 0.5 }", []),
        ("[engine]\nwatts = 300", ["engine.watts has no effect without engine.kwh_usd"]),
        ("[engine]\nkwh_usd = 0.3", ["engine.kwh_usd has no effect without engine.watts"]),
        ("[engine]\nwatts = 300\nkwh_usd = 0.3", []),
        ("[engine]\nwatts = 300\ngpu_hour_usd = 2", ["engine.watts has no effect beside engine.gpu_hour_usd"]),
    ],
)
def test_a_value_that_another_leaves_without_effect_is_named(text: str, words: list[str]) -> None:
    """A sentence each, that begins with the key."""
    assert [line.partition(":")[0] for line in idle(settings(text))] == words
