"""Prometheus's programs. The tests are skipped in words where they are missing; in CI that fails."""

from __future__ import annotations

import os

import pytest

from scripts.prometheus import program


def _found(name: str) -> str:
    found = program(name)
    if found is None:
        why = f"{name} is not here: `python -m scripts.prometheus` unpacks Debian's"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return _found("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _found("prometheus")
