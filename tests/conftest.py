"""Fixtures for all tests: the folder of recordings and routing data; an environment without the user's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Variables that say where things are. All others of Hearth's would change what it does.
KEPT = frozenset({"HEARTH_SHARED", "HEARTH_ENGINE_PYTHON"})
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"})


def shared_folder(env: Mapping[str, str]) -> Path:
    """Where the recordings and routing data lie: $HEARTH_SHARED, else `shared` beside the checkout."""
    return Path(env.get("HEARTH_SHARED") or ROOT.parent / "shared")


def foreign(name: str) -> bool:
    """Whether a variable would change what Hearth does."""
    return (name.startswith("HEARTH_") and name not in KEPT) or name.endswith("_API_KEY") or name in PROXIES


def pytest_xdist_auto_num_workers() -> int:
    """Workers of `-n auto`: three for two cores, because a third of the fast tests' time is spent waiting for processes."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings and routing data; the test is skipped where it is absent."""
    folder = shared_folder(os.environ)
    if not folder.is_dir():
        pytest.skip(f"the recordings and routing data are not at {folder}: set HEARTH_SHARED to where they are")
    return folder


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the user's settings, keys or proxies, or writes to the user's state folder."""
    for name in filter(foreign, list(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEARTH_STATE_DIR", str(tmp_path_factory.mktemp("state")))
