"""The states in which pages are looked at: full, empty, with every reading refused, with the connection lost."""

from __future__ import annotations

import math
import time
from pathlib import Path
from random import Random
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from playwright.async_api import Page, Route, expect

from runtime.fleet.peers import PeerStanding, PeerState, PeerSummary
from runtime.fleet.store import StoreStanding
from runtime.quality.drift.shown import StreamView
from runtime.quality.judge.shown import JudgeView, week_view
from runtime.quality.judge.trust import Estimate, JudgedPair, agreement, biases
from runtime.quality.judge.weekly import WeekReport, WinRate
from runtime.quality.kept_quality import FoundWinners
from runtime.quality.runs.report import EvalReport, Flip, StreamReport
from runtime.quality.values import EvalRun, Grade, QualityEvent, SetBrief
from runtime.server.live.series import STEPS
from runtime.server.pages.fleet import FleetReport
from tests.browser.rig import ADMIN, Rig, made_decision

PAGES = (
    "", "decisions", "playground", "what-if", "models", "engine", "targets", "fleet", "money", "quality", "keys", "settings",
)  # fmt: skip
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
OWN = {"authorization": f"Bearer {ADMIN}"}
SONNET = "anthropic/claude-sonnet-5-5"
MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
MODEL = 1  # of the selects of the playground; the first is that of the colours
_JSON = {"content-type": "application/json"}
_FAULT = b'{"error": {"message": "the sums of the decisions cannot be read: disk I/O error", "type": "server_error"}}'


def with_history(rig: Rig) -> None:
    """Decisions, an hour of values, and lines of the engine's log."""
    for number in range(60):
        away = {"target": "vendor/far-model", "reason": "complexity", "words": "leaves", "cost_usd": 0.0123}
        rig.door.desk.store.add(made_decision(number * 9, **(away if number % 5 == 0 else {})))
    with_values(rig)
    rig.door.engine.lines += [f"INFO engine line {number}" for number in range(300)] + ["ERROR the last line"]


def with_values(rig: Rig) -> None:
    """An hour of values."""
    now = time.time()
    for step in range(STEPS):
        # Two waves of requests, the second of which crosses the threshold of the first token.
        wave = max(0.0, math.sin(step / 40)) ** 3 + (1.6 if 590 < step < 650 else 0.0)
        first, waiting, busy = 310 + 1100 * wave, round(3 * wave), 2 + round(6 * wave)
        row = (now - 3600 + 5 * step, first, first * 0.93, waiting, busy, 0.3 + 0.2 * wave, 0.5 + 0.15 * wave, 0.77)
        rig.door.series._rows.append((*row, busy, 4, 1, 0, 300, 0.001))
    left = rig.door.series._left
    left.clear()
    left.extend(({"complexity": 12}, {"complexity": 12 + 430, "context": 180, "ttft": 110}))


def quality_answers(answer: str = MARKUP) -> dict[str, Any]:
    """What the pages of quality answer with a target that was demoted and a case that flipped."""
    briefs = (SetBrief("invoices", "h", 80, "extraction"),)
    run = EvalRun("run_1", "nightly", "2026-11-28", 1, 1_800_000_000.0, (SONNET,), briefs)
    stream = StreamView(
        target=SONNET, set="invoices", task="extraction", state="demoted", cases=80, rate=0.8, usual=0.925,
        floor=0.87, evidence=11_400.4, bar=10_950.0, words="64 of 80 against 74", person="", served="far-1", history=(),

    )  # fmt: skip
    pairs = [
        JudgedPair(str(n), "local/llama-3.1-8b", SONNET, "first", "second" if n % 4 else "first") for n in range(40)
    ]
    week = WeekReport(
        "2026-W47", "openai/gpt-5.2", 40, tuple(pairs),
        (WinRate("local/llama-3.1-8b", SONNET, "", Estimate(0.87, 0.8, 0.94, 40), Estimate(0.9, 0.8, 1.0, 40), "anchors"),),
        (), biases(pairs), agreement([("a", "a"), ("b", "b")] * 20, Random(1)), FoundWinners(40, 40), {}, 0.4, "", True,
    )  # fmt: skip
    judge = JudgeView(
        judge="openai/gpt-5.2", trusted=True, trouble=None, drifted=False, evidence=0.1, weeks=[week_view(week)]
    )
    overview = {
        "mode": "act", "faults": ["golden/x.toml:3: no case"], "running": [], "next_night": time.time() + 39_000,
        "sets": [{"name": "invoices", "task": "extraction", "cases": 80, "targets": ["*"], "path": "a.toml", "warnings": []}],
        "events": [QualityEvent("demoted", SONNET, "invoices", "its rate fell", at=time.time() - 40_000)],
        "spent_usd": 0.36, "daily_usd": 2.0, "streams": [stream], "tolerance": 0.03, "judge": judge,
    }  # fmt: skip
    flip = Flip(SONNET, "invoices", "inv-017", Grade.PASS, Grade.MALFORMED, "no JSON", '{"a":1}', answer)
    done = StreamReport(
        target=SONNET, set="invoices", task="extraction", passed=64, verdicts=80, total=80, usd=0.2,
        grades={"pass": 64, "malformed": 16}, passed_before=74, verdicts_before=80,
    )  # fmt: skip
    return {"/hearth/quality": overview, "/hearth/quality/runs/latest/report": EvalReport(run, (done,), (flip,), ())}


FLEET = FleetReport(
    PeerSummary("a", "llama-3.1-8b", True, 1, 3, 240.0, "", "0.1.0", "0c1f2a9b44d1"),
    (
        PeerStanding(
            "https://b.example:8000", PeerState.ALIVE, 0.4,
            PeerSummary("b", "llama-3.1-8b", True, 7, 8, 2310.0, "queue_depth", "0.1.0", "77aa01b2c3d4"), ("settings",),
        ),
        PeerStanding(
            "https://c.example:8000", PeerState.STALE, 41.0,
            PeerSummary("c", "llama-3.1-8b", False, version="0.2.0", settings="0c1f2a9b44d1"), ("version",),
            "no connection to c.example:8000: Connection refused",
        ),
        PeerStanding("https://d.example:8000", PeerState.UNKNOWN, trouble="no connection to d.example:8000"),
    ),
    StoreStanding("valkey://store:6379/0", None, "", 3, 41),
)  # fmt: skip


async def with_fleet(page: Page, shown: FleetReport = FLEET) -> None:
    """The page of the fleet shows a peer that is alive and differs, one that is stale, and one that was never heard."""

    async def fulfil(route: Route) -> None:
        await route.fulfill(status=200, body=msgspec.json.encode(shown), headers=_JSON)

    await page.route("**/hearth/fleet", fulfil)


async def with_quality(page: Page, answer: str = MARKUP) -> None:
    """The pages of quality answer as `quality_answers`. answer: of the case that flipped."""
    answers = quality_answers(answer)

    async def fulfil(route: Route) -> None:
        answer = answers.get(urlsplit(route.request.url).path)
        if answer is None:
            await route.continue_()
        else:
            await route.fulfill(status=200, body=msgspec.json.encode(answer), headers=_JSON)

    await page.route("**/hearth/quality**", fulfil)


async def with_faults(page: Page) -> None:
    """Every reading is refused, but the live events."""

    async def fulfil(route: Route) -> None:
        if "/hearth/events" in route.request.url:
            await route.continue_()
        else:
            await route.fulfill(status=503, body=_FAULT, headers=_JSON)

    await page.route("**/hearth/**", fulfil)
    await page.route("**/v1/**", fulfil)


async def with_content(page: Page, path: str) -> None:
    """What a page shows only once somebody has done something on it."""
    if path == "playground":
        await page.get_by_label("Question").fill("What is a hearth?")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.get_by_role("region", name="Answer of auto")).not_to_contain_text("asking")
    if path == "what-if" and await page.get_by_role("button", name="Decide again").count():
        await page.get_by_label("escalation.complexity").fill("0.05")
        await page.get_by_role("button", name="Decide again").click()
        await page.locator("#found, main .note").first.wait_for()
    if path == "settings" and await page.get_by_label("escalation.ttft_ms").count():
        await page.get_by_label("escalation.ttft_ms").fill("1800")
        await page.get_by_role("button", name="Show the difference").click()
        await page.locator(".diff").first.wait_for()


async def lose(rig: Rig, page: Page) -> None:
    """The connection goes away and stays away."""
    await page.context.set_offline(True)
    rig.door.feed.close()
    await expect(page.locator(".banners")).to_contain_text("The connection to Hearth is lost")


def pictures(folder: Path, name: str) -> Path:
    """Where a picture is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.png"
