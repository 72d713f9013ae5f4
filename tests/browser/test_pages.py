"""The dashboard in a real Chromium: every page shows the server's own words, and acts on it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from runtime.server.status import EngineStatus, LoadStatus, ReplicaStatus, SettingsStatus
from tests.browser.rig import ADMIN, FILE, PICTURES, Rig, browsing, faults_seen, made_decision
from tests.browser.scenes import MARKUP, MODEL, OWN, PAGES, pictures, with_history, with_quality
from tests.fakes.upstream import Turn, cloud, engine_backend, error, told

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
COLOURS = """names => names.map(name => {
  document.body.style.outlineColor = `var(${name})`;
  return getComputedStyle(document.body).outlineColor;
})"""
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
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


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


async def test_what_runs_is_shown_while_it_runs(tmp_path: Path, browser: Browser) -> None:
    """Its id, its phase; gone when it ended."""
    hold = asyncio.Event()
    held = engine_backend((Turn(told("late"), wait=hold),))  # type: ignore[arg-type]
    async with browsing(browser, tmp_path, local=held) as rig:
        page = await rig.page()
        task = asyncio.create_task(rig.door.chat(model="local", stream=True))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        running = asyncio.create_task(asked(rig, model="local"))
        await expect(page.get_by_role("region", name="Requests that run now")).to_contain_text("waiting")
        hold.set()
        await running
        await expect(page.locator("main")).to_contain_text("Nothing runs.")


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
    await page.get_by_role("button", name="Go on").click()
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
    await page.get_by_label("Beside it").select_option("vendor/far-model")
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
            ("keys", "Keys are made and shown by admins."),
            ("settings", "Settings are shown to admins."),
            ("engine", "it needs an admin key"),
        ):
            await page.evaluate("path => { location.hash = '#/' + path; }", path)
            await expect(page.locator("main")).to_contain_text(words)
        await page.evaluate("() => { location.hash = '#/targets'; }")
        await page.get_by_role("button", name="Close breaker").click()
        await expect(page.locator("main")).to_contain_text("it needs an admin key")


@pytest.mark.parametrize(
    "path", ["", "decisions", "playground", "engine", "targets"], ids=lambda path: path or "overview"
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
        await expect(page.locator(".banners")).to_contain_text("Hearth does not answer")
        await expect(page.locator(".banners")).to_contain_text("The numbers on this page are from")
        await expect(page.locator(".connection")).to_contain_text("trying again in")
        PICTURES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=PICTURES / "overview-lost.png")
        rig.door.feed._closing = False
        await rig.context.set_offline(False)
        await page.get_by_role("button", name="Try now").click()
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
    names = []
    await page.evaluate("document.activeElement.blur(); document.querySelector('.skip').focus()")
    for _ in range(14):
        await page.keyboard.press("Tab")
        names.append(await page.evaluate("document.activeElement.textContent.trim()"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
    assert {"Decisions", "Settings"} <= set(names)
    await page.get_by_role("link", name="Targets").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("main h1")).to_have_text("Targets")
    assert await page.evaluate("document.activeElement.id") == "main"


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


def _containing(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))
