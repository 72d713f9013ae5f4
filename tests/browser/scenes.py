"""The states in which pages are looked at: full, empty, with every reading refused, with the connection lost."""

from __future__ import annotations

import math
import time
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import msgspec
from playwright.async_api import Page, Route, expect

from runtime.compose.catalogue import listed
from runtime.contract.engine import Gpu
from runtime.quality.drift.shown import StreamView
from runtime.quality.judge.shown import JudgeView, week_view
from runtime.quality.judge.trust import Estimate, JudgedPair, agreement, biases
from runtime.quality.judge.weekly import WeekReport, WinRate
from runtime.quality.kept_quality import FoundWinners
from runtime.quality.runs.report import EvalReport, Flip, StreamReport
from runtime.quality.values import EvalRun, Grade, QualityEvent, SetBrief
from runtime.record.decisions import Exchange
from runtime.server.live.series import STEPS
from runtime.server.status import BudgetLimitStatus, BudgetStatus, LoadStatus, RunningStatus, TargetStatus
from runtime.settings import Settings
from tests.browser.rig import ADMIN, Rig, made_decision

PAGES = (
    "", "decisions", "playground", "what-if", "models", "engine", "targets", "money", "quality", "keys", "settings",
)  # fmt: skip
OWN = {"authorization": f"Bearer {ADMIN}"}
MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
MODEL = 1  # of the selects of the playground; the first is that of the colours
GIB = 1 << 30
_JSON = {"content-type": "application/json"}
_FAULT = b'{"error": {"message": "the sums of the decisions cannot be read: disk I/O error", "type": "server_error"}}'


def with_history(rig: Rig) -> None:
    """Decisions, an hour of values, and lines of the engine's log."""
    for number in range(60):
        away = {"target": "vendor/far-model", "reason": "complexity", "words": "leaves", "cost_usd": 0.0123}
        rig.door.desk.store.add(made_decision(number * 9, **(away if number % 5 == 0 else {})))
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
    rig.door.engine.lines += [f"INFO engine line {number}" for number in range(300)] + ["ERROR the last line"]


async def with_everything(rig: Rig) -> None:
    """What every page can show: requests that run, a budget, GPUs, a broken and an absent target, keys, odd decisions."""
    with_history(rig)
    failed = (
        Exchange("vendor/far-model", "vendor", 2.0, 900.0, outcome="busy", status=529, message="Overloaded", retry_after=4),
        Exchange("local/small", "replica-0", 905.0, 2840.0, first_token_ms=1210.0, status=200),
    )  # fmt: skip
    id = made_decision(1).id
    rig.door.desk.store.add(made_decision(1, reason="fallback", attempts=failed, degraded=("reasoning_effort",)))
    rig.door.desk.store.add(made_decision(2, status=502, target=None, ttft_ms=None, words="nobody could answer"))
    rig.changes |= {
        "load": LoadStatus(waiting=1, running=4, predicted_ttft_ms=379, kv_cache=0.41, words=""),
        "running": (
            running("dec_19f0c2a7be100001", "auto", "local/small", "generating", 214),
            running("dec_19f0c2a7be100002", "vendor/far-model", "vendor/far-model", "waiting", 0),
        ),
        "budget": budget(2.84, spent=False),
        "targets": lambda rows: (
            *(
                msgspec.structs.replace(
                    each, usd_per_million=(2.5, 10.0), price_date="2026-11-02", price_source="genai-prices", ttft_ms=640.0,
                    certified=("hipaa", "zero_retention"), key=True,
                )
                for each in rows
            ),
            TargetStatus(
                name="claude", label="anthropic/claude-sonnet-5-5", breaker="open", retry_in_s=12.0, key=True,
                last_failure="429: this request would exceed your organisation's rate limit of 40 000 input tokens per minute",
            ),
            TargetStatus(
                name="gemini", label="google/gemini-3-pro", state="absent", why="GEMINI_API_KEY is not set",
                price_known=False, key=False,
            ),
        ),
        "notes": ("target far: its model far-model is retired on 2026-12-20",),
    }  # fmt: skip
    gpus = tuple(Gpu(each, "NVIDIA L40S", 48 * GIB, 37 * GIB, 0.5 + each / 10, 0.0) for each in range(2))
    rig.door.engine.gpus = lambda: gpus  # type: ignore[method-assign]
    rig.catalogue += listed(rig.door.desk.fleet, Settings(), {"XDG_CACHE_HOME": str(rig.folder)})
    terms: dict[str, Any] = {"name": "web", "daily_usd": 5, "requests_per_minute": 600, "targets": ["local/*"]}
    for each in (terms, {"name": "nightly", "scopes": ["generate"], "priorities": ["batch"], "requires": ["hipaa"]}):
        answer = await rig.door.client.post("/hearth/keys", json=each, headers=OWN)
        assert answer.status_code == 200, answer.text
    rig.shown_decision = id


def running(id: str, model: str, target: str, phase: str, tokens: int) -> RunningStatus:
    return RunningStatus(
        id=id, model=model, target=target, phase=phase, for_s=3.2, prompt_tokens=1840, tokens=tokens,
        tokens_per_s=66.2 if tokens else None,
    )  # fmt: skip


def budget(spent_usd: float, *, spent: bool) -> BudgetStatus:
    """A day and a month of all targets."""
    day = BudgetLimitStatus(
        period="day", name="2026-11-29", ends_in_s=39_000, spent_usd=spent_usd, reserved_usd=0.0 if spent else 0.12,
        limit_usd=20.0, left_usd=20.0 - spent_usd, spent=spent,
    )  # fmt: skip
    month = BudgetLimitStatus(
        period="month", name="2026-11", ends_in_s=125_000, spent_usd=61.2, reserved_usd=0.12, limit_usd=400.0,
        left_usd=338.68,
    )  # fmt: skip
    return BudgetStatus(when_spent="local", limits=(day, month))


def quality_answers() -> dict[str, Any]:
    """What the pages of quality answer with a target that was demoted and a case that flipped."""
    briefs = (SetBrief("invoices", "h", 80, "extraction"),)
    run = EvalRun("run_1", "nightly", "2026-11-28", 1, 1_800_000_000.0, ("vendor/far-model",), briefs)
    stream = StreamView(
        target="vendor/far-model", set="invoices", task="extraction", state="demoted", cases=80, rate=0.8, usual=0.925,
        floor=0.87, evidence=11_400.4, bar=10_950.0, words="64 of 80 against 74", person="", served="far-1", history=(),

    )  # fmt: skip
    pairs = [
        JudgedPair(str(n), "local/m", "vendor/far-model", "first", "second" if n % 4 else "first") for n in range(40)
    ]
    week = WeekReport(
        "2026-W47", "other/judge", 40, tuple(pairs),
        (WinRate("local/m", "vendor/far-model", "", Estimate(0.87, 0.8, 0.94, 40), Estimate(0.9, 0.8, 1.0, 40), "anchors"),),
        (), biases(pairs), agreement([("a", "a"), ("b", "b")] * 20, Random(1)), FoundWinners(40, 40), {}, 0.4, "", True,
    )  # fmt: skip
    judge = JudgeView(
        judge="other/judge", trusted=True, trouble=None, drifted=False, evidence=0.1, weeks=[week_view(week)]
    )
    overview = {
        "mode": "act", "faults": ["golden/x.toml:3: no case"], "running": [], "next_night": 1_900_000_000.0,
        "sets": [{"name": "invoices", "task": "extraction", "cases": 80, "targets": ["*"], "path": "a.toml", "warnings": []}],
        "events": [QualityEvent("demoted", "vendor/far-model", "invoices", "its rate fell", at=1_800_000_000.0)],
        "spent_usd": 0.36, "daily_usd": 2.0, "streams": [stream], "tolerance": 0.03, "judge": judge,
    }  # fmt: skip
    flip = Flip("vendor/far-model", "invoices", "inv-017", Grade.PASS, Grade.MALFORMED, "no JSON", '{"a":1}', MARKUP)
    done = StreamReport(
        target="vendor/far-model", set="invoices", task="extraction", passed=64, verdicts=80, total=80, usd=0.2,
        grades={"pass": 64, "malformed": 16}, passed_before=74, verdicts_before=80,
    )  # fmt: skip
    return {"/hearth/quality": overview, "/hearth/quality/runs/latest/report": EvalReport(run, (done,), (flip,), ())}


async def with_quality(page: Page) -> None:
    """The pages of quality answer as `quality_answers`."""
    answers = quality_answers()

    async def fulfil(route: Route) -> None:
        body = msgspec.json.encode(answers[urlsplit(route.request.url).path])
        await route.fulfill(status=200, body=body, headers=_JSON)

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
        await page.get_by_label("escalation.complexity").fill("0")
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
    await expect(page.locator(".banners")).to_contain_text("Hearth does not answer")


def pictures(folder: Path, name: str) -> Path:
    """Where a picture is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.png"
