"""Prices in the catalogue."""

from __future__ import annotations

import pytest

from cloud.backend import plain_capabilities
from cloud.catalogue import known
from runtime.contract.targets import Price


@pytest.mark.parametrize(
    ("provider", "model", "above", "short", "long"),
    [
        ("openai", "gpt-6.1-sol", 272_000, Price(2.0, 10.0, 0.1, 2.5), Price(4.0, 15.0, 0.2, 5.0)),
        ("openai", "gpt-6-luna", 272_000, Price(0.1, 0.5, 0.01, 0.125), Price(0.2, 0.75, 0.02, 0.25)),
        ("anthropic", "claude-haiku-5-5", 100_000, Price(0.1, 0.5, 0.01, 0.125), Price(0.5, 2.5, 0.05, 0.625)),
        ("gemini", "gemini-3.1-pro-preview", 200_000, Price(2.0, 12.0, 0.2), Price(4.0, 18.0, 0.4)),
        ("gemini", "gemini-2.5-pro", 200_000, Price(1.25, 10.0, 0.125), Price(2.5, 15.0, 0.25)),
    ],
)
def test_prices_of_long_prompts(provider: str, model: str, above: int, short: Price, long: Price) -> None:
    """They are the vendors'; the price holds for the whole request."""
    found = known(provider, model)
    assert found is not None and found.price is not None
    at, beyond = found.price.of(above), found.price.of(above + 1)
    assert (at.input, at.output, at.cache_read, at.cache_write) == (
        short.input,
        short.output,
        short.cache_read,
        short.cache_write,
    )
    assert [beyond.input, beyond.output] == pytest.approx([long.input, long.output])
    assert (beyond.cache_read, beyond.cache_write) == pytest.approx((long.cache_read, long.cache_write))


def test_most_prices_are_the_same_for_every_prompt() -> None:
    """They have no price for long prompts."""
    found = known("anthropic", "claude-sonnet-5-5")
    assert found is not None and found.price is not None
    assert found.price.of(900_000) is found.price


@pytest.mark.parametrize(
    ("provider", "model", "own_server", "embeds"),
    [
        ("openai", "gpt-4o", False, False),
        ("openai", "gpt-4o", True, False),
        ("openai", "o3-mini", True, False),
        ("openai", "gpt-6-luna", True, False),
        ("openai", "text-embedding-3-small", False, True),
        ("together", "BAAI/bge-embed", False, True),
        ("openai", "bge-m3", True, True),
        ("groq", "nomic-embed-text", False, False),
        ("together", "llama", False, False),
    ],
)
def test_models_that_embed(provider: str, model: str, own_server: bool, embeds: bool) -> None:
    """A chat model is never asked for embeddings; an embedding model of the vendor can be."""
    assert plain_capabilities(provider, model, own_server=own_server).embeddings is embeds
