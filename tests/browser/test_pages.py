"""The dashboard in a real Chromium: every page shows the server's own words, and acts on it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from runtime.contract.prices import Price
from runtime.contract.targets import Timeouts
from runtime.record.sums import PriceBaseline, Tally
from runtime.server.status import EngineStatus, LoadStatus, ReplicaStatus, SettingsStatus
from tests.browser.furnished import budget
from tests.browser.rig import ADMIN, FILE, PICTURES, Rig, browsing, faults_seen, made_decision
from tests.browser.scenes import (
    FLEET,
    MARKUP,
    MODEL,
    OWN,
    PAGES,
    SCHEMES,
    pictures,
    with_fleet,
    with_history,
    with_quality,
)
from tests.fakes.upstream import HANG, Gate, Piece, Turn, chunk, cloud, engine_backend, error, told

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PATIENT = Timeouts(connect=5, first_token=60, idle=60, total=60)
COLOURS = """names => names.map(name => {
  document.body.style.outlineColor = `var(${name})`;
  return getComputedStyle(document.body).outlineColor;
})"""
CONTROLS = """[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter(each => each.checkVisibility() && !each.disabled)"""
HIDDEN = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def asked(rig: Rig, text: str = "hi", **more: Any) -> str:
    """The id of a decision that a request makes."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
    answer = await rig.door.client.post("/v1/chat/completions", json=body, headers=OWN)
    return answer.headers["x-hearth-decision"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path or "overview")
async def test_each_page_opens_in_both_schemes_without_a_fault(rig: Rig, axe: str, path: str) -> None:
    """No console error, no breach of the policy, none of axe-core's rules of WCAG 2.2 A and AA and best practice broken."""
    with_history(rig)
    page = await rig.page(path, viewport={"width": 1280, "height": 900})
    await expect(page.locator("main h1")).to_have_count(1)
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        await page.wait_for_timeout(400)
        await page.screenshot(path=pictures(PICTURES, f"{path or 'overview'}-{scheme}"), full_page=True)
        assert await faults_seen(page, axe) == []
    await page.set_viewport_size({"width": 320, "height": 640})
    # Charts follow a moment later. The driver's own wait needs eval, which the page's policy forbids.
    async with asyncio.timeout(10):
        while await page.evaluate("document.documentElement.scrollWidth") > 320:
            await asyncio.sleep(0.05)


# Overview


async def test_the_overview_says_whether_auto_stays_with_each_value_beside_its_threshold(rig: Rig) -> None:
    """As the report has it, a second after it changed."""
    page = await rig.page()
    await expect(page.locator(".verdict")).to_contain_text("YES")
    rig.changes["load"] = LoadStatus(
        waiting=7, running=3, predicted_ttft_ms=3100, kv_cache=0.5, over=("ttft",), words="first token in 3.1 s of 2 s"
    )
    await expect(page.locator(".verdict")).to_contain_text("NO first token in 3.1 s of 2 s")
    await expect(page.locator(".gauge.over")).to_contain_text(
        "predicted 3.10 s, leaves above 2.00 s, returns below 1.40 s"
    )


async def test_an_engine_that_is_down_is_said_with_its_cause_and_who_answers_meanwhile(rig: Rig) -> None:
    """The words of the replica, its log, and the targets."""
    replica = ReplicaStatus(
        name="replica-0", state="given_up", for_s=12, cause="out of GPU memory: lower max_model_len"
    )
    rig.changes["engine"] = EngineStatus(model="small", device="cuda", replicas=(replica,), log_tail=("CUDA OOM",))
    page = await rig.page()
    await expect(page.locator(".verdict")).to_contain_text("the engine is given up")
    await expect(page.locator("main")).to_contain_text("out of GPU memory: lower max_model_len")
    await expect(page.locator("main")).to_contain_text("CUDA OOM")
    await expect(page.locator("main")).to_contain_text("Answers until then come from: vendor/far-model")


async def test_a_box_without_requests_shows_how_to_send_the_first(rig: Rig) -> None:
    """The line for curl; then the request itself appears without a reload."""
    page = await rig.page()
    await expect(page.locator("main")).to_contain_text("No request has come yet")
    await expect(page.locator("main pre").last).to_contain_text("/v1/chat/completions")
    id = await asked(rig)
    await expect(page.locator(f'a[href="#/decisions/{id}"]')).to_be_visible()


async def test_what_runs_is_shown_with_its_tokens_while_it_runs(tmp_path: Path, browser: Browser) -> None:
    """Its phase; its tokens as they come; gone when it ended. Those of an answer that is not streamed are not known."""
    first, second = Gate(), Gate()
    pieces: tuple[Piece, ...] = (*told("late")[:1], first, chunk("la"), chunk("te"), second, *told("late")[3:])
    local = engine_backend((Turn(pieces), Turn(wait=HANG)), timeouts=PATIENT)
    async with browsing(browser, tmp_path, local=local, total_s=60) as rig:
        page = await rig.page()
        runs = page.get_by_role("region", name="Requests that run now").locator("tbody tr")
        asking = asyncio.create_task(asked(rig, model="local", stream=True))
        await expect(runs).to_contain_text(row("local", "local/small", "waiting"))
        first.open()
        await expect(runs).to_contain_text("generating")
        await expect(runs.locator("td").nth(5)).to_have_text("2")
        second.open()
        await asking
        await expect(page.locator("main")).to_contain_text("Nothing runs.")
        asking = asyncio.create_task(asked(rig, model="local"))
        await expect(runs).to_contain_text("not streamed")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_running_request_is_cancelled_by_an_admin(tmp_path: Path, browser: Browser) -> None:
    """By its button; its client gets the reason, and the record is linked. A reader is told which key that takes."""
    held = engine_backend((Turn(told("late"), wait=HANG),), timeouts=PATIENT)
    async with browsing(browser, tmp_path, local=held, keys=("reader-key",), total_s=60) as rig:
        body = {"model": "local", "messages": [{"role": "user", "content": "hi"}]}
        asking = asyncio.create_task(rig.door.client.post("/v1/chat/completions", json=body, headers=OWN))
        page = await rig.page(key="reader-key")
        cancel = page.get_by_role("button", name=re.compile("Cancel dec_"))
        await cancel.click()
        await expect(page.locator("main")).to_contain_text("Ending a request of somebody else needs an admin key.")
        await page.get_by_label("Key", exact=True).fill(ADMIN)
        await page.get_by_role("button", name="Sign in").click()
        await cancel.click()
        await expect(page.locator("main")).to_contain_text("was cancelled.")
        answer = await asking
        assert answer.status_code == 403 and "an operator cancelled this request" in answer.text
        await page.get_by_role("link", name="The decision", exact=True).click()
        await expect(page.locator(".verdict")).to_contain_text("403 failed answered by nobody · asked for by name")


async def test_a_request_that_nobody_answered_is_not_said_to_stay(tmp_path: Path, browser: Browser) -> None:
    """In the list and in full: nobody could answer, with the upstream's words."""
    bad = error(500, "the engine is on fire")
    async with browsing(browser, tmp_path, local=engine_backend((bad,)), clouds=[cloud("far", bad)]) as rig:
        page = await rig.page()
        await asked(rig)
        rows = page.get_by_role("region", name="Decisions").locator("tbody tr")
        await expect(rows).to_contain_text(row("auto", "nobody", "nobody could answer", "502 failed"))
        await rows.locator("a").click()
        await expect(page.locator("main")).to_contain_text("answered by nobody · nobody could answer")
        await expect(page.locator(".attempts")).to_contain_text("the engine is on fire")


async def test_the_overview_says_what_the_same_tokens_cost_elsewhere(rig: Rig) -> None:
    """At the baseline's price, with the day of that; without a baseline, why it is not known."""
    await asked(rig)
    page = await rig.page()
    main = page.locator("main")
    await expect(main).to_contain_text("What the same tokens cost elsewhere is not known: no target is configured.")
    price = Price(3.0, 15.0, date="2026-11-02")
    rig.door.desk.store.tally = Tally(baseline=PriceBaseline("far", "openai/far-model", price))
    await asked(rig)
    await page.reload()
    # 7 tokens read and 2 written, of the request that was held against it.
    await expect(main).to_contain_text("The same tokens on openai/far-model at list price of 2026-11-02: $0.000051")


async def test_quality_shows_streams_flips_and_events(rig: Rig) -> None:
    """A demoted target with its evidence, and the case that flipped with both answers; text of a model stays text."""
    page = await rig.page("keys")
    await with_quality(page)
    await page.evaluate("location.hash = '#/quality'")
    streams = page.get_by_role("region", name="Targets on golden sets")
    await expect(streams).to_contain_text("64 of 80 against 74")
    await expect(streams).to_contain_text("11 400")
    await expect(page.get_by_role("region", name="Latest run")).to_contain_text("74 of 80")
    flipped = page.get_by_role("region", name="Flipped cases")
    await expect(flipped).to_contain_text('{"a":1}')
    await expect(flipped).to_contain_text(MARKUP)
    await expect(page.get_by_role("region", name="Events")).to_contain_text("its rate fell")
    await expect(page.locator("main")).to_contain_text("golden/x.toml:3: no case")
    assert await page.title() not in ("1", "2")
    await page.screenshot(path=PICTURES / "quality-full.png", full_page=True)


async def test_the_fleet_shows_who_is_alive_differs_or_is_gone(rig: Rig) -> None:
    """In words above a table of all of them, with the store; what a peer says stays text. Alone, the page says how to begin."""
    page = await rig.page("fleet")
    await expect(page.locator("main")).to_contain_text("has no peers")
    await expect(page.locator("main")).to_contain_text('peers = ["dns:hearth.internal:8000"]')
    await expect(page.locator("main")).to_contain_text("No store is configured")
    gone = msgspec.structs.replace(FLEET.peers[2], trouble=MARKUP)
    await with_fleet(page, msgspec.structs.replace(FLEET, peers=(*FLEET.peers[:2], gone)))
    await page.reload()
    main = page.locator("main")
    await expect(main).to_contain_text("b has other settings than this Hearth")
    await expect(main).to_contain_text("c is stale: not heard for three seconds")
    await expect(main).to_contain_text(MARKUP)
    table = page.get_by_role("region", name="Hearths")
    await expect(table.get_by_role("row", name="a (here)")).to_contain_text("240 ms")
    busy = table.get_by_role("row", name="b https://b.example:8000")
    await expect(busy).to_contain_text("the queue")
    await expect(busy).to_contain_text("77aa01b2c3d4 (differs)")
    await expect(main).to_contain_text("The store valkey://store:6379/0 answers; 3 Hearths are alive.")
    assert await page.title() not in ("1", "2")


async def test_the_frame_shows_a_refused_reload_notes_and_what_is_not_in_force(rig: Rig) -> None:
    """On every page, in the server's words."""
    rig.changes |= {
        "settings": SettingsStatus(path="/x", error="hearth.toml:3: escalation.ttft_ms: must be above 0"),
        "notes": ("target far: its model is retired soon",),
        "not_in_force": ("quality.at is not in force",),
    }
    page = await rig.page("keys")
    banners = page.locator(".banners")
    await expect(banners).to_contain_text("hearth.toml:3: escalation.ttft_ms: must be above 0")
    await expect(banners).to_contain_text("its model is retired soon")
    await expect(banners).to_contain_text("1 settings are not in force")


async def test_the_charts_have_their_numbers_as_text_and_their_length_is_chosen(rig: Rig) -> None:
    """A canvas says nothing to a reader of screens."""
    with_history(rig)
    page = await rig.page()
    chart = page.locator("figure.chart").first
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(chart.get_by_role("img")).to_have_attribute("aria-label", _containing("threshold 2.00 s"))
    before = await chart.locator("tbody tr").count()
    await page.get_by_role("button", name="1 h").click()
    await chart.locator("summary").click()
    assert await chart.locator("tbody tr").count() >= before
    await expect(chart.locator("tbody")).to_contain_text("2.37 s")


async def test_the_axes_of_a_dark_page_can_be_read(rig: Rig) -> None:
    """axe does not see a canvas: the colours of axes, lines and thresholds are held against the card behind them."""
    with_history(rig)
    for scheme in ("light", "dark"):
        page = await rig.page(color_scheme=scheme)
        await expect(page.locator("canvas").first).to_be_visible()
        names = ["--card", "--ink-2", "--chart-1", "--chart-2", "--limit", "--edge"]
        colours = await page.evaluate(COLOURS, names)
        card, *others = map(_luminance, colours)
        for each in others:
            assert (max(card, each) + 0.05) / (min(card, each) + 0.05) >= 3, (scheme, colours)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# Decisions


async def test_decisions_are_filtered_paged_and_lead_to_one(rig: Rig) -> None:
    """By reason; older ones by a button; the detail has the words, the candidates and what it would have cost."""
    with_history(rig)
    page = await rig.page("decisions")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(50)
    await page.get_by_role("button", name="Older").click()
    await expect(rows).to_have_count(60)
    await page.get_by_label("Why").select_option("complexity")
    await expect(rows).to_have_count(12)
    assert "reason=complexity" in page.url
    await page.locator("tbody a").first.click()
    await expect(page.locator("main")).to_contain_text("answered by vendor/far-model")
    await expect(page.get_by_role("region", name="Candidates")).to_contain_text("$0.00420")
    await expect(page.locator(".attempts")).to_contain_text("first token at 210 ms")


async def test_a_filter_that_fits_nothing_says_which_and_offers_to_drop_it(rig: Rig) -> None:
    """And a page without any decision says how to make one."""
    page = await rig.page("decisions")
    await expect(page.locator("main")).to_contain_text("No decision is kept yet")
    with_history(rig)
    await page.goto(f"{rig.door.url}/#/decisions?target=nobody/else&reason=gpu")
    await expect(page.locator("main")).to_contain_text("No kept decision fits: answered by nobody/else, why gpu")
    await page.get_by_role("button", name="Drop “answered by”").click()
    await page.get_by_role("button", name="Drop “why”").click()
    await expect(page.locator("tbody tr")).to_have_count(50)


async def test_a_decision_that_is_gone_says_why(rig: Rig) -> None:
    """By retention, or by a wrong id."""
    page = await rig.page("decisions/dec_0000000000000001")
    await expect(page.locator("main")).to_contain_text("older than the records that are kept")


async def test_the_list_grows_while_it_is_open_and_stands_still_while_paused(rig: Rig) -> None:
    """New rows come on top."""
    page = await rig.page("decisions")
    first = await asked(rig)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await asked(rig)
    await page.wait_for_timeout(700)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator("tbody tr").last.locator("a")).to_have_attribute("href", f"#/decisions/{first}")


async def test_what_is_filtered_is_exported_as_lines_of_json(rig: Rig) -> None:
    """All of it, not the page that is shown."""
    with_history(rig)
    page = await rig.page("decisions")
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Export as JSONL").click()
    file = await (await coming.value).path()
    rows = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert len(rows) == 60 and rows[0]["at"] > rows[-1]["at"]


# Playground


async def test_the_playground_shows_the_decision_before_and_after_the_answer(rig: Rig) -> None:
    """Explained as it is typed; then the answer streams, with times, tokens and the decision."""
    page = await rig.page("playground")
    await page.get_by_label("Question").fill("What is a hearth?")
    before = page.get_by_role("region", name="Before it is sent")
    await expect(before).to_contain_text("Goes to local/small")
    await page.get_by_role("button", name="Ask").click()
    answer = page.get_by_role("region", name="Answer of auto")
    await expect(answer).to_contain_text("Hello from the box, which is small.")
    await expect(answer).to_contain_text("done · local/small")
    await expect(answer.get_by_role("link", name="The decision in full")).to_be_visible()
    await page.get_by_text("curl and Python").click()
    await expect(page.get_by_role("region", name="The same request as code")).to_contain_text("What is a hearth?")


async def test_two_models_are_compared_side_by_side(rig: Rig) -> None:
    """The same question, two answers."""
    page = await rig.page("playground")
    await page.get_by_label("Compare with").select_option("vendor/far-model")
    await page.get_by_label("Question").fill("hi")
    await page.get_by_label("Question").press("Control+Enter")
    await expect(page.get_by_role("region", name="Answer of auto")).to_contain_text("Hello from the box")
    await expect(page.get_by_role("region", name="Answer of vendor/far-model")).to_contain_text("Hello from afar.")


async def test_an_error_is_shown_in_its_own_words(tmp_path: Path, browser: Browser) -> None:
    """With its status."""
    bad = cloud("far", error(400, "max_tokens is too large for this model"))
    async with browsing(browser, tmp_path, clouds=[bad]) as rig:
        page = await rig.page("playground")
        await page.locator("select").nth(MODEL).select_option("vendor/far-model")
        await page.get_by_label("Question").fill("hi")
        await page.get_by_role("button", name="Ask").click()
        answer = page.get_by_role("region", name="Answer of vendor/far-model")
        await expect(answer).to_contain_text("400 failed max_tokens is too large for this model")


async def test_an_answer_is_stopped(tmp_path: Path, browser: Browser) -> None:
    """The request is cancelled on the server too."""
    hold = asyncio.Event()
    slow = engine_backend((Turn(told("never"), wait=hold),))  # type: ignore[arg-type]
    async with browsing(browser, tmp_path, local=slow, clouds=[]) as rig:
        page = await rig.page("playground")
        await page.locator("select").nth(MODEL).select_option("local/small")
        await page.get_by_label("Question").fill("hi")
        await page.get_by_role("button", name="Ask").click()
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("region", name="Answer of local/small")).to_contain_text("stopped")
        async with asyncio.timeout(10):
            while rig.door.desk.running:
                await asyncio.sleep(0.02)


# Other pages


async def test_a_target_is_held_probed_and_closed(rig: Rig) -> None:
    """Each says what it did; the list shows the breaker a second later."""
    page = await rig.page("targets")
    card = page.get_by_role("region", name="Target far")
    await card.get_by_role("button", name="Hold back for 10 min").click()
    await expect(card).to_contain_text("nothing is sent to far for 600 s")
    await expect(card).to_contain_text("Held back by hand")
    await card.get_by_role("button", name="Probe now").click()
    await expect(card).to_contain_text("far answered in")
    await expect(card).to_contain_text("breaker closed")


async def test_the_log_follows_searches_and_pauses(rig: Rig) -> None:
    """Only the lines in view are in the page, however many are kept."""
    rig.door.engine.lines += [f"INFO line {number}" for number in range(900)]
    page = await rig.page("engine")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("INFO line 899")
    assert await page.evaluate("document.querySelector('.window').textContent.split('\\n').length") <= 70
    await page.wait_for_timeout(400)
    rig.door.engine.lines.append("WARNING something new")
    await expect(log).to_contain_text("WARNING something new")
    await page.get_by_label("Search").fill("something")
    await expect(page.locator("main")).to_contain_text("1 of 901 lines")


async def test_a_change_of_the_settings_is_shown_saved_and_listed(rig: Rig, tmp_path: Path) -> None:
    """The difference first; then the file has it, its comments kept, and the page says since when."""
    page = await rig.page("settings")
    await page.get_by_label("escalation.ttft_ms").fill("1800")
    await page.get_by_role("button", name="Show the difference").click()
    await expect(page.locator(".diff").first).to_contain_text("+ttft_ms = 1800  # as measured here")
    assert (tmp_path / "hearth.toml").read_text() == FILE
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("main")).to_contain_text("Saved, and in force since")
    assert (tmp_path / "hearth.toml").read_text() == FILE.replace("2000", "1800")
    await expect(page.locator("main")).to_contain_text("hearth.toml was changed")


async def test_a_bad_value_is_refused_in_the_words_of_the_check(rig: Rig, tmp_path: Path) -> None:
    """And nothing is written."""
    page = await rig.page("settings")
    await page.get_by_label("escalation.release").fill("7")
    await page.get_by_role("button", name="Show the difference").click()
    await expect(page.get_by_role("region", name="Not saved")).to_contain_text("escalation.release")
    assert (tmp_path / "hearth.toml").read_text() == FILE


async def test_a_race_shows_both_differences(rig: Rig, tmp_path: Path) -> None:
    """Somebody edits the file while the form is open."""
    page = await rig.page("settings")
    await page.get_by_label("escalation.ttft_ms").fill("1800")
    (tmp_path / "hearth.toml").write_text(FILE.replace("# the settings", "# THEIR settings"))
    await page.get_by_role("button", name="Show the difference").click()
    card = page.get_by_role("region", name="Not saved")
    await expect(card).to_contain_text("the file was changed meanwhile")
    await expect(card).to_contain_text("+# THEIR settings")
    await expect(card).to_contain_text("+ttft_ms = 1800")


async def test_other_settings_are_tried_on_recorded_decisions(rig: Rig) -> None:
    """How many would go elsewhere, from where to where."""
    for text in ("hi", "Prove that the square root of two is irrational."):
        await asked(rig, text)
    page = await rig.page("what-if")
    await page.get_by_label("escalation.complexity").fill("0")
    await page.get_by_role("button", name="Decide again").click()
    await expect(page.locator("main")).to_contain_text("2 of 2 would go elsewhere")
    await expect(page.locator("main")).to_contain_text("2: local/small → openai/far-model")


async def test_a_key_is_created_shown_once_and_revoked(rig: Rig) -> None:
    """Its secret is on the page once; after a reload it is nowhere."""
    page = await rig.page("keys")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_label("Name").fill("web")
    await page.get_by_role("button", name="Create").click()
    secret = await page.locator(".note code").first.inner_text()
    assert secret.startswith("hearth")
    await page.reload()
    await expect(page.get_by_role("region", name="Keys")).to_contain_text("in force")
    assert secret not in await page.content()
    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("region", name="Keys")).to_contain_text("revoked")
    refused = await rig.door.client.get("/hearth/status", headers={"x-api-key": secret})
    assert refused.status_code == 401


async def test_a_key_is_held_to_what_its_fields_say(rig: Rig) -> None:
    """Every field of the form arrives at the server, and stands in the list in words."""
    page = await rig.page("keys")
    form = page.get_by_role("form", name="Create a key")
    texts = {
        "Name": "web", "Targets that may answer": "local/*, openai/*", "Models it may ask for": "auto local",
        "Required certificates": "hipaa", "Dollars a day": "2.5", "Dollars a month": "40",
        "Requests a minute": "60", "Tokens a minute": "9000", "Requests at a time": "3", "Expires after days": "2",
    }  # fmt: skip
    for label, text in texts.items():
        await form.get_by_label(label, exact=True).fill(text)
    await form.get_by_label("read", exact=True).uncheck()
    await form.get_by_label("batch", exact=True).check()
    await form.get_by_role("button", name="Create").click()
    held = (
        "targets: local/*, openai/*; models: auto, local; priorities: batch; requires hipaa; $2.50 a day; $40.00 a month; "
        "60 requests a minute; 9000 tokens a minute; 3 at a time; until "
    )
    await expect(page.get_by_role("region", name="Keys")).to_contain_text(held)
    (key,) = (await rig.door.client.get("/hearth/keys", headers=OWN)).json()["data"]
    ends = key["terms"].pop("expires") - key["created"]
    assert 2 * 86_400 - 120 < ends < 2 * 86_400 + 120
    assert key["terms"] == {
        "name": "web", "scopes": ["generate"], "requires": ["hipaa"], "targets": ["local/*", "openai/*"],
        "models": ["auto", "local"], "priorities": ["batch"], "daily_usd": 2.5, "monthly_usd": 40.0,
        "requests_per_minute": 60, "tokens_per_minute": 9000, "parallel": 3,
    }  # fmt: skip


async def test_a_key_gets_a_new_secret(rig: Rig) -> None:
    """The new one is shown once and works; so does the old one, for an hour."""
    page = await rig.page("keys")
    await page.get_by_label("Name").fill("web")
    await page.get_by_role("button", name="Create").click()
    shown = page.locator(".note.warn code")
    old = await shown.inner_text()
    await page.get_by_role("button", name="New secret").click()
    await expect(shown).not_to_have_text(old)
    await expect(page.get_by_role("region", name="Keys")).to_contain_text("new secret")
    for secret in (old, await shown.inner_text()):
        assert (await rig.door.client.get("/hearth/status", headers={"x-api-key": secret})).status_code == 200


async def test_a_budget_that_a_fleet_shares_shows_what_the_others_have_spent(rig: Rig) -> None:
    """In a column of its own among the limits, and in the sum on the overview."""
    alone = budget(2.0, spent=False)
    day = msgspec.structs.replace(alone.limits[0], others_spent_usd=12.5)
    rig.changes["budget"] = msgspec.structs.replace(alone, limits=(day, *alone.limits[1:]))
    page = await rig.page("money")
    table = page.get_by_role("region", name="Limits of the budget")
    await expect(table.locator("thead")).to_contain_text("by others")
    await expect(table.locator("tbody tr").first).to_contain_text(
        row("all targets", "day 2026-11-29", "$2.00", "$12.50")
    )
    page = await rig.page("")
    await expect(page.locator("main")).to_contain_text("$14.50 of $20.00 ($2.00 here)")


async def test_a_spent_budget_is_a_row_of_the_page_of_money(rig: Rig) -> None:
    """Each limit with what is spent, reserved and left, and what happens now."""
    rig.changes["budget"] = budget(20.0, spent=True)
    page = await rig.page("money")
    rows = page.get_by_role("region", name="Limits of the budget").locator("tbody tr")
    day = row("all targets", "day 2026-11-29", "$20.00", "spent", "$0", "$20.00", "$0", "10 h 50 min")
    await expect(rows.first).to_contain_text(day)
    await expect(rows.last).to_contain_text(
        row("all targets", "month 2026-11", "$61.20", "$0.12", "$400.00", "$338.68")
    )
    await expect(page.locator("main")).to_contain_text(
        "Once a limit is spent, what costs money stays on the box, marked as degraded."
    )


# Who may, and what the page may do


async def test_the_key_is_taken_out_of_the_address_and_kept_in_the_tab(rig: Rig) -> None:
    """No cookie, nothing in the storage that tabs share; another tab is not signed in."""
    page = await rig.page()
    assert "key" not in page.url and await page.evaluate("document.cookie") == ""
    assert ADMIN not in await page.evaluate("Object.values(localStorage).join()")
    other = await rig.page(key=None)
    await expect(other.locator("main")).to_contain_text("This Hearth asks for a key.")
    await other.get_by_label("Key").fill(ADMIN)
    await other.get_by_role("button", name="Sign in").click()
    await expect(other.locator(".verdict")).to_contain_text("YES")
    await other.get_by_role("button", name="Sign out").click()
    await expect(other.locator(".connection")).to_contain_text("a key is needed")


async def test_a_reader_sees_the_state_and_is_told_what_needs_an_admin(browser: Browser, tmp_path: Path) -> None:
    """Keys, settings, the log and what changes anything."""
    async with browsing(browser, tmp_path, keys=("reader-key",)) as rig:
        page = await rig.page(key="reader-key")
        await expect(page.locator(".verdict")).to_contain_text("YES")
        for path, words in (
            ("keys", "Keys are created and shown by admins."),
            ("settings", "Settings are shown to admins."),
            ("engine", "it needs an admin key"),
        ):
            await page.evaluate("path => { location.hash = '#/' + path; }", path)
            await expect(page.locator("main")).to_contain_text(words)
        await page.evaluate("() => { location.hash = '#/targets'; }")
        await page.get_by_role("button", name="Close breaker").click()
        await expect(page.locator("main")).to_contain_text("it needs an admin key")


async def test_the_log_needs_an_admin_key_on_the_same_machine_too(browser: Browser, tmp_path: Path) -> None:
    """It may hold prompts, and a machine has several users. The rest of the page is there; a key shows the log at once."""
    async with browsing(browser, tmp_path, admins=(), local_admin=ADMIN) as rig:
        rig.door.engine.lines.append("INFO a line with a prompt")
        page = await rig.page(key=None)
        await page.get_by_role("link", name="Engine", exact=True).click()
        main = page.locator("main")
        await expect(main).to_contain_text("The engine's log may hold prompts: it needs an admin key.")
        await expect(main).to_contain_text("hearth ui opens this page signed in")
        await expect(page.get_by_role("region", name="Replica replica-0")).to_contain_text("ready")
        assert "a line with a prompt" not in await page.content()
        await page.get_by_label("Key", exact=True).fill(ADMIN)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("log")).to_contain_text("INFO a line with a prompt")


@pytest.mark.parametrize(
    "path", ["", "decisions", "playground", "engine", "targets", "money", "keys"], ids=lambda path: path or "overview"
)
async def test_markup_in_every_text_stays_text(browser: Browser, tmp_path: Path, path: str) -> None:
    """Of a model, an upstream, a client, a log: it is shown as it was written and does nothing."""
    local = engine_backend((Turn(told(MARKUP)),))
    async with browsing(browser, tmp_path, local=local) as rig:
        rig.door.desk.store.add(
            made_decision(5, model=MARKUP, target=MARKUP, words=MARKUP, reason=MARKUP, degraded=(MARKUP,))
        )
        rig.door.engine.lines.append(MARKUP)
        rig.changes["notes"] = (MARKUP,)
        rig.changes["targets"] = lambda rows: tuple(
            msgspec.structs.replace(each, why=MARKUP, last_failure=MARKUP, notes=(MARKUP,)) for each in rows
        )
        if path == "keys":
            await rig.door.client.post("/hearth/keys", json={"name": MARKUP}, headers=OWN)
        page = await rig.page(path)
        if path == "playground":
            await page.get_by_label("Question").fill(MARKUP)
            await page.get_by_role("button", name="Ask").click()
            await expect(page.get_by_role("region", name="Answer of auto")).to_contain_text("onerror")
        await expect(page.locator("body")).to_contain_text("onerror")
        await page.wait_for_timeout(300)
        assert await page.locator("img[src=x]").count() == 0 and "Hearth" in await page.title()
        assert rig.faults == []


async def test_the_policy_forbids_scripts_markup_and_other_origins(rig: Rig) -> None:
    """Tried from inside: `innerHTML` throws, a script of another origin and an inline one do not run."""
    page = await rig.page()
    assert (
        await page.evaluate("(() => { try { document.body.innerHTML = 'x'; return 'set'; } catch { return 'no'; } })()")
        == "no"
    )
    breaches = await page.evaluate(
        """new Promise((done) => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", (e) => seen.push(e.violatedDirective));
          const image = new Image();
          image.src = "http://127.0.0.2:1/x.png";
          fetch("http://127.0.0.2:1/").catch(() => {});
          setTimeout(() => done(seen.sort()), 500);
        })"""
    )
    assert breaches == ["connect-src", "img-src"]
    rig.faults.clear()


# The connection


async def test_a_lost_connection_is_said_with_the_age_of_the_numbers_and_found_again(
    browser: Browser, tmp_path: Path
) -> None:
    """The server goes away and comes back; the page needs no reload."""
    async with browsing(browser, tmp_path) as rig:
        page = await rig.page()
        await expect(page.locator(".connection")).to_contain_text("live")
        await rig.context.set_offline(True)
        rig.door.feed.close()
        await expect(page.locator(".banners")).to_contain_text("The connection to Hearth is lost")
        await expect(page.locator(".banners")).to_contain_text("The numbers on this page are from")
        await expect(page.locator(".verdict")).to_contain_text(re.compile(r"YES at \d\d:\d\d:\d\d, not known since"))
        await expect(page.locator(".top")).to_contain_text("small was ready")
        await expect(page.locator(".connection")).to_contain_text("trying again in")
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / "overview-lost.png")
        rig.door.feed._closing = False
        again = page.get_by_role("button", name="Try now")
        await expect(again).to_be_visible()
        await rig.context.set_offline(False)
        # The page tries by itself too, and may be sooner.
        await again.evaluate_all("buttons => buttons.forEach(each => each.click())")
        await expect(page.locator(".connection")).to_contain_text("live")
        rig.faults.clear()


async def test_eight_tabs_of_one_browser_all_load(rig: Rig) -> None:
    """A hidden tab gives its stream back: browsers allow six connections to a host."""
    tabs: list[Page] = []
    for _ in range(8):
        page = await rig.tab()
        await page.goto(f"{rig.door.url}/#key={ADMIN}")
        await expect(page.locator(".verdict")).to_contain_text("YES")
        # A browser without a screen takes every tab for visible: it is told otherwise, as when another tab is opened.
        await page.evaluate(HIDDEN, True)
        tabs.append(page)
    async with asyncio.timeout(10):
        while rig.door.feed.viewers:
            await asyncio.sleep(0.05)
    await tabs[0].evaluate(HIDDEN, False)
    await expect(tabs[0].locator(".connection")).to_contain_text("live")
    assert len(rig.door.feed.viewers) == 1


async def test_everything_is_reached_by_the_keyboard_alone(rig: Rig) -> None:
    """The skip link first, then the pages; the focus is seen, and moves to the page after a change of it."""
    page = await rig.page()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    names: list[str] = []
    await page.evaluate("document.activeElement.blur(); document.querySelector('.skip').focus()")
    while "Settings" not in names and len(names) < 30:
        await page.keyboard.press("Tab")
        names.append(await page.evaluate("document.activeElement.textContent.trim()"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
    assert {"Decisions", "Settings"} <= set(names)
    await page.get_by_role("link", name="Targets").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("main h1")).to_have_text("Targets")
    assert await page.evaluate("document.activeElement.id") == "main"


async def test_the_keyboard_reaches_every_control_of_every_page(rig: Rig) -> None:
    """Each link, button, field and box that scrolls gets the focus by the tabulator alone, in the order of the page."""
    with_history(rig)
    page = await rig.page()
    await page.evaluate("addEventListener('focusin', (event) => { event.target.dataset.reached = 'yes'; })")
    for path in PAGES:
        await page.evaluate("path => { location.hash = '#/' + path; }", path)
        await expect(page.locator("main")).not_to_contain_text("Reading")
        await page.get_by_role("button", name="Pause").dispatch_event("click") if path in (
            "decisions",
            "engine",
        ) else None
        count = await page.evaluate(f"{CONTROLS}.length")
        await page.evaluate("document.querySelector('.skip').focus()")
        for _ in range(count + 30):  # fields of dates take the focus part by part
            await page.keyboard.press("Tab")
        missed = await page.evaluate(
            f"{CONTROLS}.filter(each => each.dataset.reached !== 'yes').map(each => each.outerHTML.slice(0, 120))"
        )
        assert missed == [], path


async def test_nothing_moves_for_who_wants_no_motion(rig: Rig) -> None:
    """The one transition of the page, of a bar, is there for the others alone."""
    seconds = []
    for motion in ("reduce", "no-preference"):
        page = await rig.page(reduced_motion=motion)
        bar = page.locator(".gauge-fill").first
        seconds.append(await bar.evaluate("each => getComputedStyle(each).transitionDuration"))
        assert await page.evaluate("document.getAnimations().filter(each => each instanceof CSSAnimation).length") == 0
    assert seconds == ["0s", "0.3s"]


async def test_the_first_paint_is_there_before_any_script_and_the_page_is_small(rig: Rig) -> None:
    """The skeleton is in the HTML; bytes of the overview are counted, other origins are not asked."""
    page = await rig.tab(java_script_enabled=False)
    await page.goto(rig.door.url)
    await expect(page.locator("nav a").first).to_have_text("Overview")
    seen: list[str] = []
    sizes: list[int] = []
    other = await rig.tab(viewport={"width": 1280, "height": 900})
    other.on("response", lambda answer: seen.append(answer.url))
    other.on("requestfinished", lambda request: sizes.append(1))
    await other.goto(f"{rig.door.url}/#key={ADMIN}")
    await expect(other.locator(".verdict")).to_be_visible()
    assert all(url.startswith(rig.door.url) for url in seen)
    weights = await other.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".filter(e => !e.name.includes('/hearth/')).map(e => [e.decodedBodySize, e.encodedBodySize])"
    )
    assert sum(raw for raw, _ in weights) <= 150_000 and sum(wire for _, wire in weights) <= 60_000


def row(*cells: str) -> re.Pattern[str]:
    """The texts of cells that follow each other."""
    return re.compile(r"\s*".join(map(re.escape, cells)))


def _containing(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))
