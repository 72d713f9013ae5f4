"""The browser and the server of a test: pages that are watched for every error and every breach of their policy."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from playwright.async_api import Browser, BrowserContext, Page

from runtime.compose.report import ProcessFacts
from runtime.compose.report import report as report_of
from runtime.life.desk import Desk
from runtime.record.decisions import Considered, Decision, Exchange, floor_of
from runtime.server.pages.catalogue import CatalogueModel
from runtime.server.status import StatusReport
from runtime.settings import Settings
from tests.fakes.door import Door, Setup, opened
from tests.fakes.upstream import FakeBackend, Turn, cloud, engine_backend, told

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "build" / "screenshots"
ADMIN = "root-key-of-the-tests"
FILE = """\
# the settings of a test
[server]
port = 8000

[escalation]
ttft_ms = 2000  # as measured here

[targets.far]
provider = "openai"
model = "far-model"
base_url = "http://127.0.0.1:9/v1"
"""

_WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
_TOO_WIDE = """(() => {
  if (document.documentElement.scrollWidth <= innerWidth) return [];
  const inside = (each) => each.parentElement && (each.parentElement.closest(".scroll, pre, .log, .plot") !== null);
  const wide = [...document.querySelectorAll("body *")].filter(
    (each) => each.getBoundingClientRect().right > innerWidth + 0.5 && !inside(each));
  return [`wider than ${innerWidth}: ${wide.slice(-3).map((each) => each.outerHTML.slice(0, 160))}`];
})()"""


@dataclasses.dataclass
class Rig:
    """changes: what `report` shows other than it is. faults: console errors, page errors and policy breaches of every page.

    folder: of the server's state. catalogue: the models that `/hearth/models` lists. shown_decision: one of many parts.
    """

    door: Door
    browser: Browser
    context: BrowserContext
    changes: dict[str, Any]
    folder: Path
    catalogue: list[CatalogueModel]
    shown_decision: str = "dec_0"
    faults: list[str] = dataclasses.field(default_factory=list)

    async def page(self, path: str = "", *, key: str | None = ADMIN, wait: str = "main h1", **options: Any) -> Page:
        """A page, once it shows what is waited for. path: of the route behind the hash. key: signed in with it."""
        page = await self.tab(**options)
        hash = f"#key={key}" if key else f"#/{path}"
        await page.goto(f"{self.door.url}/{hash}")
        if key and path:
            await page.evaluate("path => { location.hash = '#/' + path; }", path)
        await page.wait_for_selector(wait)
        return page

    async def tab(self, **options: Any) -> Page:
        """An empty page that is watched. options: of a context of its own; without any it is a tab of the shared one."""
        context = await self.browser.new_context(**options) if options else self.context
        await context.add_init_script(_WATCH)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"page: {error}"))
        page.on("console", lambda said: self._heard(said.type, said.text))
        return page

    def _heard(self, kind: str, text: str) -> None:
        # A refused request is a line of the browser's own, and tests make some on purpose.
        if kind == "error" and "Failed to load resource" not in text and "net::ERR_" not in text:
            self.faults.append(f"{kind}: {text}")


async def faults_seen(page: Page, axe: str) -> list[str]:
    """What is wider than the page, what is shown and was never set, and what axe-core finds. axe: its source."""
    wide = await page.evaluate(_TOO_WIDE)
    shown = await page.locator("body").inner_text()
    unset = [word for word in ("undefined", "NaN", "[object", "null") if word in shown]
    if not await page.evaluate("window.axe !== undefined"):
        await page.evaluate(axe)
    found = await page.evaluate(
        "axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 160))}`))"
    )
    return [*wide, *unset, *found]


@contextlib.asynccontextmanager
async def browsing(
    browser: Browser,
    folder: Path,
    *,
    local: FakeBackend | None = None,
    clouds: Sequence[FakeBackend] | None = None,
    settings: Settings | None = None,
    **setup: Any,
) -> AsyncIterator[Rig]:
    """A rig over one engine and one cloud. setup: members of `Setup`."""
    changes: dict[str, Any] = {}
    made = settings or Settings.model_validate({"targets": {"far": {"provider": "openai", "model": "far-model"}}})

    def report(desk: Desk) -> StatusReport:
        process = ProcessFacts(time.time() - 3600, None, "/etc/hearth.toml", None, (), ())
        found = report_of(desk, made, process)
        return with_changes(found, changes)

    file = folder / "hearth.toml"
    if "settings_file" not in setup:
        file.write_text(FILE)
        setup["settings_file"] = file
    setup.setdefault("admins", (ADMIN,))
    whole = Setup(
        local or engine_backend((Turn(told("Hello from the box, which is small.")),)),
        clouds if clouds is not None else [cloud("far", Turn(told("Hello from afar.")))],
        report=report,
        **setup,
    )
    async with opened(whole, folder) as door:
        context = await browser.new_context()
        rig = Rig(door, browser, context, changes, folder, whole.catalogue)
        try:
            yield rig
        finally:
            for each in browser.contexts:
                await each.close()


def with_changes(report: StatusReport, changes: dict[str, Any]) -> StatusReport:
    """The report with some members replaced; a callable is called with the old one."""
    replaced = {name: value(getattr(report, name)) if callable(value) else value for name, value in changes.items()}
    return msgspec.structs.replace(report, **replaced) if replaced else report


def made_decision(number: int, **more: Any) -> Decision:
    """A record as the store keeps it, `number` seconds ago."""
    at = time.time() - number
    facts: dict[str, Any] = {
        "id": f"dec_{floor_of(at) | number:016x}",
        "at": at,
        "dialect": "openai_chat",
        "model": "auto",
        "target": "local/small",
        "words": "stays: nothing crosses a threshold",
        "considered": (
            Considered("local/small", "default", "is able and has room"),
            Considered("vendor/far-model", "fallback", "is the fallback", 0.0042),
        ),
        "attempts": (Exchange("local/small", "replica-0", 3.0, 840.0, first_token_ms=210.0, status=200),),
        "prompt_tokens": 412,
        "completion_tokens": 96,
        "ttft_ms": 210.0,
        "total_ms": 845.0,
    }
    return Decision(**{**facts, **more})
