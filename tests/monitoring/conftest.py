"""Prometheus's programs and a collector. The tests are skipped in words where they are missing; in CI that fails."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import NoReturn

import pytest

from local_models.installer.install import UnfitBoxError
from local_models.installer.progress import StepFailedError
from scripts import apart
from scripts.prometheus import program


def _missing(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def _found(name: str) -> str:
    found = program(name)
    return (
        found if found is not None else _missing(f"{name} is not here: `python -m scripts.prometheus` unpacks Debian's")
    )


@pytest.fixture(scope="session")
def promtool() -> str:
    return _found("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _found("prometheus")


@pytest.fixture(scope="session")
def rotel() -> str:
    """A collector of OTLP, in an environment of its own, made on first use."""
    try:
        folder = apart.python_environment("telemetry-rotel")
    except (UnfitBoxError, StepFailedError) as fault:
        _missing(f"the collector cannot be installed: {fault}")
    at = sysconfig.get_path("platlib", "venv", {"base": str(folder), "platbase": str(folder)})
    return str(Path(at) / "rotel" / "rotel-agent")
