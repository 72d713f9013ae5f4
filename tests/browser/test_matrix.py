"""Every page in every state, scheme and size: nothing overflows, axe-core finds no fault, and a picture is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.furnished import furnished
from tests.browser.rig import PICTURES, browsing, faults_seen
from tests.browser.scenes import (
    PAGES,
    SCHEMES,
    lose,
    pictures,
    with_content,
    with_faults,
    with_fleet,
    with_quality,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

STATES = ("full", "empty", "error", "lost")
SIZES = {"narrow": (320, 640), "phone": (390, 844), "laptop": (1280, 800), "wide": (1920, 1080)}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("path", (*PAGES, "decision"), ids=lambda path: path or "overview")
async def test_each_page_in_each_state(browser: Browser, tmp_path: Path, axe: str, path: str, state: str) -> None:
    """In both schemes and four sizes."""
    full = state in ("full", "lost")
    faults = list[str]()
    async with furnished(browser, tmp_path) if full else browsing(browser, tmp_path, clouds=[]) as rig:
        page = await rig.tab(viewport={"width": 1280, "height": 800})
        if full:
            await with_quality(page)
            await with_fleet(page)
        if state == "error":
            await with_faults(page)
        hash = f"decisions/{rig.shown_decision}" if path == "decision" else path
        await page.goto(f"{rig.door.url}/#key=root-key-of-the-tests")
        await page.evaluate("hash => { location.hash = '#/' + hash; }", hash)
        await page.locator(".connection").get_by_text("live").wait_for()
        await expect(page.locator("main")).not_to_contain_text("Reading")
        await with_content(page, path)
        if state == "lost":
            await lose(rig, page)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            for size, (width, height) in SIZES.items():
                await page.set_viewport_size({"width": width, "height": height})
                await page.wait_for_timeout(250)
                name = f"{path or 'overview'}-{state}-{scheme}-{size}"
                await page.screenshot(path=pictures(PICTURES, name), full_page=True)
                faults += [f"{scheme} {size}: {each}" for each in await faults_seen(page, axe)]
        assert not faults + rig.faults, "\n".join(faults + rig.faults)
