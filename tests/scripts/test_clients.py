"""The page about clients names the versions that are tested."""

from __future__ import annotations

import json

import pytest

from scripts.clients import PACKAGES
from scripts.install import ROOT
from scripts.lock import CLIENTS

PAGE = (ROOT / "docs" / "clients.md").read_text()
PYTHON = [wanted.split("==")[1] for wanted in CLIENTS.values()]
JAVASCRIPT = [
    version.removeprefix("npm:@openai/codex@").partition("-linux")[0]
    for package in sorted(PACKAGES.glob("*/package.json"))
    for kind in ("dependencies", "optionalDependencies")
    for name, version in json.loads(package.read_text()).get(kind, {}).items()
    if not name.startswith(("node-", "zod"))
]


@pytest.mark.parametrize("version", sorted({*PYTHON, *JAVASCRIPT}))
def test_a_pinned_version_stands_in_the_table(version: str) -> None:
    """A newer pin without a newer page fails."""
    assert version in PAGE


def test_every_client_is_locked() -> None:
    """Each has its own lock file, by hash."""
    for name in CLIENTS:
        assert "--hash=sha256:" in (ROOT / "scripts" / "locks" / f"{name}.txt").read_text()
