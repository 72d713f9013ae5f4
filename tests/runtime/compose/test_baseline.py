"""The target that savings are measured against."""

from __future__ import annotations

import pytest

from runtime.compose.baseline import tally_of
from runtime.compose.targets import targets
from runtime.settings.read import read

TARGETS = """
[targets.gpt]
provider = "openai"
model = "house-model"
price = { input = 1.0, output = 2.0 }
[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
key = "env:NOT_SET"
"""


@pytest.mark.parametrize(
    ("more", "label", "input_usd"),
    [
        ("", "openai/house-model", 1.0),
        ('[routes]\ndefault = ["claude", "gpt"]\n', "anthropic/claude-sonnet-5-5", None),
        ('[budget]\nbaseline = "claude"\n', "anthropic/claude-sonnet-5-5", None),
        ('[budget]\nbaseline = "gemini/gemini-3.8-flash"\n', "gemini/gemini-3.8-flash", None),
    ],
)
def test_the_baseline_is_the_named_target_or_the_first_of_the_default_route(
    more: str, label: str, input_usd: float | None
) -> None:
    """Also one whose key is not set, and a model that is not configured: with its price and the day of that."""
    settings = read(TARGETS + more, None, {"OPENAI_API_KEY": "k"}).settings
    tally = tally_of(settings, targets(settings))
    assert tally.baseline is not None and not tally.unmeasured
    assert tally.baseline.label == label
    if input_usd is None:
        assert tally.baseline.price.input > 0 and tally.baseline.price.date
    else:
        assert tally.baseline.price.input == input_usd


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("", "no target is configured"),
        (
            f'{TARGETS}[budget]\nbaseline = "openai/nobody-prices-this"\n',
            "no price is known for openai/nobody-prices-this",
        ),
        (f'{TARGETS}[budget]\nbaseline = "local"\n', "no price is known for local"),
    ],
)
def test_without_a_price_nothing_is_compared_and_the_reason_is_said(settings: str, why: str) -> None:
    """No saving is shown rather than a guess."""
    read_settings = read(settings, None, {"OPENAI_API_KEY": "k"}).settings
    tally = tally_of(read_settings, targets(read_settings))
    assert (tally.baseline, tally.unmeasured) == (None, why)
