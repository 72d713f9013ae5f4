"""Figures of the dashboard in a real Chromium, with their bounds: first paint, the eighth tab, a page under many decisions."""

from __future__ import annotations

import asyncio
import os
import statistics
import time

import pytest
from playwright.async_api import expect

from tests.browser.rig import ADMIN, Rig, made_decision
from tests.browser.scenes import with_history

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="session"),
]

SECONDS = float(os.environ.get("BROWSER_SOAK_S", "300"))
IDLE = """
window.stalled = 0;
let last = performance.now();
setInterval(() => {
  window.stalled = Math.max(window.stalled, performance.now() - last - 20);
  last = performance.now();
}, 20);
"""
WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
}).observe({ type: "longtask" });
"""


async def test_the_first_paint_of_a_fresh_context(rig: Rig) -> None:
    """The median of five is at most 1.2 s."""
    with_history(rig)
    paints = []
    for _ in range(5):
        page = await rig.tab(viewport={"width": 1280, "height": 800})
        await page.goto(f"{rig.door.url}/#key={ADMIN}")
        await expect(page.locator(".verdict")).to_be_visible()
        paints.append(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        await page.context.close()
    print(f"first paint: {[round(each) for each in paints]} ms")
    assert statistics.median(paints) <= 1200


async def test_the_eighth_tab_of_a_browser(rig: Rig) -> None:
    """It shows the state within 3 s while seven others are open in the background."""
    for number in range(8):
        began = time.monotonic()
        page = await rig.tab()
        await page.goto(f"{rig.door.url}/#key={ADMIN}")
        await expect(page.locator(".verdict")).to_contain_text("YES")
        took = time.monotonic() - began
        await page.evaluate(
            """() => {
              Object.defineProperty(document, "hidden", { value: true, configurable: true });
              document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        print(f"tab {number + 1}: {took:.2f} s")
    assert took <= 3


@pytest.mark.parametrize(
    ("path", "seconds"), [("", SECONDS), ("decisions", SECONDS / 5)], ids=("overview", "decisions")
)
async def test_a_page_under_fifty_decisions_a_second(rig: Rig, path: str, seconds: float) -> None:
    """No task longer than 200 ms, at most 1,500 nodes, and at most 5 MB more heap. BROWSER_SOAK_S: seconds, 300 by default.

    A task takes longer on a machine that lets even an idle page wait: that wait is allowed besides.
    """
    idle = await rig.tab(viewport={"width": 200, "height": 200})
    page = await rig.tab(viewport={"width": 1280, "height": 800})
    await page.add_init_script(WATCH)
    await page.goto(f"{rig.door.url}/#key={ADMIN}")
    await page.evaluate("path => { location.hash = '#/' + path; }", path)
    await expect(page.locator(".connection")).to_contain_text("live")
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("HeapProfiler.enable")

    async def decided(seconds: float) -> None:
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            for _ in range(5):
                number += 1
                made = made_decision(0, id=f"dec_{time.time_ns():016x}{number:06d}")
                for listener in rig.door.desk.settled:
                    listener(made)
            await asyncio.sleep(0.1)

    async def heap() -> float:
        await cdp.send("HeapProfiler.collectGarbage")
        used = await cdp.send("Runtime.getHeapUsage")
        return float(used["usedSize"]) / 1e6

    await decided(20)
    before = await heap()
    await page.evaluate("window.longest = 0")
    await idle.evaluate(IDLE)
    await decided(seconds)
    longest, nodes = await page.evaluate("[window.longest, document.querySelectorAll('*').length]")
    after, stalled = await heap(), await idle.evaluate("window.stalled")
    print(
        f"{path or 'overview'}, {seconds:.0f} s: longest task {longest:.0f} ms, {nodes} nodes; an idle page: {stalled:.0f}"
    )
    print(f"heap {before:.1f} to {after:.1f} MB")
    assert longest <= 200 + stalled and nodes <= 1500 and after - before <= 5
    await expect(page.locator(".connection")).to_contain_text("live")
