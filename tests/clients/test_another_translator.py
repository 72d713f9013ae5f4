"""Another translator's bodies and answers mean what Hearth's do, but for the differences that were reviewed.

It runs in the environment the benchmarks have it in, for minutes: requests and answers of our own, and recorded ones where
the recordings lie.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local_models.installer.install import UnfitBoxError
from scripts.differential.__main__ import compared
from scripts.differential.exceptions import Finding
from scripts.differential.run import Report
from tests.conftest import shared_folder

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def recordings() -> Path | None:
    folder = shared_folder(os.environ)
    return folder if folder.is_dir() else None


@pytest.fixture(scope="module")
def report(recordings: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Report:
    try:
        steps = list(compared(recordings, tmp_path_factory.mktemp("translator") / "log"))
    except UnfitBoxError as unfit:
        pytest.skip(str(unfit))
    return steps[-1][1]


def test_no_difference_is_unexplained(report: Report) -> None:
    """Each was looked at, and stands in the file of exceptions with its reason."""
    assert [told(found) for found in report.unexplained] == []
    assert all(count > 100 for (of, _), count in report.compared.items() if of == "request")


def test_every_exception_is_needed(report: Report, recordings: Path | None) -> None:
    """A rule that excuses nothing would excuse the next fault of ours."""
    if recordings is None:
        pytest.skip("some kinds of difference are known from recorded traffic alone: set HEARTH_SHARED")
    assert [(rule.of, rule.wire, rule.where, rule.why) for rule in report.unused] == []


def told(found: Finding) -> str:
    return f"{found.model}: {found.case}: {found.difference}"
