"""The pictures of docs/screenshots.md: every page of a box in use, in both colour schemes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from scripts.docs.pictures import TAKEN
from tests.browser.furnished import furnished
from tests.browser.rig import ADMIN
from tests.browser.scenes import PAGES, SCHEMES, with_content, with_fleet, with_quality

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

MOST_BYTES = 1_500_000  # of all pictures: they are part of every checkout
QUALITY = 70
HEIGHT = 800
HEIGHTS = {"": 1640, "decision": 1000, "playground": 1240, "engine": 1000}  # of pages that have more to show


async def test_the_pictures_are_taken(browser: Browser, tmp_path: Path) -> None:
    """Each shows its page whole above the fold, without a fault of the console, and all of them are small."""
    taken = dict[str, bytes]()
    async with furnished(browser, tmp_path) as rig:
        page = await rig.tab(viewport={"width": 1280, "height": HEIGHT})
        await with_quality(page, "The total is 1 240.50 euros.")
        await with_fleet(page)
        for path in (*PAGES, "decision"):
            await page.goto(f"{rig.door.url}/#key={ADMIN}")
            shown = f"decisions/{rig.shown_decision}" if path == "decision" else path
            await page.evaluate("path => { location.hash = '#/' + path; }", shown)
            await page.locator(".connection").get_by_text("live").wait_for()
            await page.locator("main h1").wait_for()
            await expect(page.locator("main")).not_to_contain_text("Reading")
            await with_content(page, path)
            if path == "what-if":
                await page.locator("summary", has_text="[escalation]").click()
            await page.mouse.move(0, 0)
            await page.set_viewport_size({"width": 1280, "height": HEIGHTS.get(path, HEIGHT)})
            await page.evaluate("scrollTo(0, 0)")
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                await page.wait_for_timeout(500)  # the charts are painted anew
                taken[f"{path or 'overview'}-{scheme}"] = await webp(page)
        assert rig.faults == []
    assert sum(map(len, taken.values())) <= MOST_BYTES
    TAKEN.mkdir(parents=True, exist_ok=True)
    for name, picture in taken.items():
        (TAKEN / f"{name}.webp").write_bytes(picture)


async def webp(page: Page) -> bytes:
    """What the page shows."""
    cdp = await page.context.new_cdp_session(page)
    shot = await cdp.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(shot["data"])
