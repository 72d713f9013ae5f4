"""Tools of a release, each in an environment of its own, made on first use."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_models.installer.install import UnfitBoxError
from local_models.installer.progress import StepFailedError
from scripts import apart


def tools(name: str) -> Path:
    """The programs of an environment. The test is skipped where it cannot be made."""
    try:
        return apart.python_environment(name) / "bin"
    except (UnfitBoxError, StepFailedError) as fault:
        pytest.skip(f"{name} cannot be installed: {fault}")


@pytest.fixture(scope="session")
def wheel_tools() -> Path:
    return tools("release-wheel")


@pytest.fixture(scope="session")
def image_tools() -> Path:
    return tools("release-image")
