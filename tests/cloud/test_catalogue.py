"""Capabilities in the catalogue."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from cloud.backend import plain_capabilities


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


def test_the_catalogue_has_no_prices() -> None:
    """They stand in the price lists alone: two tables would disagree one day."""
    text = files("cloud").joinpath("models.toml").read_text("utf-8")
    assert not re.search(r"^\s*(price|input|output|cache_read|cache_write)\s*=", text, re.MULTILINE)
