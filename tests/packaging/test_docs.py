"""The documentation's site."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.docs.site import build
from tests.packaging.conftest import tools

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(700)]  # the tools are installed on first use


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """A dead link is one; and nothing is loaded from elsewhere."""
    tools("release-docs")
    build(tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file() and (tmp_path / "site" / "llms.txt").is_file()
    page = (tmp_path / "site" / "start" / "gpu-box.html").read_text(encoding="utf-8")
    assert "The first hour on a GPU box" in page
