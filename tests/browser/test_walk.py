"""A walk through seven states of a box that somebody runs: each is understood from the page alone, in its words."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from runtime.compose.budget import budget_of
from runtime.compose.targets import targets
from runtime.contract.engine import ReplicaState
from runtime.contract.prices import Price
from runtime.contract.targets import Timeouts
from runtime.server.status import SettingsStatus
from runtime.settings.read import load
from tests.browser.rig import ADMIN, PICTURES, Rig, browsing
from tests.browser.scenes import OWN, pictures
from tests.fakes.upstream import DONE, Gate, Turn, cloud, engine_backend, told, whole

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PATIENT = Timeouts(connect=5, first_token=60, idle=60, total=60)
FILE = """\
[escalation]
queue_depth = 1
kv_cache = 1.0

[budget]
daily_usd = 0.01

[targets.far]
provider = "openai"
model = "far-model"
base_url = "http://127.0.0.1:9/v1"

[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
key = "env:ANTHROPIC_API_KEY"
"""


async def test_seven_states_are_understood_from_the_page_alone(browser: Browser, tmp_path: Path) -> None:
    """An unset key, the first request, a saturated engine, a killed one, a demoted model, a refused reload, a spent budget."""
    file = tmp_path / "hearth.toml"
    file.write_text(FILE)
    settings = load(file, {}).settings
    gate = Gate()
    local = engine_backend((Turn([whole("Hello from the box.")]), Turn([whole("late")], wait=gate)), timeouts=PATIENT)
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5000}}\n\n'
    answer = (*told("Hello from afar.", usage=False)[:-1], usage, DONE)
    far = cloud("far", Turn(answer), price=Price(input=0.1, output=2.0))
    async with browsing(
        browser,
        tmp_path,
        local=local,
        clouds=[far],
        settings=settings,
        settings_file=file,
        escalation=settings.escalation,
    ) as rig:
        page = await rig.page()
        main, banners = page.locator("main"), page.locator(".banners")

        async def pictured(name: str) -> None:
            await page.screenshot(path=pictures(PICTURES, f"walk-{name}"), full_page=True)

        # 1. A key that is not set: which target, and which variable sets it.
        clouds = rig.door.desk.fleet.clouds
        rig.door.desk.fleet.clouds = replace(clouds, absent=targets(settings).absent)
        await expect(main).to_contain_text("anthropic/claude-sonnet-5-5 is not used: ")
        await expect(main).to_contain_text("ANTHROPIC_API_KEY")
        await pictured("1-unset-key")

        # 2. The first request: how it is sent, then what became of it.
        await expect(main).to_contain_text("No request has come yet. Send one, or ask in the playground")
        await expect(main.locator("pre").last).to_contain_text("curl http://127.0.0.1:8000/v1/chat/completions")
        await asked(rig)
        first = page.get_by_role("region", name="Decisions").locator("tbody tr").first
        await expect(first).to_contain_text(_row("auto", "local/small", "stays on the box", "200 ok"))
        await pictured("2-first-request")

        # 3. A saturated engine: it says by what, and where requests go meanwhile; the next one goes there.
        waiting = [asyncio.create_task(asked(rig, "local")) for _ in range(3)]
        await expect(page.get_by_role("region", name="Requests that run now").locator("tbody tr")).to_have_count(3)
        await expect(page.locator(".verdict")).to_contain_text(
            "NO 3 requests wait for a first token, the threshold is 1"
        )
        await expect(main).to_contain_text("Requests that may leave go to vendor/far-model meanwhile.")
        await asked(rig)
        await expect(first).to_contain_text(_row("auto", "vendor/far-model", "the queue", "200 ok"))
        await pictured("3-saturated")
        gate.open()
        await asyncio.gather(*waiting)
        await expect(page.locator(".verdict")).to_contain_text("YES")

        # 4. A killed engine: its state, why, when it is back, and who answers until then.
        local.lanes[0].ready = False
        rig.door.engine.down, rig.door.engine.cause = ReplicaState.BACKING_OFF, "the engine was killed by signal 9"
        rig.door.engine.ready_at = time.monotonic() + 40
        rig.door.engine.lines.append("Killed")
        await expect(page.locator(".verdict")).to_contain_text("NO the engine is backing off, ready in about")
        await expect(main).to_contain_text("the engine was killed by signal 9")
        await expect(main).to_contain_text("Answers until then come from: vendor/far-model")
        await pictured("4-engine-killed")
        local.lanes[0].ready, rig.door.engine.cause = True, None
        await expect(page.locator(".verdict")).to_contain_text("YES")

        # 5. A demoted model: which, by whom, and for what reason.
        act = {"kind": "demote", "target": "far", "note": "answers in the wrong language"}
        await rig.door.client.post("/hearth/quality/acts", json=act, headers=OWN)
        await expect(main).to_contain_text("vendor/far-model")
        await expect(main).to_contain_text("answers in the wrong language")
        await pictured("5-demoted")
        await page.get_by_role("link", name="Quality").click()
        await expect(page.get_by_role("region", name="Events")).to_contain_text("answers in the wrong language")
        await page.get_by_role("link", name="Overview").click()

        # 6. A refused reload: the line at fault, and that the old settings hold.
        rig.changes["settings"] = SettingsStatus(
            path=str(file), error="hearth.toml:2: escalation.queue_depth: must be above 0"
        )
        await expect(banners).to_contain_text("The last reload was refused, the old settings hold:")
        await expect(banners).to_contain_text("hearth.toml:2: escalation.queue_depth: must be above 0")
        await pictured("6-reload-refused")
        del rig.changes["settings"]

        # 7. A budget that is spent: of what, how much, and what happens from now on.
        rig.door.desk.fleet.budget = budget_of(settings, tmp_path, lambda _: None, lambda _: None)
        await asked(rig, "far")
        await asked(rig, "far", 402)
        await expect(main).to_contain_text(
            "of $0.01 spent. From now on, what costs money stays on the box, marked as degraded."
        )
        await pictured("7-budget-spent")


async def asked(rig: Rig, model: str = "auto", status: int = 200) -> None:
    """One small request."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    answer = await rig.door.client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {ADMIN}"})
    assert answer.status_code == status, answer.text


def _row(*cells: str) -> re.Pattern[str]:
    return re.compile(r"\s*".join(map(re.escape, cells)))
