"""A target's facts go by who answers at its address: the vendor itself, at a region's host too, or another server."""

from __future__ import annotations

import pytest

from cloud.backend import Account, connect, facts, is_vendors
from cloud.client import CloudClient
from tests.cloud.anthropic.recorded import NOW
from tests.fakes.guard import GUARD


@pytest.mark.parametrize(
    ("base_url", "vendors"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://EU.api.openai.com:443/v1/", True),
        ("http://us.api.openai.com/v1", True),
        ("https://notopenai.com/v1", False),
        ("https://openai.com.example.com/v1", False),
        ("https://openai.com@example.com/v1", False),
        ("https://example.com/api.openai.com/v1", False),
        ("https://mine.openai.azure.com/openai/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
def test_openais_own_hosts_keep_their_facts(base_url: str | None, vendors: bool) -> None:
    """They speak the responses wire and know the role `developer`; no other server is expected to."""
    assert is_vendors("openai", base_url) is vendors
    target = facts("t", Account("openai", base_url, "key"), "gpt-6-luna", None, None)
    assert ("openai_responses" in target.dialects) is vendors
    codec = connect(CloudClient({}), target, Account("openai", base_url, "key"), GUARD, lambda: NOW).codec
    assert codec.fit("openai_chat", {"messages": []}, target, pinned=True).developer is vendors


@pytest.mark.parametrize("base_url", [None, "https://eu.api.openai.com/v1", "https://example.com/v1"])
def test_plain_capabilities_go_by_the_host(base_url: str | None) -> None:
    """A model in no catalogue takes completions and embeddings only where a server of one's own may serve it."""
    usual = facts("t", Account("openai", base_url, "key"), "in-no-catalogue", None, None).capabilities
    elsewhere = base_url == "https://example.com/v1"
    assert (usual.completions, usual.embeddings) == (elsewhere, elsewhere)
