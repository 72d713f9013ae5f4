"""The page of models: what a command will do is shown first, and nothing is done before it is confirmed."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from runtime.contract.adapters import AdapterView
from runtime.server.status import ModelStatus
from tests.browser.rig import Rig

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def model(name: str, state: str = "ready", **more: object) -> ModelStatus:
    given = {"name": f"local/{name}", "model": f"id-of-{name}", "state": state, "for_s": 5.0, "load": "always", **more}
    return ModelStatus(**given)  # type: ignore[arg-type]


async def card(rig: Rig, name: str) -> Locator:
    """The section of a model, on a page of two."""
    rig.changes["models"] = (
        model("labels", memory=6 << 30, gpus=(0,)),
        model("newer", "absent", cause="newer is loaded by command only"),
    )
    page = await rig.page("models")
    return page.get_by_role("region", name=f"Model local/{name}")


async def test_a_command_is_said_first_and_then_done(rig: Rig) -> None:
    """Unload and load; the words are the server's own."""
    labels = await card(rig, "labels")
    await expect(labels).to_contain_text("6.0 GiB of GPU 0")
    await labels.get_by_role("button", name="Unload …").click()
    await expect(labels).to_contain_text("unload labels.")
    assert rig.door.models.commands == []
    await labels.get_by_role("button", name="Do it").click()
    await expect(labels.get_by_role("button", name="Do it")).to_have_count(0)
    assert rig.door.models.commands == [("unload", "labels", "")]
    newer = await card(rig, "newer")
    await expect(newer).to_contain_text("newer is loaded by command only")
    await newer.get_by_role("button", name="Load …").click()
    await newer.get_by_role("button", name="Do it").click()
    await expect(newer.get_by_role("button", name="Do it")).to_have_count(0)
    assert rig.door.models.commands[-1] == ("load", "newer", "")


async def test_a_swap_names_what_comes_and_can_be_left(rig: Rig) -> None:
    """The other models are offered; a model that is not ready cannot be swapped."""
    labels = await card(rig, "labels")
    await labels.get_by_label("Swap for").select_option("newer")
    await labels.get_by_role("button", name="Swap …").click()
    await expect(labels).to_contain_text("swap labels newer.")
    await labels.get_by_role("button", name="Leave it").click()
    await expect(labels).not_to_contain_text("swap labels newer.")
    assert rig.door.models.commands == []
    await labels.get_by_role("button", name="Swap …").click()
    await labels.get_by_role("button", name="Do it").click()
    await expect(labels.get_by_role("button", name="Do it")).to_have_count(0)
    assert rig.door.models.commands == [("swap", "labels", "newer")]
    newer = await card(rig, "newer")
    await expect(newer.get_by_role("button", name="Swap …")).to_have_count(0)


async def test_a_refusal_is_shown_in_its_words(rig: Rig) -> None:
    """There is nothing to confirm then."""
    labels = await card(rig, "labels")
    rig.door.models.refused = "labels is being swapped in: wait until that is over"
    await labels.get_by_role("button", name="Unload …").click()
    await expect(labels).to_contain_text("wait until that is over; nothing was stopped")
    await expect(labels.get_by_role("button", name="Do it")).to_have_count(0)
    assert rig.door.models.commands == []


async def test_adapters_are_listed_and_unloaded(rig: Rig) -> None:
    """Those that Hearth loaded; one of somebody else's server is listed and left alone."""
    await rig.door.adapters.load("legal", "/srv/legal", "local")
    rig.door.adapters.known["theirs"] = AdapterView("theirs", "local", "", ready=True)
    page = await rig.page("models")
    table = page.get_by_role("region", name="LoRA adapters")
    await expect(table).to_contain_text("local/legal")
    await expect(table).to_contain_text("of an attached server")
    await expect(table.get_by_role("button")).to_have_count(1)
    await table.get_by_role("button", name="Unload legal").click()
    await expect(table).not_to_contain_text("local/legal")
    assert set(rig.door.adapters.known) == {"theirs"}
