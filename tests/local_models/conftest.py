"""A state folder for each test of the fleet."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder of this test alone."""
    return tmp_path / "state"
