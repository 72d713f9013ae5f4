"""A real Chromium on a whole door over fake upstreams. Skipped in words where there is no Chromium; in CI that fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.rig import ROOT, Rig, browsing

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
expect.set_options(timeout=20_000)  # a machine under load is slow, and a page that is right there waits for nothing
_WHY = "no Chromium is installed: `python -m scripts.browser` installs Debian's"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests; each has contexts of its own."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail(_WHY)
        pytest.skip(_WHY)
    async with async_playwright() as driver:
        made = await driver.chromium.launch(executable_path=CHROMIUM)
        yield made
        await made.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which checks a page's accessibility."""
    file = ROOT / "scripts" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip("axe-core is not installed: `python -m scripts.browser` does, where npm is there")
    return file.read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def rig(browser: Browser, tmp_path: Path) -> AsyncIterator[Rig]:
    """The door that the browser looks at."""
    async with browsing(browser, tmp_path) as made:
        yield made
        assert made.faults == [], made.faults
