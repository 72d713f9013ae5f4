"""Keys with limits as the vendors' own SDKs meet them: the class they raise, the headers they read, the wait they keep."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from scripts import clients
from tests.clients.clients import PROGRAMS
from tests.clients.serving import run, serving

PREFIX = {"openai": "x-ratelimit-{}-requests", "anthropic": "anthropic-ratelimit-requests-{}"}
UNPAID = {"openai": "APIStatusError", "anthropic": "PaymentRequiredError"}


@pytest.mark.clients
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_limits_and_budgets_are_what_the_sdk_takes_them_for(tmp_path: Path, wire: str) -> None:
    """A full minute: its own error for it, after the wait that Retry-After asks for. A spent budget is not tried again."""
    with serving(tmp_path) as served:
        admin = (tmp_path / "state" / "admin.key").read_text().strip()

        def created(**terms: Any) -> str:
            call = urllib.request.Request(
                f"{served.url}/hearth/keys",
                json.dumps(terms).encode(),
                {"x-api-key": admin, "content-type": "application/json"},
            )
            with urllib.request.urlopen(call, timeout=10) as answer:
                return str(json.load(answer)["secret"])

        limited = created(name="limited", scopes=["generate"], requests_per_minute=1)
        spent = created(name="spent", scopes=["generate"], daily_usd=1e-6)
        program = (clients.python_client(wire), PROGRAMS / "limits.py")
        told = run((*program, wire, served.url, limited, spent), tmp_path, {})
    found = json.loads(told.splitlines()[-1])
    name = PREFIX[wire]
    assert (found["good"][name.format("limit")], found["good"][name.format("remaining")]) == ("1", "0")
    full = found["limited"]
    assert (full["class"], full["status"], full["headers"][name.format("remaining")]) == ("RateLimitError", 429, "0")
    assert 0 < float(full["wait"]) <= 60
    assert len(full["slept"]) == 1 and abs(full["slept"][0] - float(full["wait"])) <= 2
    assert (found["spent"]["class"], found["spent"]["status"], found["spent"]["slept"]) == (UNPAID[wire], 402, [])
