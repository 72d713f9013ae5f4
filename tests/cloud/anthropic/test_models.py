"""The catalogue of Claude models agrees with the vendor's own SDK."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from importlib.resources import files
from typing import Any, get_args

import pytest

from cloud import prices
from cloud.catalogue import known, plain

MODELS: dict[str, Any] = tomllib.loads(files("cloud").joinpath("models.toml").read_text("utf-8"))["anthropic"]


def test_every_model_the_sdk_names_is_known() -> None:
    """Each is found by its id, or by its id without the date."""
    sdk = pytest.importorskip("anthropic.types.model")
    named = get_args(get_args(sdk.Model)[0])
    assert [name for name in named if known("anthropic", name) is None] == []


def test_models_retire_when_the_sdk_says() -> None:
    """The dates agree where the SDK has one."""
    sdk = pytest.importorskip("anthropic.resources.messages.messages")
    for name, told in sdk.DEPRECATED_MODELS.items():
        entry = known("anthropic", name)
        if entry is None:
            continue
        day, year = told.rsplit(", ", 1)
        wanted = datetime.strptime(f"{day.rstrip('stndrh')} {year}", "%B %d %Y").date()
        assert entry.retires_on == wanted, name


@pytest.mark.parametrize("name", [name for name in MODELS if name != "*"])
def test_every_entry_says_what_a_plan_needs(name: str) -> None:
    """Each entry has a context window, a longest answer, a price, and levels where it thinks by level."""
    can, price = known("anthropic", name), prices.price("anthropic", name)
    assert can is not None
    assert can.context_tokens is not None
    assert can.max_output_tokens is not None
    assert can.max_output_tokens < can.context_tokens
    assert can.cache_minimum is not None
    assert price is not None
    assert price.cache_read is not None
    assert price.cache_write is not None
    assert price.cache_read < price.input < price.cache_write < price.output
    assert (can.thinking == "level") <= bool(can.thinking_levels)
    assert can.retires_on is None or can.retires_on > date(2025, 1, 1)


def test_a_model_nobody_knows_is_taken_for_a_new_one() -> None:
    """Parameters that new models refuse are not sent to it."""
    can = plain("anthropic")
    assert known("anthropic", "claude-next-9") is None
    assert (can.sampling, can.forced_tools, can.prefill, can.mid_system) == (False, False, False, False)
